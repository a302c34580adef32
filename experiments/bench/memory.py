"""`bench memory`: what a run takes of the machine's memory, and what was said.

`--dry_run` says it beforehand; then the run itself is looked at while it goes
on. Programs are compiled afresh, since a kept one takes less.
"""

import re
import subprocess
import sys
import tempfile
import time

from emergence_jax.machine import memory
from experiments.bench import starts
from experiments.bench.formatting import Table

_SHORT = ('--config.train.steps=20', '--config.checkpoints.schedule=2')
_CHEAP = '--measures=norms,rank,behaviour,gradcov,barrier'
_NANO = (
  '--config=algorithmic:nano', '--config.optimizer.warmup=1',
  '--config.train.steps=2', '--config.checkpoints.schedule=2',
  '--measures=norms,rank,behaviour,fisher,hessian,alignment',
  '--config.measures.hessian.num_matvecs=20', '--config.measures.hessian.k=5',
)  # fmt: skip
# What it is called, its seeds, and its flags.
_RUNS = (
  ('modadd:31, all measures', 8, ('--config=modadd:31', *_SHORT)),
  ('modadd:31, five measures', 64, ('--config=modadd:31', *_SHORT, _CHEAP)),
  ('modadd:31, five measures', 512, ('--config=modadd:31', *_SHORT, _CHEAP)),
  ('nano, six measures', 2, _NANO),
)
_UNITS = {'MiB': 2**20, 'GiB': 2**30}
_LOOK_SECONDS = 0.05


def _peak(process: subprocess.Popen) -> int:
  """Bytes that a process has taken up at most, asked until it ends."""
  most = 0
  while process.poll() is None:
    most = max(most, memory.most_of_process(process.pid) or 0)
    time.sleep(_LOOK_SECONDS)
  return most


def _call(*flags: str) -> tuple[str, int]:
  """What a run prints, and its peak in bytes."""
  with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryFile() as said:
    process = starts.begin(
      *flags, cache=cache, stdout=said, stderr=subprocess.STDOUT
    )
    most = _peak(process)
    said.seek(0)
    text = said.read().decode()
  if process.returncode:
    sys.exit(f'{flags} failed:\n{text[-2000:]}')
  return text, most


def run(folder: str | None, seeds: int, *, with_peers: bool) -> list[Table]:
  """Says, runs and compares."""
  del folder, seeds, with_peers
  rows = []
  for label, count, flags in _RUNS:
    flags = (*flags, f'--config.seeds.count={count}')
    text, _ = _call(*flags, '--dry_run')
    number, unit = re.search(r'in all +about (\S+) (\S+?),', text).groups()
    told = float(number) * _UNITS[unit]
    with tempfile.TemporaryDirectory() as work:
      _, took = _call(*flags, f'--workdir={work}/run')
    rows.append([label, count, told / 2**20, took / 2**20, told / took])
  return [
    Table(
      'memory of a run, and of its `--dry_run`',
      ['run', 'seeds', 'said, MiB', 'taken, MiB', 'said beside taken'],
      rows,
    )
  ]
