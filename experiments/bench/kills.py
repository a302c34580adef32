"""Kills a run, `measure` and the report, and compares what comes of it.

  python -m experiments.bench --trials=60 kills

One run with every measure goes through undisturbed. Another is killed with
SIGKILL again and again: while it starts, compiles, trains and saves, then in
`measure`, then in the report. What stands at the end must have the bits of the
first: the timeseries, the tables and the figures.
"""

import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import xarray as xr

from emergence_jax.store import checkpoints, rows, timeseries

CONFIG = 'experiments/bench/kills_config.py'
LATER = 'alignment,barrier'


def _environment(cache: pathlib.Path) -> dict[str, str]:
  """Programs are compiled once for all processes."""
  return {
    **os.environ,
    'JAX_COMPILATION_CACHE_DIR': str(cache),
    'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0.1',
  }


def _commands(workdir: pathlib.Path) -> dict[str, list[str]]:
  base = [sys.executable, '-m']
  at = f'--workdir={workdir}'
  return {
    'run': [*base, 'experiments.run', f'--config={CONFIG}', at],
    'measure': [*base, 'experiments.measure', at, f'--measures={LATER}'],
    'report': [*base, 'experiments.report', at, '--draws=50'],
  }


def _finish(command: list[str], environment) -> float:
  """Calls a command to its end; returns the seconds that it took."""
  began = time.monotonic()
  done = subprocess.run(
    command, env=environment, capture_output=True, text=True, check=False
  )
  if done.returncode:
    raise RuntimeError(f'{command[2]} failed: {done.stderr[-2000:]}')
  return time.monotonic() - began


def _kill(command: list[str], environment, seconds: float) -> bool:
  """Starts a command and kills it after so long; whether it still ran."""
  process = subprocess.Popen(
    command, env=environment, stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
  )  # fmt: skip
  try:
    process.wait(timeout=seconds)
  except subprocess.TimeoutExpired:
    process.send_signal(signal.SIGKILL)
    process.wait()
    return True
  return False


def _same_files(first: pathlib.Path, other: pathlib.Path) -> int:
  """Compares tables and figures byte by byte; returns how many there are."""
  names = sorted(
    p.relative_to(first)
    for pattern in ('report/tables/*.csv', 'report/figures/*.png')
    for p in first.glob(pattern)
  )
  for name in names:
    if (first / name).read_bytes() != (other / name).read_bytes():
      raise AssertionError(f'{name} differs')
  assert names
  return len(names)


def compare(killed: pathlib.Path, calm: pathlib.Path) -> None:
  """Raises where the two runs differ."""
  xr.testing.assert_identical(
    timeseries.load(killed).load(), timeseries.load(calm).load()
  )
  _same_files(killed, calm)
  left = [p for p in killed.rglob('*') if '.partial' in p.name]
  # A kill may leave a file that was being written; nobody reads it.
  print(f'the same bits; {len(left)} half-written files lie about, unread')


def trial(workdir, kills: int, seed: int, environment, calm) -> dict[str, int]:
  """Kills each command a number of times, and lets it come to its end.

  Returns:
    Command → kills that met it running.
  """
  rng = random.Random(seed)
  met = {}
  for name, command in _commands(workdir).items():
    share = {'run': kills - 2 * (kills // 4)}.get(name, kills // 4)
    met[name] = 0
    while met[name] < share:
      # Uniform over a whole undisturbed call: its start is hit, and its end.
      if _kill(command, environment, rng.uniform(0, calm[name])):
        met[name] += 1
      else:  # it came to its end; begin that stage again
        _begin_again(workdir, name)
    _finish(command, environment)
    print(f'{name}: {met[name]} kills, then to its end', flush=True)
  return met


def _begin_again(workdir: pathlib.Path, name: str) -> None:
  """Takes away the end of a stage, so that there is something to kill."""
  if name == 'run':
    for path in (workdir / checkpoints.FOLDER).iterdir():
      if path.name.isdigit() and int(path.name) > 20:
        shutil.rmtree(path)
    # Where the rows are all there, a run is finished without populations.
    rows.Writer(workdir).drop_after(20)
  elif name == 'report':
    shutil.rmtree(workdir / 'report', ignore_errors=True)


def run(kills: int) -> None:
  """Tries it, and prints what came of it."""
  with tempfile.TemporaryDirectory() as root:
    folder = pathlib.Path(root)
    environment = _environment(folder / 'cache')
    calm = folder / 'calm'
    for command in _commands(folder / 'warm').values():
      _finish(command, environment)  # compiles
    seconds = {
      name: _finish(command, environment)
      for name, command in _commands(calm).items()
    }
    print({k: f'{v:.1f} s' for k, v in seconds.items()}, flush=True)
    met = trial(folder / 'killed', kills, 0, environment, seconds)
    compare(folder / 'killed', calm)
    print(f'{sum(met.values())} kills: {met}')
