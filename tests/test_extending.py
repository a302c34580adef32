"""A run goes on to more steps, as if it had been that long from the first."""

import os
import shutil

import pytest
import xarray as xr

from emergence_jax.base.types import UserError
from emergence_jax.config import schema
from emergence_jax.running import extending, loop, offline
from emergence_jax.store import timeseries
from tests import small, tiers


def quiet(line):
  """Says nothing."""


def run(workdir, steps, log=quiet, **groups):
  groups['checkpoints'] = {'keep': 0, **groups.get('checkpoints', {})}
  config = small.modadd_config(steps=steps, **groups)
  return loop.run(schema.from_mapping(config), workdir, log)


@pytest.fixture(scope='module')
def short(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('short') / 'run'
  run(workdir, 4)
  offline.measure(workdir, ['alignment'], quiet)
  return workdir


@pytest.fixture(scope='module')
def long(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('long') / 'run'
  run(workdir, 8)
  offline.measure(workdir, ['alignment'], quiet)
  return timeseries.load(workdir).load()


@pytest.fixture
def copy(short, tmp_path):
  shutil.copytree(short, tmp_path / 'run')
  return tmp_path / 'run'


@pytest.mark.nightly
def test_the_bits_of_a_run_that_was_long_from_the_first(copy, long):
  lines = []
  assert run(copy, 8, lines.append) is loop.Outcome.FINISHED
  assert any('goes on from step 4 to 8' in line for line in lines)
  found = timeseries.load(copy).load()
  # What `measure` had added is there, up to where the run had come.
  assert found.task_grad_norm.isel(step=slice(3)).notnull().all()
  assert found.task_grad_norm.isel(step=slice(3, None)).isnull().all()
  done = offline.measure(copy, ['alignment'], quiet)
  assert done.failed == [] and done.checkpoints == 2
  xr.testing.assert_identical(timeseries.load(copy).load(), long)
  # And it is finished now, for the longer configuration.
  assert run(copy, 8) is loop.Outcome.ALREADY_FINISHED
  with pytest.raises(UserError, match='train.steps: there 8, now 4'):
    run(copy, 4)


@pytest.mark.nightly
@pytest.mark.parametrize('at', tiers.some([1, 2, 3], 1))
def test_a_kill_while_stores_change_places(copy, long, monkeypatch, at):
  rename, count = os.rename, iter(range(99))

  def killed(source, target):
    rename(source, target)
    names = 'timeseries.longer', 'timeseries.before'
    moved = any(str(p).endswith(names) for p in (source, target))
    if moved and next(count) == at - 1:
      raise KeyboardInterrupt

  with monkeypatch.context() as patch:
    patch.setattr(extending.os, 'rename', killed)
    with pytest.raises(KeyboardInterrupt):
      run(copy, 8)
  assert run(copy, 8) is loop.Outcome.FINISHED
  found = timeseries.load(copy).load()
  xr.testing.assert_equal(
    found.drop_vars(['task_grad_norm', 'grad_alignment']),
    long.drop_vars(['task_grad_norm', 'grad_alignment']),
  )
  assert {p.name for p in copy.iterdir()}.isdisjoint(
    {'timeseries.longer', 'timeseries.before', '.longer'}
  )


@pytest.mark.parametrize(
  'groups,words',
  [
    (dict(optimizer=dict(decay='cosine', warmup=1)), 'learning rate depends'),
    (dict(checkpoints=dict(schedule='4')), 'step 2 is a checkpoint of only'),
    (dict(optimizer=dict(rate=0.5)), 'another configuration'),
  ],
)
@pytest.mark.nightly
def test_why_not(tmp_path, groups, words):
  given = dict(groups)
  own = {'optimizer': given['optimizer']} if 'decay' in str(given) else {}
  run(tmp_path, 4, **own)
  before = timeseries.load(tmp_path).load()
  with pytest.raises(UserError, match=words):
    run(tmp_path, 8, **given)
  xr.testing.assert_identical(timeseries.load(tmp_path).load(), before)


def test_a_schedule_that_goes_on_is_proposed():
  old = schema.from_mapping(
    small.modadd_config(steps=5, checkpoints=dict(schedule='1:2,2'))
  )
  new = schema.from_mapping(
    small.modadd_config(steps=9, checkpoints=dict(schedule='1:2,2'))
  )
  with pytest.raises(UserError, match='step 5 is a checkpoint') as caught:
    extending.check(old, new)
  proposed = str(caught.value).rsplit(' ', 1)[1].rstrip('.')
  extending.check(
    old,
    schema.from_mapping(
      small.modadd_config(steps=9, checkpoints=dict(schedule=proposed))
    ),
  )
