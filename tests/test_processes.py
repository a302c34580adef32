"""Several processes of one run, on the loopback interface."""

import pathlib
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
import zarr

from emergence_jax.base.types import UserError
from emergence_jax.config import schema
from emergence_jax.machine import processes
from emergence_jax.running import loop
from emergence_jax.store import timeseries
from tests import apps, small

CONFIG = '--config=tests/kill_config.py'
SEEDS = ['--config.seeds.count=4', '--config.train.steps=40']
HEARTBEAT = 10
# Whatever cores a machine has: another layout would round otherwise.
ALONE = '--config.seeds.devices=2'


def free_port() -> int:
  with socket.socket() as some:
    some.bind(('127.0.0.1', 0))
    return some.getsockname()[1]


def start(count, workdir, *flags, app='run', only=None, **each):
  """Starts processes of a run; `each` has flags that differ, by process."""
  port = free_port()
  return [
    apps.start(
      app, f'--workdir={workdir}', '--multihost', *flags,
      f'--coordinator_address=127.0.0.1:{port}', f'--num_processes={count}',
      f'--process_id={i}', f'--heartbeat_seconds={HEARTBEAT}',
      *each.get(f'of_{i}', []),
    )
    for i in (range(count) if only is None else only)
  ]  # fmt: skip


def ends(started, seconds=300):
  """Exit codes and what was said, process by process."""
  said = [process.communicate(timeout=seconds) for process in started]
  return [p.returncode for p in started], said


def run(count, workdir, *flags, **each):
  return ends(start(count, workdir, *flags, **each))


def values(workdir) -> dict[str, np.ndarray]:
  data = timeseries.load(workdir)
  return {name: data[name].values for name in data.data_vars}


def assert_same_numbers(workdir, reference, rtol=1e-5):
  """Of one process: to rounding, since each compiles programs of its own.

  In forty steps it grows to 1e-4 of a gradient's norm; seeds differ by 0.1.
  """
  found = values(workdir)
  assert found.keys() == reference.keys()
  for name, value in reference.items():
    np.testing.assert_allclose(
      found[name], value, rtol=rtol, atol=rtol / 10, err_msg=name
    )


@pytest.fixture(scope='module')
def alone(tmp_path_factory):
  """The numbers of the run, computed by one process."""
  workdir = tmp_path_factory.mktemp('alone') / 'run'
  done = apps.call('run', CONFIG, *SEEDS, ALONE, f'--workdir={workdir}')
  assert done.returncode == 0, done.stderr
  return values(workdir)


def when_saved(workdir, process, step):
  """Returns once a checkpoint of a step is there."""
  folder = pathlib.Path(workdir) / 'checkpoints'
  while apps.is_going_on(process):
    there = folder.iterdir() if folder.is_dir() else ()
    if any(p.name.isdigit() and int(p.name) >= step for p in there):
      return
  raise AssertionError(process.communicate()[1])


@pytest.mark.nightly
def test_a_run_goes_on_after_a_signal_and_a_kill(tmp_path, alone):
  """Of 2 processes, then of 4, then of one; its numbers are those of one."""
  workdir = tmp_path / 'run'
  two = start(2, workdir, CONFIG, *SEEDS)
  when_saved(workdir, two[0], 5)
  two[1].send_signal(signal.SIGTERM)
  codes, said = ends(two)
  assert codes == [processes.TRY_AGAIN] * 2, said
  assert 'stopped by SIGTERM and saved' in said[0][0]
  assert 'SIGTERM' not in said[1][0]  # one speaks for all
  reached = timeseries.reached(workdir)[-1]
  assert 5 <= reached < 40

  four = start(4, workdir, CONFIG, *SEEDS, '--config.seeds.devices=4')
  when_saved(workdir, four[0], reached + 5)
  four[2].kill()
  codes, said = ends(four, seconds=HEARTBEAT + 30)
  assert codes[2] == -signal.SIGKILL
  assert 0 not in codes
  for _, error in said:
    assert 'has lost one of its processes' in error
    assert 'start the same command on all machines' in error

  done = apps.call('run', CONFIG, *SEEDS, ALONE, f'--workdir={workdir}')
  assert done.returncode == 0, done.stderr
  assert_same_numbers(workdir, alone, rtol=1e-3)


