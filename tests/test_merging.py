"""Runs of different seeds become one timeseries."""

import shutil

import numpy as np
import pytest
import xarray as xr

from emergence_jax.base.types import UserError
from emergence_jax.config import schema
from emergence_jax.running import loop, merging, offline
from emergence_jax.store import history, packing, timeseries
from tests import apps, small


def quiet(line):
  """Says nothing."""


def make(workdir, first, count, steps=6, **groups):
  config = small.modadd_config(steps=steps, count=count, **groups)
  config.seeds.first = first
  loop.run(schema.from_mapping(config), workdir, quiet)
  return workdir


@pytest.fixture(scope='module')
def parts(tmp_path_factory):
  folder = tmp_path_factory.mktemp('parts')
  return [make(folder / 'b', 2, 2), make(folder / 'a', 0, 2)]


@pytest.mark.nightly
def test_two_runs_are_one_of_all_seeds(parts, tmp_path):
  whole = timeseries.load(make(tmp_path / 'whole', 0, 4)).load()
  assert merging.merge(parts, tmp_path / 'both', quiet) == [0, 1, 2, 3]
  both = timeseries.load(tmp_path / 'both').load()
  assert both.sizes == whole.sizes and set(both) == set(whole)
  xr.testing.assert_allclose(both, whole, rtol=1e-4, atol=1e-6)
  # To the bit what each of them has, and saying the same of itself.
  for seeds, part in (([2, 3], parts[0]), ([0, 1], parts[1])):
    mine = timeseries.load(part).load()
    xr.testing.assert_equal(both.sel(seed=seeds), mine)
    assert both.rankme.attrs == mine.rankme.attrs
  with pytest.raises(UserError, match='holds a timeseries'):
    merging.merge(parts, tmp_path / 'both', quiet)
  done = apps.call('analyze', '--draws=20', f'--workdir={tmp_path / "both"}')
  assert done.returncode == 0, done.stderr


@pytest.mark.nightly
def test_other_lengths_and_measures_are_named(parts, tmp_path):
  copy = tmp_path / 'a'
  shutil.copytree(parts[1], copy)
  offline.measure(copy, ['alignment'], quiet)
  lines = []
  merging.merge([parts[0], copy], tmp_path / 'both', lines.append)
  assert 'left out, since not all of them have it: grad_alignment' in lines[0]
  assert 'task_grad_norm' not in timeseries.load(tmp_path / 'both')
  # One that has not come as far.
  from emergence_jax.store import rows

  rows.Writer(copy).drop_after(2)
  merging.merge([parts[0], copy], tmp_path / 'short', lines.append)
  assert 'joined up to 2.' in lines[-1]
  short = timeseries.load(tmp_path / 'short').load()
  assert short.step.values.tolist() == [0, 2]
  assert np.isfinite(short.train_loss).all() and short.sizes['train_step'] == 2


@pytest.mark.nightly
def test_a_packed_run_and_a_whole_one(parts, tmp_path):
  packing.pack(parts[1], tmp_path / 'packed')
  lines = []
  out = tmp_path / 'both'
  assert merging.merge([tmp_path / 'packed', parts[0]], out, lines.append)
  assert 'packed: packed, without flags of examples' in lines[0]
  both = timeseries.load(out).load()
  merging.merge(parts, tmp_path / 'whole', quiet)
  whole = timeseries.load(tmp_path / 'whole').load()
  for name in set(both) - {history.BETWEEN}:
    xr.testing.assert_equal(both[name], whole[name])
  assert {'train_loss', 'grad_norm'} == {
    n for n in set(whole) - set(both) if 'item' not in whole[n].dims
  }
  np.testing.assert_array_equal(
    history.loss_between(both), history.loss_between(whole)
  )
  assert both.attrs['examples'] == whole.sizes['item']
  # What is joined is packed and joined again.
  packing.pack(out, tmp_path / 'again')
  more = [tmp_path / 'again', make(tmp_path / 'c', 4, 1)]
  assert merging.merge(more, tmp_path / 'more', quiet) == [0, 1, 2, 3, 4]


@pytest.mark.nightly
def test_what_is_refused(parts, tmp_path):
  with pytest.raises(UserError, match='at least two'):
    merging.merge(parts[:1], tmp_path / 'out', quiet)
  with pytest.raises(UserError, match='both have seed 2'):
    merging.merge([parts[0], parts[0]], tmp_path / 'out', quiet)
  other = make(
    tmp_path / 'other', 7, 1, checkpoints=dict(schedule='3'),
    optimizer=dict(rate=0.5),
  )  # fmt: skip
  with pytest.raises(UserError) as caught:
    merging.merge([parts[0], other], tmp_path / 'out', quiet)
  message = str(caught.value)
  assert "config.checkpoints.schedule='2' and '3'" in message
  assert 'config.optimizer.rate=' in message
  with pytest.raises(UserError, match='holds no timeseries'):
    merging.merge([parts[0], tmp_path / 'nowhere'], tmp_path / 'out', quiet)
  assert not (tmp_path / 'out').exists()
