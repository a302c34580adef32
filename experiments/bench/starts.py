"""`bench starts`: from the command to the first step, cold and warm.

Cold is with no compiled program kept anywhere; warm is the same command again.
Everything is compiled by then; nothing is measured before the first step.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

from experiments.bench.formatting import Table

# Configuration → its measures, besides all of them.
_CONFIGS = ('modadd:31', 'algorithmic:nano')
_FEW = ('behaviour', 'rank')


def _measures(config: str) -> list[str]:
  """Names of all measures of a configuration."""
  from emergence_jax.cli import config_flag

  return list(config_flag.load(config)['measures'])


def _start(config: str, names, folder: str, cache: str) -> float:
  """Seconds until the population of step 0 is on the disk."""
  workdir = pathlib.Path(folder, 'run')
  process = subprocess.Popen(
    [sys.executable, '-m', 'experiments.run', f'--config={config}',
     f'--workdir={workdir}', f'--compile_cache={cache}',
     f'--measures={",".join(names)}',
     *(f'--config.measures.{name}.from_step=1' for name in names)],
    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    env={k: v for k, v in os.environ.items()
         if k != 'JAX_COMPILATION_CACHE_DIR'},
  )  # fmt: skip
  began = time.monotonic()
  times = workdir / 'times.json'
  try:
    while not times.exists():
      if process.poll() is not None:
        sys.exit(f'{config} has failed:\n{process.stdout.read()[-2000:]}')
      time.sleep(0.05)
    return time.monotonic() - began
  finally:
    process.terminate()
    process.communicate()


def run(folder: str | None, seeds: int, *, with_peers: bool) -> list[Table]:
  """Starts each configuration twice, with a cache of its own."""
  del folder, seeds, with_peers
  rows = []
  for config in _CONFIGS:
    for label, names in (
      (', '.join(_FEW), _FEW), ('all', _measures(config))
    ):  # fmt: skip
      with tempfile.TemporaryDirectory() as cache:
        times = []
        for _ in range(3):
          with tempfile.TemporaryDirectory() as work:
            times.append(_start(config, names, work, cache))
      rows.append([config, label, times[0], min(times[1:])])
  return [
    Table(
      'from the command to the first step',
      ['configuration', 'measures compiled', 'cold, s', 'warm, s'],
      rows,
    )
  ]
