"""`bench load`: how time and memory grow with seeds, checkpoints, runs, rows.

Stores are made up, and written and read as a run's are; each size is worked on
in a process of its own, whose largest memory is read at its end. Grown by ten,
time and memory should grow by no more than that.
"""

import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

from experiments.bench.formatting import Table

# What is done to so many of what; small first.
SIZES = {
  'seeds': (100, 1000),
  'checkpoints': (500, 5000),
  'runs': (20, 200),
  'values of a row': (10**5, 10**6),
}
_FEW = dict(seeds=4, checkpoints=20, width=10)


def store(
  workdir: pathlib.Path, seeds: int, checkpoints: int, width: int, first=0
) -> None:
  """Writes a run of random values: accuracy, and `width` ranks a seed."""
  from emergence_jax.base.types import Field
  from emergence_jax.store import rows, timeseries

  workdir.mkdir(parents=True)
  rng = np.random.default_rng(first)
  timeseries.create(
    workdir,
    fields={
      'accuracy': Field(('task', 'level'), 'float32', 'accuracy', '1'),
      'log_prob': Field(('task', 'level'), 'float32', 'log-probability', '1'),
      'rankme': Field(('task', 'layer'), 'float32', 'RankMe', '1',
                      label='RankMe', pick={'layer': -1}),
    },
    coords={'task': ['t'], 'level': ['1'], 'layer': list(range(width))},
    chance_KxL=np.full((1, 1), 0.1),
    seeds=first + np.arange(seeds),
    steps=10 * np.arange(checkpoints),
    train_steps=10 * checkpoints,
    attributes={'config': '{}', 'parameters': 1},
  )  # fmt: skip
  writer = rows.Writer(workdir)
  for c in range(checkpoints):
    rank = 10 - 5 * c / checkpoints + rng.random((seeds, 1, width))
    values = {
      'accuracy': np.full((seeds, 1, 1), c / checkpoints, np.float32),
      'log_prob': np.full((seeds, 1, 1), -1.0, np.float32),
      'rankme': rank.astype(np.float32),
    }
    writer.write_row(10 * c, values, np.zeros(seeds, np.int8))


def _work(what: str, size: int) -> None:
  """Writes, reads and analyses; prints seconds of each, and MiB at most."""
  from emergence_jax.analysis import runs, study
  from emergence_jax.machine import memory

  shape = dict(_FEW)
  count = size if what == 'runs' else 1
  if what == 'values of a row':
    shape['width'] = size // shape['seeds']
  elif what != 'runs':
    shape[what] = size
  with tempfile.TemporaryDirectory() as folder:
    workdirs = [pathlib.Path(folder) / f'run{i}' for i in range(count)]
    times = [time.monotonic()]
    for i, workdir in enumerate(workdirs):
      store(workdir, **shape, first=1000 * i)
    times.append(time.monotonic())
    loaded = runs.load(workdirs)
    times.append(time.monotonic())
    study.study(loaded, draws=20)
    times.append(time.monotonic())
  peak = (memory.most_of_process() or 0) / 2**20
  print(*np.diff(times), peak)


def run(folder, seeds: int, *, with_peers: bool) -> list[Table]:
  """Each size in a process of its own."""
  del folder, seeds, with_peers
  rows, notes = [], []
  for what, sizes in SIZES.items():
    results = []
    for size in sizes:
      done = subprocess.run(
        [sys.executable, '-m', 'experiments.bench.load', what, str(size)],
        capture_output=True, text=True, check=True,
      )  # fmt: skip
      *seconds, peak = map(float, done.stdout.split())
      rows.append([f'{size:,} {what}', *seconds, peak])
      results.append([*seconds, peak])
    growth = np.array(results[1]) / np.array(results[0])
    notes.append(
      f'{sizes[1] / sizes[0]:.0f} times the {what}: writing '
      f'{growth[0]:.1f}, reading {growth[1]:.1f}, analysis {growth[2]:.1f}, '
      f'memory {growth[3]:.1f} times.'
    )
  columns = ['what', 'write, s', 'read, s', 'analyse, s', 'most, MiB']
  title = (
    f'Stores of {_FEW["seeds"]} seeds, {_FEW["checkpoints"]} checkpoints and '
    f'{_FEW["seeds"] * _FEW["width"]} values a row, but for what is named'
  )
  return [Table(title, columns, rows, notes)]


if __name__ == '__main__':
  _work(sys.argv[1], int(sys.argv[2]))
