"""The app as its users run it, in processes of its own."""

import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import xarray as xr

from emergence_jax.config import schema
from emergence_jax.running import loop, rundir
from emergence_jax.store import checkpoints, timeseries
from tests import apps, small

ROOT = pathlib.Path(__file__).parents[1]
KILL_CONFIG = 'tests/kill_config.py'


@pytest.fixture(scope='module')
def environment(tmp_path_factory):
  """Programs are compiled once for all the processes here."""
  return {
    **os.environ,
    **small.QUICK,
    'JAX_COMPILATION_CACHE_DIR': str(tmp_path_factory.mktemp('cache')),
    'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0.2',
  }


def command(config, *flags):
  return [sys.executable, '-m', 'experiments.run', f'--config={config}', *flags]


def call(environment, *args):
  return subprocess.run(
    command(*args), cwd=ROOT, env=environment, capture_output=True, text=True
  )


@pytest.mark.nightly
def test_killed_at_random_moments_ends_bitwise_the_same(environment, tmp_path):
  calm, killed = tmp_path / 'calm', tmp_path / 'killed'
  done = call(environment, KILL_CONFIG, f'--workdir={calm}')
  assert done.returncode == 0, done.stderr
  rng = random.Random(0)

  def newest():
    folder = killed / checkpoints.FOLDER
    return max(
      (int(p.name) for p in folder.glob('*') if p.name.isdigit()), default=-1
    )

  for kill in range(5):
    process = subprocess.Popen(
      command(KILL_CONFIG, f'--workdir={killed}'),
      cwd=ROOT,
      env=environment,
      stdout=subprocess.DEVNULL,
      stderr=subprocess.DEVNULL,
    )
    before = newest()
    # One kill comes while the run starts, the others once it has got on.
    while kill != 2 and newest() <= before:
      assert apps.is_going_on(process)
    assert apps.is_going_on(process, rng.uniform(0, 0.4))
    process.kill()
    process.wait()
  # A row is on the disk before the population that goes on from it, so every
  # kill that waited for a checkpoint left a row, and none came after the end.
  assert 3 <= newest() < timeseries.load(killed).sizes['step'] < 121
  done = call(environment, KILL_CONFIG, f'--workdir={killed}')
  assert done.returncode == 0, done.stderr
  assert 'going on from the checkpoint' in done.stdout
  assert 'the time went to ' in done.stdout
  xr.testing.assert_identical(
    timeseries.load(killed).load(), timeseries.load(calm).load()
  )
  again = call(environment, KILL_CONFIG, f'--workdir={killed}')
  assert again.returncode == 0 and 'nothing is left to do' in again.stdout


@pytest.mark.slow
def test_a_killed_run_ends_bitwise_the_same(tmp_path):
  """One kill here; many, of every app, nightly and in `bench kills`."""
  raw = small.modadd_config(steps=12)
  raw.checkpoints.schedule = '1'
  calm, killed = tmp_path / 'calm', tmp_path / 'killed'
  loop.run(schema.from_mapping(raw), calm, lambda line: None)
  flags = (KILL_CONFIG, f'--workdir={killed}', '--config.train.steps=12')
  process = subprocess.Popen(
    command(*flags), cwd=ROOT, env={**os.environ, **small.QUICK},
    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
  )  # fmt: skip
  while not (killed / checkpoints.FOLDER / '3').exists():
    assert apps.is_going_on(process)
  process.kill()
  process.wait()
  assert timeseries.load(killed).sizes['step'] < 13
  config = schema.from_mapping(rundir.read_config(killed))
  lines = []
  assert loop.run(config, killed, lines.append) is loop.Outcome.FINISHED
  assert any('going on from the checkpoint' in line for line in lines)
  xr.testing.assert_equal(
    timeseries.load(killed).load(), timeseries.load(calm).load()
  )


def kill_after(environment, args, seconds):
  process = subprocess.Popen(
    args, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
  )  # fmt: skip
  if apps.is_going_on(process, seconds):
    process.kill()
    process.wait()


@pytest.mark.nightly
def test_killed_measure_and_report_end_the_same(environment, tmp_path):
  """Few kills here; `experiments.bench kills` has many, and every measure."""
  calm, killed = tmp_path / 'calm', tmp_path / 'killed'
  args = ('--config.train.steps=16', '--measures=behaviour,rank')
  done = call(environment, KILL_CONFIG, f'--workdir={calm}', *args)
  assert done.returncode == 0, done.stderr
  shutil.copytree(calm, killed)
  rng, took = random.Random(0), 0.0
  for app, extra in (
    ('measure', ('--measures=barrier',)), ('report', ('--draws=20',)),
  ):  # fmt: skip
    for workdir in (calm, killed):
      command_ = [
        sys.executable, '-m', f'experiments.{app}', f'--workdir={workdir}',
        *extra,
      ]  # fmt: skip
      began = time.monotonic()
      if workdir == killed:
        for _ in range(2):
          kill_after(environment, command_, rng.uniform(0.3, 1) * took)
      done = subprocess.run(command_, cwd=ROOT, env=environment, check=True)
      took = time.monotonic() - began
  xr.testing.assert_identical(
    timeseries.load(killed).load(), timeseries.load(calm).load()
  )
  tables = sorted((calm / 'report' / 'tables').glob('*.csv'))
  assert tables
  for table in tables:
    other = killed / 'report' / 'tables' / table.name
    assert table.read_bytes() == other.read_bytes()


