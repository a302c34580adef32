"""Kills every command that writes, and compares what comes of it.

  python -m experiments.bench --trials=100 kills

One set of runs goes through undisturbed. In another each command, with all of
its processes, is killed with SIGKILL again and again, at any moment from its
start to its end: a run with every measure, `measure`, `report`, a sweep,
`merge`, `export`, and a run of two processes. What stands at the end must have
the bits of the first: timeseries, tables and figures.
"""

import dataclasses
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import xarray as xr

from emergence_jax.base.types import Status
from emergence_jax.store import checkpoints, layout, outputs, rows, timeseries

CONFIG = 'experiments/bench/kills_config.py'
LATER = 'alignment,barrier'
RUN, SWEEP, MERGED, EXPORTED, TWO = 'run', 'sweep', 'merged', 'csv', 'two'
SWEPT = tuple(f'{SWEEP}/kills_config-{first}' for first in (0, 2))


@dataclasses.dataclass(frozen=True)
class Stage:
  """A command that is to survive.

  Attributes:
    name: of it.
    commands: of its processes, by the folder that all is in.
    again: takes away the end of the stage, so that there is something to kill.
    share: of all kills.
  """

  name: str
  commands: Callable[[pathlib.Path], list[list[str]]]
  again: Callable[[pathlib.Path], None]
  share: float


def _app(name: str, *words: object) -> list[str]:
  return [sys.executable, '-m', f'experiments.{name}', *map(str, words)]


def _port() -> int:
  with socket.socket() as some:
    some.bind(('127.0.0.1', 0))
    return int(some.getsockname()[1])


def _two(folder: pathlib.Path) -> list[list[str]]:
  """A run of two processes."""
  port = _port()
  return [
    _app(
      'run', f'--config={CONFIG}', f'--workdir={folder / TWO}', '--multihost',
      f'--coordinator_address=127.0.0.1:{port}', '--num_processes=2',
      f'--process_id={i}', '--heartbeat_seconds=10',
    )
    for i in range(2)
  ]  # fmt: skip


def _shorten(workdir: pathlib.Path) -> None:
  """Takes all after step 20 from a run."""
  for path in (workdir / checkpoints.FOLDER).iterdir():
    if path.name.isdigit() and int(path.name) > 20:
      shutil.rmtree(path)
  # Where the rows are all there, a run is finished without populations.
  rows.Writer(workdir).drop_after(20)


STAGES = (
  Stage(
    'run',
    lambda at: [_app('run', f'--config={CONFIG}', f'--workdir={at / RUN}')],
    lambda at: _shorten(at / RUN), 0.34,
  ),
  Stage(
    'measure',
    lambda at: [
      _app('measure', f'--workdir={at / RUN}', f'--measures={LATER}')
    ],
    lambda at: None, 0.11,
  ),
  Stage(
    'report',
    lambda at: [_app('report', f'--workdir={at / RUN}', '--draws=50')],
    lambda at: shutil.rmtree(at / RUN / 'report'), 0.11,
  ),
  Stage(
    'sweep',
    lambda at: [
      _app(
        'run', *(f'--sweep={CONFIG}:{first}' for first in (0, 2)),
        f'--workdir={at / SWEEP}',
      )
    ],
    lambda at: _shorten(at / SWEPT[1]), 0.11,
  ),
  Stage(
    'merge',
    lambda at: [
      _app(
        'merge', *(f'--workdir={at / name}' for name in SWEPT),
        f'--out={at / MERGED}',
      )
    ],
    lambda at: shutil.rmtree(at / MERGED), 0.11,
  ),
  Stage(
    'export',
    lambda at: [
      _app('export', f'--workdir={at / MERGED}', f'--folder={at / EXPORTED}')
    ],
    lambda at: shutil.rmtree(at / EXPORTED), 0.11,
  ),
  Stage('two processes', _two, lambda at: _shorten(at / TWO), 0.11),
)  # fmt: skip


def _environment(cache: pathlib.Path) -> dict[str, str]:
  """Programs are compiled once for all processes."""
  return {
    **os.environ,
    'JAX_COMPILATION_CACHE_DIR': str(cache),
    'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0.1',
  }


def _start(commands, environment, **pipes) -> list[subprocess.Popen]:
  """Starts processes, each the first of a group that is killed with it."""
  return [
    subprocess.Popen(
      command, env=environment, start_new_session=True, text=True, **pipes
    )
    for command in commands
  ]


