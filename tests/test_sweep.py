"""Several runs: by one command, and by the scripts of clusters."""

import os
import pathlib
import signal
import subprocess

import numpy as np
import pytest

from emergence_jax.store import timeseries
from tests import apps

LAUNCH = pathlib.Path(__file__).parents[1] / 'emergence_jax' / 'cli' / 'launch'
SMALL = ['--config.train.steps=2', '--config.checkpoints.schedule=1']


@pytest.mark.nightly
def test_configurations_are_run_one_after_the_other(tmp_path):
  flags = [
    '--sweep=tests/kill_config.py', '--sweep', 'tests/not_there.py',
    f'--workdir={tmp_path}', *SMALL,
  ]  # fmt: skip
  done = apps.call('run', *flags)
  assert done.returncode == 1  # of the one that is not there
  assert '1 of 2: tests/kill_config.py' in done.stdout
  assert 'tests/not_there.py is not there' in done.stderr
  assert 'failed, for the reasons above: not_there.' in done.stdout
  row = next(x for x in done.stdout.splitlines() if ' kill_config ' in x)
  assert row.split()[1:6] == ['modadd', '5', '2', '2', 'finished']
  assert f'experiments.report --workdir={tmp_path / "kill_config"}' in (
    done.stdout
  )
  again = apps.call('run', *flags, '--blind')
  assert 'this run is finished at step 2' in again.stdout
  assert row not in again.stdout


@pytest.mark.parametrize(
  'flags, words',
  [
    (['--sweep=modadd', '--config=modadd', '--workdir=x'], 'in the place'),
    (['--sweep=modadd'], 'needs a --workdir'),
    (['--sweep=modadd:31', '--sweep=configs/modadd.py:31'], 'both be run in'),
    ([], '--config is missing'),
    (['--workdir=nowhere'], 'nowhere holds no run'),
  ],
)
def test_sweeps_that_cannot_be_are_refused(flags, words, tmp_path):
  if 'both' in words:
    flags = [*flags, f'--workdir={tmp_path}']
  done = apps.call('run', *flags)
  assert done.returncode == 1
  assert words.replace('in the place', 'takes the place') in done.stderr


@pytest.mark.nightly
def test_seeds_in_parts_are_the_run(tmp_path):
  """Where the memory is short: told to stop, gone on with blind, shown."""
  flags = [
    '--config=tests/kill_config.py', *SMALL, '--config.seeds.count=3',
    '--config.seeds.devices=1', '--config.arms.grid=optimizer.rate=1e-2',
  ]  # fmt: skip
  whole = apps.call('run', *flags, f'--workdir={tmp_path / "whole"}')
  assert whole.returncode == 0, whole.stderr
  short = ['--config=tests/short_config.py', *SMALL]
  refused = apps.call('run', *short, f'--workdir={tmp_path / "run"}')
  assert refused.returncode == 1 and '--parts=2 goes' in refused.stderr
  given = [*short, '--parts=2', f'--workdir={tmp_path / "run"}']
  process = apps.start('run', *given)
  apps.wait_for(process)
  process.send_signal(signal.SIGTERM)
  assert 'the same command' in process.stdout.read()
  assert process.wait() == 75
  told = apps.call('run', *given, '--dry_run')
  assert '2 arms of 2 on' in told.stdout, told.stderr
  other = apps.call('run', *given, '--parts=3')
  assert other.returncode == 1 and 'the part seeds_0_to_1' in other.stderr
  done = apps.call('run', *given, '--blind')
  assert done.returncode == 0, done.stderr
  for word in ('part 2 of 2: seeds_2_to_2', 'joined in', 'not shown'):
    assert word in done.stdout
  assert 'emerged' not in done.stdout
  for name in ('summary.txt', 'report', 'figures'):
    assert not list((tmp_path / 'run').rglob(name)), name
  one, joined = (
    timeseries.load(tmp_path / name).load() for name in ('whole', 'run')
  )
  assert joined.seed.values.tolist() == [0, 1, 2] and joined.sizes['arm'] == 2
  for name in ('train_loss', 'rankme', 'accuracy'):
    np.testing.assert_allclose(joined[name], one[name], rtol=1e-5)
  looked = apps.call('run', *given)
  assert 'Next: open' in looked.stdout, looked.stderr
  assert (tmp_path / 'run' / 'summary.txt').exists()
  again = apps.call('run', *given)
  assert 'this run is finished' in again.stdout, again.stderr