def stop_at(environment, args, workdir, step):
  """Runs until a checkpoint of `step` or later is there, then SIGTERM."""
  process = subprocess.Popen(
    command(*args), cwd=ROOT, env=environment, stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE, text=True,
  )  # fmt: skip
  folder = workdir / checkpoints.FOLDER
  while max([int(p.name) for p in folder.glob('*') if p.name.isdigit()],
            default=-1) < step:  # fmt: skip
    assert apps.is_going_on(process), process.stderr.read()
  process.terminate()
  assert process.wait() == 75, process.stderr.read()


@pytest.mark.nightly
def test_a_run_on_two_devices_then_one_then_two(environment, tmp_path):
  calm, moved = tmp_path / 'calm', tmp_path / 'moved'
  flags = (KILL_CONFIG, '--config.train.steps=30')
  raw = small.modadd_config(steps=30)
  raw.checkpoints.schedule = '1'
  loop.run(schema.from_mapping(raw), calm, lambda line: None)
  args = (*flags, f'--workdir={moved}')
  stop_at(environment, (*args, '--config.seeds.devices=2'), moved, 4)
  stop_at(environment, (*args, '--config.seeds.devices=1'), moved, 12)
  done = call(environment, *args, '--config.seeds.devices=2')
  assert done.returncode == 0, done.stderr
  assert 'damaged' not in done.stdout and 'layout changed' not in done.stderr
  one, other = (timeseries.load(w).load() for w in (calm, moved))
  np.testing.assert_allclose(one.train_loss, other.train_loss, rtol=1e-4)
  assert one.sizes == other.sizes
  # And what is measured later is measured on other devices, too.
  measure = [
    sys.executable, '-m', 'experiments.measure', f'--workdir={moved}',
    '--measures=alignment',
  ]  # fmt: skip
  done = subprocess.run(
    measure, cwd=ROOT, env=environment, capture_output=True, text=True
  )
  assert done.returncode == 0, done.stderr
  assert 'alignment: 4 checkpoints added' in done.stdout


@pytest.mark.nightly
def test_a_run_and_a_measure_on_it_at_once(environment, tmp_path):
  """The second says who is first; with `--wait` it follows."""
  args = (KILL_CONFIG, f'--workdir={tmp_path / "run"}')
  process = subprocess.Popen(
    command(*args), cwd=ROOT, env=environment, stdout=subprocess.PIPE,
    stderr=subprocess.PIPE, text=True,
  )  # fmt: skip
  apps.wait_for(process)
  measure = [
    sys.executable, '-m', 'experiments.measure',
    f'--workdir={tmp_path / "run"}', '--measures=alignment',
  ]  # fmt: skip
  look = dict(cwd=ROOT, env=environment, capture_output=True, text=True)
  refused = subprocess.run(measure, **look)
  assert refused.returncode == 1
  assert f'in use by process {process.pid}' in refused.stderr
  assert len(refused.stderr.strip().splitlines()) == 1
  waited = subprocess.run([*measure, '--wait'], **look)
  assert waited.returncode == 0, waited.stderr
  assert 'waiting for its end' in waited.stdout
  assert '4 checkpoints added' in waited.stdout
  process.stdout.read()
  assert process.wait() == 0, process.stderr.read()
  data = timeseries.load(tmp_path / 'run')
  assert data.sizes['step'] == 121 and (data.status == 0).all()


@pytest.mark.nightly
def test_the_whole_run_directory(environment, tmp_path):
  workdir = tmp_path / 'run'
  args = (KILL_CONFIG, f'--workdir={workdir}', '--config.train.steps=20')
  done = call(environment, *args, '--config.checkpoints.schedule=4')
  assert done.returncode == 0, done.stderr
  names = {p.name for p in workdir.iterdir()}
  assert names == {
    'config.json', 'env.json', 'timeseries.zarr', 'checkpoints', 'figures',
    'summary.txt', 'report', 'times.json', '.lock', 'outputs.json',
  }  # fmt: skip
  figures = sorted(p.name for p in (workdir / 'figures').glob('*.png'))
  assert figures == ['accuracy_rankme.png', 'geometry.png', 'training.png']
  summary = (workdir / 'summary.txt').read_text()
  assert 'MODADD' in summary and 'seed 1' in summary
  # A kill while the report was written: what is missing is made again.
  (workdir / 'summary.txt').unlink()
  shutil.rmtree(workdir / 'report')
  again = call(environment, *args, '--config.checkpoints.schedule=4')
  assert again.returncode == 0 and 'are made again' in again.stdout
  assert (workdir / 'report' / 'report.html').exists()
  assert (workdir / 'summary.txt').read_text() == summary
  # On the terminal without a column for each seed.
  assert 'MODADD' in done.stdout and 'seed 1' not in done.stdout


