"""A run that a signal or a kill ends, and that goes on to the same bits."""

import json
import os
import re
import shutil
import signal
import threading

import numpy as np
import pytest
import xarray as xr

from emergence_jax.config import schema
from emergence_jax.running import loop, programs
from emergence_jax.running.sources import measuring, training
from emergence_jax.store import checkpoints, layout, timeseries
from tests import small, tiers
from tests.test_loop import run


def test_a_run_killed_at_its_very_beginning_goes_on(tmp_path):
  (tmp_path / 'env.json').write_text('{}')
  (tmp_path / 'config.partial').write_text('{"ta')
  assert run(tmp_path, small.modadd_config()) is loop.Outcome.FINISHED


def stopping_at(monkeypatch, step):
  """Sends SIGTERM to this process in the segment that reaches `step`."""
  segment = programs.Programs.segment

  def sending(self, population, steps):
    result = segment(self, population, steps)
    if int(result[0].step[0]) == step:
      os.kill(os.getpid(), signal.SIGTERM)
    return result

  monkeypatch.setattr(programs.Programs, 'segment', sending)


@pytest.mark.parametrize('step', [1, 4, 5])
def test_sigterm_saves_and_the_rest_is_the_same(
  finished, tmp_path, monkeypatch, step
):
  monkeypatch.setattr(training.Pacer, 'next', lambda self, remaining: 1)
  with monkeypatch.context() as patch:
    stopping_at(patch, step)
    lines = []
    assert run(tmp_path, small.modadd_config(), lines.append) is (
      loop.Outcome.STOPPED
    )
  assert f'--workdir={tmp_path}' in lines[-1] and 'SIGTERM' in lines[-1]
  assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
  lines.clear()
  assert run(tmp_path, small.modadd_config(), lines.append) is (
    loop.Outcome.FINISHED
  )
  assert any(f'checkpoint of step {step}' in line for line in lines)
  xr.testing.assert_identical(
    timeseries.load(tmp_path).load(), timeseries.load(finished).load()
  )


def test_a_kill_between_the_last_row_and_its_population(finished, tmp_path):
  workdir = tmp_path / 'run'
  shutil.copytree(finished, workdir)
  config = small.modadd_config()
  last = timeseries.reached(workdir)[-1]
  shutil.rmtree(workdir / checkpoints.FOLDER / str(last))
  assert run(workdir, config) is loop.Outcome.FINISHED
  with checkpoints.Checkpoints(workdir, read_only=True) as saved:
    assert saved.steps()[-1] == last
  xr.testing.assert_identical(
    timeseries.load(workdir).load(), timeseries.load(finished).load()
  )
  assert run(workdir, config) is loop.Outcome.ALREADY_FINISHED


