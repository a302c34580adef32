"""`bench starts`: from the command to first steps, row, page, and the end.

Cold is with no compiled program kept anywhere; warm is the same command again.
The matrix rate of the machine stands below, since what follows the start goes
by it.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

from experiments.bench import train
from experiments.bench.formatting import Table

# Configuration, what is kept of compiled programs, and what is waited for:
# steps of training on the disk, the first row, a page, the end.
_KINDS = (
  ('modadd:31', 'cold', ('steps', 'row', 'page', 'end')),
  ('modadd:31', 'warm', ('steps', 'row', 'page')),
  ('algorithmic:nano', 'cold', ('steps',)),
)
_SHOWN = {
  'steps': 'timeseries.zarr/train_loss/c',
  'row': 'times.json',
  'page': 'report/report.html',
  'end': 'outputs.json',
}
_LOOK_SECONDS = 0.1


def begin(*flags: str, cache: str, **streams) -> subprocess.Popen:
  """A run that keeps and finds compiled programs in a cache alone."""
  return subprocess.Popen(
    [sys.executable, '-m', 'experiments.run', *flags,
     f'--compile_cache={cache}'],
    env={k: v for k, v in os.environ.items()
         if k != 'JAX_COMPILATION_CACHE_DIR'},
    **streams,
  )  # fmt: skip


def _call(config: str, wanted, folder: str, cache: str) -> dict:
  """Seconds until each of what is wanted is on the disk."""
  workdir = pathlib.Path(folder, 'run')
  process = begin(
    f'--config={config}', f'--workdir={workdir}', cache=cache,
    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
  )  # fmt: skip
  began, seconds = time.monotonic(), {}
  try:
    while len(seconds) < len(wanted):
      ended = process.poll() is not None
      for name in wanted:
        if name not in seconds and (workdir / _SHOWN[name]).exists():
          seconds[name] = time.monotonic() - began
      if ended and len(seconds) < len(wanted):
        sys.exit(f'{config} has failed:\n{process.stderr.read()[-2000:]}')
      time.sleep(_LOOK_SECONDS)
    return seconds
  finally:
    process.kill()  # a measure of nano takes minutes, and ends first
    process.communicate()


def run(folder: str | None, seeds: int, *, with_peers: bool) -> list[Table]:
  """Starts each configuration, with a cache of its own."""
  del folder, seeds, with_peers
  rows = []
  with tempfile.TemporaryDirectory() as cache:
    for config, label, wanted in _KINDS:
      with tempfile.TemporaryDirectory() as work:
        seconds = _call(config, wanted, work, cache)
      rows.append([config, label, *(seconds.get(name) for name in _SHOWN)])
  return [
    Table(
      'seconds from the command',
      ['configuration', 'compiled programs', 'first steps', 'first row',
       'page', 'end'],
      rows,
      [f'Products of matrices run at {train.matmul_peak() / 1e9:.0f} GFLOP/s.'],
    )
  ]  # fmt: skip