@pytest.mark.nightly
def test_a_stopped_run_does_not_count_as_done(environment, tmp_path):
  """`run && next` must not go on; once it is gone on with, it ends with 0."""
  args = (KILL_CONFIG, f'--workdir={tmp_path / "run"}')
  process = subprocess.Popen(
    command(*args), cwd=ROOT, env=environment, stdout=subprocess.PIPE,
    stderr=subprocess.PIPE, text=True,
  )  # fmt: skip
  apps.wait_for(process)
  process.send_signal(signal.SIGTERM)
  assert 'to go on' in process.stdout.read()
  assert process.wait() == 75
  # The file may have changed or gone: the run knows its configuration.
  again = [a for a in command(*args) if not a.startswith('--config')]
  done = subprocess.run(
    again, cwd=tmp_path, env=environment | {'PYTHONPATH': str(ROOT)},
    capture_output=True, text=True,
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert 'going on from the checkpoint' in done.stdout


@pytest.mark.parametrize(
  'args,words',
  [
    (('configs/modadd.py:2',), ['config.task.p=2']),
    (('configs/algorithmic.py:nanno',), ["'nanno'", "'nano'"]),
    ((KILL_CONFIG, '--measures=rank,lcc'), ["--measures='lcc'", 'barrier']),
  ],
)
def test_a_users_error_is_one_message(environment, tmp_path, args, words):
  done = call(environment, *args, f'--workdir={tmp_path / "new"}')
  assert done.returncode == 1
  assert 'Traceback' not in done.stderr
  for word in words:
    assert word in done.stderr
  assert not (tmp_path / 'new').exists(), 'nothing is left behind'


@pytest.mark.nightly
def test_dry_run_leaves_nothing(environment, tmp_path):
  workdir = tmp_path / 'new'
  args = (KILL_CONFIG, '--dry_run', '--measures=behaviour,rank')
  done = call(environment, *args, f'--workdir={workdir}')
  assert done.returncode == 0, done.stderr
  for word in (
    'parameters', 'checkpoints   121', 'training', 'populations', 'a seed, and',
    'in all      about ',
  ):  # fmt: skip
    assert word in done.stdout
  assert 'rank' in done.stdout and 'barrier' not in done.stdout
  assert not workdir.exists()


# Says its own peak at the end: what `wait4` says of a child holds that of the
# process which started it.
PEAK = """
import runpy
try:
  runpy.run_module('experiments.run', run_name='__main__', alter_sys=True)
finally:
  from emergence_jax.machine import memory
  print(memory.most_of_process())
"""


@pytest.mark.nightly
def test_memory_grows_with_seeds_as_dry_run_says(environment, tmp_path):
  """Within a factor of two, what the process itself needs set aside."""
  flags = (
    'configs/modadd.py:5', '--config.train.steps=40', '--measures=norms',
    '--config.checkpoints.schedule=20',
  )  # fmt: skip
  peaks, counts = [], (128, 384)
  for count in counts:
    each = [f'--config.seeds.count={count}', f'--workdir={tmp_path / "run"}']
    done = subprocess.run(
      [sys.executable, '-c', PEAK, f'--config={flags[0]}', *flags[1:], *each,
       '--overwrite'],
      cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    peaks.append(int(done.stdout.split()[-1]))
  done = call(environment, *flags, *each, '--dry_run')
  number, unit = re.search(r'memory +(\S+) (\S+) a seed', done.stdout).groups()
  told = float(number) * {'KiB': 2**10, 'MiB': 2**20}[unit]
  grown = (peaks[1] - peaks[0]) / (counts[1] - counts[0])
  assert told / 2 < grown < 2 * told


@pytest.mark.parametrize(
  'given, threads', [({}, '1'), ({'OPENBLAS_NUM_THREADS': '3'}, '3')]
)
def test_lapack_has_one_thread_unless_told(given, threads):
  code = (
    'import os, sys, emergence_jax.cli.run\n'
    'from emergence_jax.cli import apps\n'
    'assert not {"numpy", "scipy"} & set(sys.modules)\n'
    'apps._start()\n'
    'print(os.environ["OPENBLAS_NUM_THREADS"])\n'
  )
  env = {k: v for k, v in os.environ.items() if k != 'OPENBLAS_NUM_THREADS'}
  done = subprocess.run(
    [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True,
    env={**env, **given},
  )  # fmt: skip
  assert done.stdout.strip() == threads, done.stderr


def test_help_needs_no_jax(environment):
  code = (
    'import sys, runpy\n'
    'sys.argv = ["run", "--help"]\n'
    'try:\n'
    '  runpy.run_module("experiments.run", run_name="__main__")\n'
    'except SystemExit:\n'
    '  pass\n'
    'print("jax" in sys.modules)\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True
  )
  assert done.stdout.strip().endswith('False'), done.stderr
  assert '--workdir' in done.stdout
