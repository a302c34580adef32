"""`bench scaling`: seeds on one device, sizes of the model, processes."""

import json
import socket
import subprocess
import sys

from emergence_jax.machine import mesh
from experiments.bench import train
from experiments.bench.formatting import Table

# Size → steps of a timing; two repeats.
_SIZES = {'nano': 10, 'micro': 4, 'small': 2, 'medium': 1, 'large': 1}
_PROCESSES = (1, 2, 4)
_NANO = ('configs.algorithmic', 'nano')


def _of_seeds(peak: float) -> list[Table]:
  """Seeds one after the other on one device: what each of them costs."""
  tables = []
  for name, config, steps, counts in (
    ('mod-31 (default job)', ('configs.modadd', '31'), 10, (1, 10, 100, 1000)),
    ('nano', _NANO, 4, (1, 4, 16, 64)),
  ):
    rows, single = [], None
    for seeds in counts:
      result = train.ours(
        config=config, overrides={}, seeds=seeds, devices=1, at_once=1,
        # As many at a time as in a run, since a seed that takes turns comes
        # from memory; more where they would be over too soon.
        steps=max(steps, 20 * steps // seeds), repeats=2,
      )  # fmt: skip
      single = single or result['rate']
      share = result['rate'] * result['flops'] / peak
      rows.append([
        seeds, result['rate'], single / result['rate'], f'{share:.0%}',
        result['bytes'] / 2**20 / seeds,
      ])  # fmt: skip
    tables.append(
      Table(
        f'{name}: seeds on one device',
        ['seeds', 'seed-steps/s', 'cost of a seed, beside one alone',
         'of the matrix rate of all cores', 'state, MiB a seed'],
        rows,
      )
    )  # fmt: skip
  return tables


def _of_sizes(peak: float, cores: int) -> Table:
  """A seed on each core, at every size."""
  rows = []
  for size, steps in _SIZES.items():
    result = train.ours(
      config=('configs.algorithmic', size), overrides={}, seeds=cores,
      devices=cores, at_once=1, steps=steps, repeats=2,
    )  # fmt: skip
    rows.append([
      size, result['parameters'], result['rate'],
      f'{result["rate"] * result["flops"] / peak:.0%}', result['compile'],
    ])  # fmt: skip
  return Table(
    f'sizes: {cores} seeds on {cores} devices',
    ['size', 'parameters', 'seed-steps/s', 'of the matrix rate', 'compile, s'],
    rows,
  )


def _together(count: int, cores: int, config=_NANO) -> float:
  """Seed-steps/s of processes that meet after each segment, as in a run."""
  with socket.socket() as some:
    some.bind(('127.0.0.1', 0))
    port = some.getsockname()[1]
  request = dict(
    config=config, overrides={}, seeds=4,
    devices=max(count, cores), at_once=1, steps=6, repeats=3,
    address=f'127.0.0.1:{port}', processes=count,
  )  # fmt: skip
  started = [
    subprocess.Popen(
      [sys.executable, '-m', 'experiments.bench.ours',
       json.dumps({**request, 'process': i})],
      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    for i in range(count)
  ]  # fmt: skip
  said = [process.communicate() for process in started]
  if any(process.returncode for process in started):
    sys.exit(f'a process of {count} has failed:\n{said[0][1][-2000:]}')
  return json.loads(said[0][0].strip().splitlines()[-1])['rate']


def _of_processes(cores: int) -> Table:
  rows, single = [], None
  for count in _PROCESSES:
    rate = _together(count, cores)
    single = single or rate
    rows.append([count, max(count, cores), rate, rate / single])
  return Table(
    'nano, 4 seeds: processes on this machine, which meet after each segment',
    ['processes', 'devices', 'seed-steps/s', 'beside one process'],
    rows,
  )


def run(folder: str | None, seeds: int, *, with_peers: bool) -> list[Table]:
  """Times all of them."""
  del folder, seeds, with_peers
  peak, cores = train.matmul_peak(), mesh.available_cores()
  return [*_of_seeds(peak), _of_sizes(peak, cores), _of_processes(cores)]
