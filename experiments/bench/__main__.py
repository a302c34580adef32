"""Benchmarks, beside a peer and the physical limit, in one run.

python -m experiments.bench train
python -m experiments.bench measures
python -m experiments.bench --seeds=16 analysis
python -m experiments.bench scaling
python -m experiments.bench starts
python -m experiments.bench arms
python -m experiments.bench --seeds=8 precision
python -m experiments.bench memory
python -m experiments.bench load
python -m experiments.bench all
python -m experiments.bench accelerator

Each writes NAME.json and NAME.md to --out. There is also how often the tests
of the analysis err:

python -m experiments.bench calibration

and trials of what a run has to live through:

python -m experiments.bench --trials=672 damage
python -m experiments.bench --trials=60 kills
"""

import importlib
import pathlib
import time

from absl import app, flags

_PEERS = flags.DEFINE_string(
  'peers',
  None,
  "Folder of the peers' environment; made if it is not there. "
  'Default: emergence_jax/peers in the user cache.',
)
_OURS = flags.DEFINE_bool('ours', False, 'Time our own code only.')
_SEEDS = flags.DEFINE_integer('seeds', 4, 'Number of seeds.')
_OUT = flags.DEFINE_string('out', 'runs/bench', 'Folder to write tables to.')
_TRIALS = flags.DEFINE_integer('trials', 60, 'Of damage, or of kills.')

_BUDGET = flags.DEFINE_float(
  'budget', 480.0, 'Seconds after which `accelerator` begins nothing new.'
)

_ALL = ('train', 'measures', 'analysis', 'scaling', 'starts', 'arms')
_TABLES = (*_ALL, 'products', 'memory', 'precision', 'load', 'accelerator')
_OTHERS = ('calibration', 'damage', 'kills')


def _tables(name: str) -> None:
  """Runs a benchmark, shows its tables and writes them."""
  from experiments.bench import formatting

  began = time.monotonic()
  module = importlib.import_module(f'experiments.bench.{name}')
  more = {'budget': _BUDGET.value} if name == 'accelerator' else {}
  tables = module.run(
    _PEERS.value, _SEEDS.value, with_peers=not _OURS.value, **more
  )
  for table in tables:
    formatting.show(table)
  paths = formatting.write(
    pathlib.Path(_OUT.value).expanduser(), name, tables, formatting.machine()
  )
  minutes = (time.monotonic() - began) / 60
  print(f'{minutes:.1f} minutes; wrote {" and ".join(map(str, paths))}')


def main(argv):
  """Runs the benchmark that the first argument names."""
  known = [*_TABLES, 'all', *_OTHERS]
  if len(argv) != 2 or argv[1] not in known:
    raise app.UsageError(f'name one benchmark of: {", ".join(known)}')
  name = argv[1]
  if name in _OTHERS:
    module = importlib.import_module(f'experiments.bench.{name}')
    if name == 'calibration':
      module.run(_PEERS.value, _SEEDS.value, with_peers=not _OURS.value)
    else:
      module.run(_TRIALS.value)
    return
  for part in _ALL if name == 'all' else (name,):
    _tables(part)


if __name__ == '__main__':
  app.run(main)