@pytest.mark.slow
def test_two_processes_give_the_numbers_of_one(tmp_path):
  few = ['--config.train.steps=6', '--config.seeds.count=4']
  codes, said = run(2, tmp_path / 'two', CONFIG, *few, '--measures=rank')
  assert codes == [0, 0], said
  assert 'Next: ' in said[0][0] and 'Next: ' not in said[1][0]
  raw = small.modadd_config(steps=6, count=4)
  raw.checkpoints.schedule = '1'
  raw.measures = {'rank': raw.measures.rank}
  loop.run(schema.from_mapping(raw), tmp_path / 'one', lambda line: None)
  assert_same_numbers(tmp_path / 'two', values(tmp_path / 'one'))


@pytest.mark.nightly
def test_a_measure_is_added_by_two_processes(tmp_path, alone):
  workdir = tmp_path / 'run'
  codes, said = run(
    2, workdir, CONFIG, *SEEDS, '--measures=rank', '--config.checkpoints.keep=0'
  )
  assert codes == [0, 0], said
  assert 'rankme' in zarr.open_group(workdir / 'timeseries.zarr')
  codes, said = run(2, workdir, '--measures=barrier,behaviour', app='measure')
  assert codes == [0, 0], said
  assert '41 checkpoints added' in said[0][0]
  assert 'added' not in said[1][0]
  assert_same_numbers(workdir, alone, rtol=1e-3)


@pytest.mark.nightly
def test_processes_of_different_configurations_are_refused(tmp_path):
  codes, said = run(
    2, tmp_path / 'run', CONFIG,
    of_1=['--config.optimizer.rate=0.5', f'--workdir={tmp_path / "other"}'],
  )  # fmt: skip
  assert codes == [1, 1], said
  for _, error in said:
    assert 'config.optimizer.rate: process 0 has' in error
    assert 'workdir: process 0 has' in error
    assert 'process 1 has 0.5' in error
  assert not list(tmp_path.iterdir())


@pytest.mark.nightly
def test_seeds_that_do_not_divide_are_refused(tmp_path):
  codes, said = run(2, tmp_path / 'run', CONFIG, '--config.seeds.count=3')
  assert codes == [1, 1], said
  assert 'config.seeds.count=3 must be a multiple of the 2' in said[0][1]


@pytest.mark.nightly
def test_a_coordinator_that_is_not_there_is_named(tmp_path):
  codes, said = ends(
    start(2, tmp_path / 'run', CONFIG, '--join_seconds=3', only=[1])
  )
  assert codes[0] != 0
  assert 'not all processes met at the coordinator (127.0.0.1:' in said[0][1]
  assert 'within 3 s' in said[0][1]


@pytest.mark.parametrize(
  'options, words',
  [
    ({'num_processes': 2}, 'belong together'),
    (dict(coordinator_address='a:1', num_processes=2, process_id=2), '0 to 1'),
    (dict(coordinator_address='a', num_processes=2, process_id=0), 'no port'),
  ],
)
def test_flags_that_do_not_fit_are_refused(options, words):
  with pytest.raises(UserError, match=words):
    processes.Options(**options)


def test_alone_everything_is_ones_own():
  assert processes.leads() and not processes.several()
  assert processes.exchange('mine') == ['mine']
  assert processes.agreed(lambda: 3) == 3
  thing = object()
  assert processes.lead(lambda: thing) is thing
  processes.check_same({'a': 1}, lambda old, new: {})


def test_last_words_are_said_where_a_process_ends_without_any():
  code = (
    'import os\n'
    'from emergence_jax.machine import processes\n'
    'words = processes._LastWords()\n'
    'words.set("error: alone")\n'
    'os._exit(3)\n'
  )
  done = subprocess.run([sys.executable, '-c', code], capture_output=True)
  assert done.returncode == 3
  assert done.stderr.decode().strip() == 'error: alone'


def test_a_process_that_does_not_come_is_not_waited_for_without_end():
  code = (
    'import threading\n'
    'from emergence_jax.machine import processes\n'
    'processes._meet_seconds = 0.05\n'
    'with processes._meeting("a segment"):\n'
    '  threading.Event().wait()\n'
  )
  done = subprocess.run([sys.executable, '-c', code], capture_output=True)
  assert done.returncode == processes.TRY_AGAIN
  said = done.stderr.decode()
  assert 'waited 0.05 s for the other processes (a segment)' in said
  assert 'to go on' in said


def test_measuring_a_release_is_of_one_process(tmp_path):
  done = apps.call(
    'measure', '--config=pythia:160m', f'--checkpoints={tmp_path}',
    f'--workdir={tmp_path / "x"}', '--multihost',
  )  # fmt: skip
  assert done.returncode == 1
  assert '--multihost' in done.stderr