@pytest.fixture(scope='module')
def saved_seldom(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('seldom')
  config = small.modadd_config(8, checkpoints=dict(save_every=3, keep=0))
  assert run(workdir, config) is loop.Outcome.FINISHED
  return workdir, config


@pytest.mark.nightly
def test_populations_saved_at_every_third_checkpoint(saved_seldom):
  workdir, _ = saved_seldom
  with checkpoints.Checkpoints(workdir, read_only=True) as saved:
    assert saved.steps() == [0, 6, 8]
  assert timeseries.reached(workdir) == [0, 2, 4, 6, 8]


@pytest.mark.parametrize(
  'step,goes_on_from',
  # Behind step 2 the barrier wants the population of the row before.
  [(1, 1), (2, 2), (3, 1), (6, 0), (7, 7)],
)
def test_stopped_between_saves_the_rest_is_the_same(
  saved_seldom, tmp_path, monkeypatch, step, goes_on_from
):
  finished, config = saved_seldom
  monkeypatch.setattr(training.Pacer, 'next', lambda self, remaining: 1)
  if step == 3:
    with monkeypatch.context() as patch:
      stopping_at(patch, 1)
      assert run(tmp_path, config) is loop.Outcome.STOPPED
  with monkeypatch.context() as patch:
    stopping_at(patch, step)
    lines = []
    assert run(tmp_path, config, lines.append) is loop.Outcome.STOPPED
  kept = ' and saved;' if goes_on_from == step else ' and saved up to step '
  assert f'stopped by SIGTERM{kept}' in lines[-1]
  lines.clear()
  assert run(tmp_path, config, lines.append) is loop.Outcome.FINISHED
  said = [s for s in lines if s.startswith('going on from the checkpoint')]
  assert re.findall(r'step (\d+)', said[0]) == [str(goes_on_from)]
  xr.testing.assert_identical(
    timeseries.load(tmp_path).load(), timeseries.load(finished).load()
  )


def test_a_kill_between_two_saves_costs_no_bit(
  saved_seldom, tmp_path, monkeypatch
):
  finished, config = saved_seldom
  take = measuring.take

  def dying(source, step, names):
    if step == 4:
      raise KeyboardInterrupt
    return take(source, step, names)

  with monkeypatch.context() as patch:
    patch.setattr(measuring, 'take', dying)
    with pytest.raises(KeyboardInterrupt):
      run(tmp_path, config)
  assert timeseries.reached(tmp_path) == [0, 2]
  lines = []
  assert run(tmp_path, config, lines.append) is loop.Outcome.FINISHED
  assert any('checkpoint of step 0; 1 rows past it' in s for s in lines)
  xr.testing.assert_identical(
    timeseries.load(tmp_path).load(), timeseries.load(finished).load()
  )


@pytest.mark.parametrize('at_once', [False, True])
def test_a_signal_while_a_row_is_measured_does_not_wait_for_its_end(
  finished, tmp_path, monkeypatch, at_once
):
  """The population is saved, and the row measured on going on.

  Nor for the end of the measure, where the process ends: for such a one that
  never comes back.
  """
  measured, released = [], threading.Event()
  # Not those that are kept between tests: these are bound anew.
  fresh = programs.Programs.__bases__[0]
  bind = fresh._bind

  def sending(self, name, fixed):
    call = bind(self, name, fixed)

    def one(population, previous=None):
      measured.append(population.now())
      if measured.count(4) == 1 and measured[-1] == 4:
        os.kill(os.getpid(), signal.SIGTERM)
        if at_once:
          released.wait()
      return call(population, previous)

    return one

  with monkeypatch.context() as patch:
    patch.setattr(programs, 'Programs', fresh)
    patch.setattr(fresh, '_bind', sending)
    config = schema.from_mapping(small.modadd_config())
    outcome = loop.run(config, tmp_path, leaves_at_once=at_once)
    released.set()
  assert outcome is loop.Outcome.STOPPED
  assert measured.count(2) == 3 and measured.count(4) == 1
  assert timeseries.reached(tmp_path) == [0, 2]
  lines = []
  assert run(tmp_path, small.modadd_config(), lines.append) is (
    loop.Outcome.FINISHED
  )
  assert any('checkpoint of step 4' in line for line in lines)
  xr.testing.assert_identical(
    timeseries.load(tmp_path).load(), timeseries.load(finished).load()
  )


def compiling_until(monkeypatch, step):
  """Measures are compiled once the training has reached a step."""
  segment, reached = programs.Programs.segment, [0]

  def seen(self, population, steps):
    result = segment(self, population, steps)
    reached.append(int(result[0].step[0]))
    return result

  monkeypatch.setattr(programs.Programs, 'segment', seen)
  monkeypatch.setattr(
    programs.Programs, 'ready', lambda self, names: reached[-1] >= step
  )


def test_training_goes_on_while_measures_compile(
  finished, tmp_path, monkeypatch
):
  """And what is measured later is the same."""
  monkeypatch.setattr(training.Pacer, 'next', lambda self, remaining: 1)
  compiling_until(monkeypatch, 5)
  assert run(tmp_path, small.modadd_config()) is loop.Outcome.FINISHED
  xr.testing.assert_identical(
    timeseries.load(tmp_path).load(), timeseries.load(finished).load()
  )


def test_a_signal_while_training_is_ahead(finished, tmp_path, monkeypatch):
  """What is not measured yet is not passed over."""
  monkeypatch.setattr(training.Pacer, 'next', lambda self, remaining: 1)
  with monkeypatch.context() as patch:
    stopping_at(patch, 3)
    compiling_until(patch, 5)
    lines = []
    outcome = run(tmp_path, small.modadd_config(), lines.append)
    assert outcome is loop.Outcome.STOPPED and 'and saved;' in lines[-1]
  assert timeseries.reached(tmp_path) == []
  assert run(tmp_path, small.modadd_config()) is loop.Outcome.FINISHED
  xr.testing.assert_identical(
    timeseries.load(tmp_path).load(), timeseries.load(finished).load()
  )


@pytest.mark.parametrize('name', tiers.some(['SIGTERM', 'SIGHUP', 'SIGINT']))
def test_a_signal_while_a_resumed_run_compiles(
  finished, tmp_path, monkeypatch, name
):
  """There is nothing new to save, and that is no error."""
  monkeypatch.setattr(training.Pacer, 'next', lambda self, remaining: 1)
  with monkeypatch.context() as patch:
    stopping_at(patch, 4)
    run(tmp_path, small.modadd_config())
  compile_ = programs.Programs.compile

  def signalled(self, log):
    os.kill(os.getpid(), getattr(signal, name))
    return compile_(self, log)

  with monkeypatch.context() as patch:
    patch.setattr(programs.Programs, 'compile', signalled)
    lines = []
    assert run(tmp_path, small.modadd_config(), lines.append) is (
      loop.Outcome.STOPPED
    )
    assert name in lines[-1]
  assert run(tmp_path, small.modadd_config()) is loop.Outcome.FINISHED
  xr.testing.assert_identical(
    timeseries.load(tmp_path).load(), timeseries.load(finished).load()
  )


@pytest.mark.nightly
def test_a_barrier_without_the_checkpoint_before_says_so(tmp_path, monkeypatch):
  """Stopped between checkpoints, with only the newest population kept."""
  config = small.modadd_config(checkpoints=dict(keep=1))
  monkeypatch.setattr(training.Pacer, 'next', lambda self, remaining: 1)
  with monkeypatch.context() as patch:
    stopping_at(patch, 3)
    run(tmp_path, config)
  lines = []
  monkeypatch.setattr(
    loop.progress_lib.Progress, 'log', lambda self, line: lines.append(line)
  )
  assert run(tmp_path, config) is loop.Outcome.FINISHED
  assert any('step 2 is gone' in line for line in lines)
  barrier = timeseries.load(tmp_path).loss_barrier
  assert np.isfinite(barrier).all('seed').values.tolist() == [
    False, True, False, True,
  ]  # fmt: skip


def test_a_run_of_before_keys_were_renamed_goes_on(
  finished, tmp_path, monkeypatch
):
  """By the names of now; and its bits are the same."""
  monkeypatch.setattr(training.Pacer, 'next', lambda self, remaining: 1)
  with monkeypatch.context() as patch:
    stopping_at(patch, 4)
    run(tmp_path, small.modadd_config())
  path = tmp_path / 'timeseries.zarr' / 'zarr.json'
  document = json.loads(path.read_text(encoding='utf-8'))
  raw = json.loads(document['attributes']['config'])
  raw['seeds'] |= {'chunk': 0, 'devices': 0}
  document['attributes']['config'] = json.dumps(raw, sort_keys=True)
  path.write_text(json.dumps(document), encoding='utf-8')
  layout._seal(tmp_path / 'timeseries.zarr')
  (tmp_path / 'config.json').write_text(json.dumps(raw), encoding='utf-8')
  lines = []
  outcome = run(tmp_path, small.modadd_config(), lines.append)
  assert outcome is loop.Outcome.FINISHED
  assert not any('damaged' in line for line in lines)
  xr.testing.assert_equal(
    timeseries.load(tmp_path).load(), timeseries.load(finished).load()
  )