def _finish(stage: Stage, folder, environment) -> float:
  """Calls a command to its end; returns the seconds that it took."""
  began = time.monotonic()
  with tempfile.TemporaryFile('w+') as said:
    started = _start(
      stage.commands(folder), environment, stdout=said, stderr=said
    )
    if any([process.wait() for process in started]):
      said.seek(0)
      raise RuntimeError(f'{stage.name} failed: {said.read()[-2000:]}')
  return time.monotonic() - began


def _kill(stage: Stage, folder, environment, seconds: float) -> bool:
  """Starts a command and kills it after so long; whether it still ran."""
  started = _start(
    stage.commands(folder), environment,
    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
  )  # fmt: skip
  end = time.monotonic() + seconds
  for process in started:
    try:
      process.wait(timeout=max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
      break
  else:
    return False
  for process in started:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
  return True


def _same_files(first: pathlib.Path, other: pathlib.Path) -> None:
  """Compares tables and figures byte by byte, half-written ones left out."""
  names = sorted(
    path.relative_to(first)
    for suffix in ('csv', 'png', 'svg')
    for path in first.rglob(f'*.{suffix}')
    if not path.name.startswith('.partial')
  )
  assert names, f'{first} holds no tables'
  for name in names:
    if (first / name).read_bytes() != (other / name).read_bytes():
      raise AssertionError(f'{name} differs')


def _rows(folder: pathlib.Path) -> dict[str, set[int]]:
  """Steps that each timeseries has, none of them damaged."""
  by_run = {}
  for name in (RUN, *SWEPT, TWO):
    if (folder / name / layout.NAME).exists():
      writer = rows.Writer(folder / name)
      assert not writer.damaged(), f'{name} has damaged rows'
      by_run[name] = set(writer.reached())
  return by_run


def _assert_kept(before: dict[str, set[int]], now: dict[str, set[int]]) -> None:
  """Rows are there still, but for the last, whose population was not yet."""
  for name, steps in before.items():
    lost = steps - now.get(name, set())
    assert lost <= set(sorted(steps)[-1:]), f'{name} lost rows: {lost}'


def compare(killed: pathlib.Path, calm: pathlib.Path) -> None:
  """Raises where the two sets of runs differ, or a page is stale."""
  for name in (RUN, *SWEPT, MERGED, TWO):
    data = timeseries.load(killed / name).load()
    xr.testing.assert_equal(data, timeseries.load(calm / name).load())
    assert (data.status == Status.OK).all()
  for name in (RUN, *SWEPT, TWO):
    # What `measure` adds is not on the run's own page until it is made again.
    stale = not outputs.are_current(killed / name)
    assert not stale or name == RUN, f'the page of {name} is stale'
    _same_files(killed / name / 'report', calm / name / 'report')
  _same_files(killed / EXPORTED, calm / EXPORTED)
  left = [p for p in killed.rglob('*') if '.partial' in p.name]
  # A kill may leave a file that was being written; nobody reads it.
  print(f'the same bits; {len(left)} half-written files lie about, unread')


def trial(folder, kills: int, seed: int, environment, calm) -> dict[str, int]:
  """Kills each command a number of times, and lets it come to its end.

  Returns:
    Command → kills that met it running.
  """
  rng = random.Random(seed)
  met = {}
  for stage in STAGES:
    met[stage.name] = 0
    wanted = max(1, round(stage.share * kills))
    before = _rows(folder)
    while met[stage.name] < wanted:
      # Uniform over a whole undisturbed call: its start is hit, and its end.
      if _kill(stage, folder, environment, rng.uniform(0, calm[stage.name])):
        met[stage.name] += 1
        now = _rows(folder)
        _assert_kept(before, now)
        before = now
      else:  # it came to its end; begin that stage again
        stage.again(folder)
        before = _rows(folder)
    _finish(stage, folder, environment)
    print(f'{stage.name}: {met[stage.name]} kills, then to its end', flush=True)
  return met


def run(kills: int) -> None:
  """Tries it, and prints what came of it."""
  with tempfile.TemporaryDirectory() as root:
    folder = pathlib.Path(root)
    environment = _environment(folder / 'cache')
    for stage in STAGES:
      _finish(stage, folder / 'warm', environment)  # compiles
    calm = folder / 'calm'
    seconds = {s.name: _finish(s, calm, environment) for s in STAGES}
    print({k: f'{v:.1f} s' for k, v in seconds.items()}, flush=True)
    met = trial(folder / 'killed', kills, 0, environment, seconds)
    compare(folder / 'killed', calm)
    print(f'{sum(met.values())} kills: {met}')