@pytest.mark.parametrize(
  'flags, words',
  [
    (['--parts=2', '--config=modadd'], 'needs --config and a --workdir'),
    (['--parts=9', '--config=modadd', '--workdir=x'], '--parts=9 must be'),
    (['--parts=0', '--config=modadd', '--workdir=x'], '--parts=0 must be'),
    (['--parts=2', '--config=modadd', '--workdir=x', '--multihost'],
     'is of one process'),
  ],
)  # fmt: skip
def test_parts_that_cannot_be_are_refused(flags, words):
  done = apps.call('run', *flags)
  assert done.returncode == 1
  assert words in done.stderr


def script(folder: pathlib.Path, name: str, text: str) -> pathlib.Path:
  path = folder / name
  path.write_text(f'#!/bin/bash\n{text}\n')
  path.chmod(0o755)
  return path


def environment(folder, **more):
  """Where `scontrol` writes down what it was told."""
  script(folder, 'scontrol', f'echo "$@" >> {folder}/told')
  path = f'{folder}:{os.environ["PATH"]}'
  return {**os.environ, 'PATH': path, 'SLURM_JOB_ID': '7', **more}


def test_an_array_task_passes_a_signal_on_and_is_queued_again(tmp_path):
  python = script(
    tmp_path, 'python',
    f'trap "exit 75" TERM; echo "$@" > {tmp_path}/flags; mkfifo {tmp_path}/up;'
    f'echo > {tmp_path}/up; while :; do read -t 0.1 < <(:); done',
  )  # fmt: skip
  process = subprocess.Popen(
    [LAUNCH / 'slurm_sweep.sh', 'modadd:31', 'runs/a b', '4', '--x=1 2'],
    env=environment(
      tmp_path, PYTHON=str(python), SLURM_ARRAY_TASK_ID='3'
    ),
  )  # fmt: skip
  while not (tmp_path / 'up').exists():
    assert apps.is_going_on(process)
  (tmp_path / 'up').read_text()
  process.send_signal(signal.SIGTERM)
  assert process.wait(timeout=60) == 75
  flags = (tmp_path / 'flags').read_text()
  for word in (
    '--config=modadd:31', '--workdir=runs/a b/3', '--x=1 2',
    '--config.seeds.count=4', '--config.seeds.first=12',
  ):  # fmt: skip
    assert word in flags
  assert (tmp_path / 'told').read_text() == 'requeue 7\n'


@pytest.mark.parametrize('code', [0, 1, 75])
def test_a_run_over_nodes_is_queued_again_if_it_is_to_go_on(tmp_path, code):
  script(tmp_path, 'srun', f'echo "$@" > {tmp_path}/flags; exit {code}')
  done = subprocess.run(
    [LAUNCH / 'slurm_multihost.sh', '--config=modadd', '--workdir=a b'],
    env=environment(tmp_path),
  )
  assert done.returncode == code
  assert (
    'emergence_jax.cli.command run --multihost --config=modadd --workdir=a b'
    in ((tmp_path / 'flags').read_text())
  )
  assert (tmp_path / 'told').exists() == (code == 75)


def test_every_worker_of_a_tpu_gets_the_same_command(tmp_path):
  tool = script(tmp_path, 'gcloud', f'printf "%s\\n" "$@" > {tmp_path}/told')
  subprocess.run(
    [LAUNCH / 'tpu_vm.sh', 'name', 'zone', '--workdir=a b', '--config=modadd'],
    env={**os.environ, 'GCLOUD': str(tool)}, check=True,
  )  # fmt: skip
  told = (tmp_path / 'told').read_text().splitlines()
  assert '--worker=all' in told and '--zone=zone' in told
  assert told[-1].endswith(
    'emergence_jax.cli.command run --multihost --workdir=a\\ b --config=modadd '
  )
