"""A run in one small file is read as a run is."""

import numpy as np
import pytest
import xarray as xr

from emergence_jax.analysis import runs
from emergence_jax.base.types import UserError
from emergence_jax.config import schema
from emergence_jax.running import loop
from emergence_jax.store import history, layout, packing, timeseries
from tests import apps, small


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
  path = tmp_path_factory.mktemp('run') / 'run'
  raw = small.modadd_config(steps=12)
  loop.run(schema.from_mapping(raw), path, lambda line: None)
  return path


def test_what_is_kept_is_kept_to_the_bit(workdir, tmp_path):
  packing.pack(workdir, tmp_path)
  whole, packed = timeseries.load(workdir), timeseries.load(tmp_path)
  left_out = set(whole.variables) - set(packed.variables)
  assert left_out == {
    'correct', 'trained_on', 'item', 'train_loss', 'grad_norm', 'train_step'
  } & set(whole.variables)  # fmt: skip
  assert set(packed.variables) - set(whole.variables) == {history.BETWEEN}
  for name in packed.drop_vars(history.BETWEEN).data_vars:
    xr.testing.assert_equal(packed[name].load(), whole[name].load())
    assert packed[name].attrs == whole[name].attrs
  assert packed.attrs == {**whole.attrs, 'examples': whole.sizes['item']}
  size = (tmp_path / layout.PACKED).stat().st_size
  assert size < 100_000


def test_the_analysis_finds_the_same(workdir, tmp_path):
  packing.pack(workdir, tmp_path / 'run')
  (one,), (other,) = (
    runs.load([w]).values() for w in (workdir, tmp_path / 'run')
  )
  assert one.data.attrs['examples'] == other.data.attrs['examples']
  names = [
    n for n in one.data.data_vars if 'train_step' not in one.data[n].dims
  ]
  xr.testing.assert_equal(one.data[names], other.data[names])


@pytest.mark.nightly
def test_apps_read_it(workdir, tmp_path):
  done = apps.call(
    'export', f'--workdir={workdir}', '--format=packed', f'--folder={tmp_path}'
  )
  assert done.returncode == 0, done.stderr
  assert f'wrote {tmp_path / layout.PACKED}' in done.stdout
  shown = apps.call('analyze', f'--workdir={tmp_path}')
  assert shown.returncode == 0, shown.stderr
  again = apps.call('report', f'--workdir={tmp_path}')
  assert again.returncode == 0, again.stderr
  assert (tmp_path / 'report' / 'report.html').exists()


def test_no_flipped_bit_goes_unnoticed(workdir, tmp_path):
  packing.pack(workdir, tmp_path)
  path = tmp_path / layout.PACKED
  whole = path.read_bytes()
  rng = np.random.default_rng(0)
  for _ in range(50):
    data = bytearray(whole)
    data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    path.write_bytes(data)
    with pytest.raises(UserError, match='is damaged'):
      timeseries.load(tmp_path)
  for length in (0, 2, len(whole) // 2, len(whole) - 1):
    path.write_bytes(whole[:length])
    with pytest.raises(UserError, match='is damaged'):
      timeseries.load(tmp_path)


def test_the_loss_between_rows():
  loss = np.array([[4.0, 3.0, 2.0, 1.0], [4.0, np.nan, np.nan, np.nan]])
  data = xr.Dataset(
    {'train_loss': (('seed', 'train_step'), loss)},
    {'seed': [0, 1], 'step': [0, 1, 4], 'train_step': np.arange(4)},
  )
  between = history.loss_between(data)
  assert between.dims == ('seed', 'step')
  assert between.values[0].tolist() == [4.0, 4.0, 2.0]
  # A seed that diverged has none from there on.
  assert np.isnan(between.values[1]).tolist() == [False, False, True]
  # One that began at step 2 from another run.
  loss[0, :2] = np.nan
  later = history.loss_between(
    data.isel(seed=[0]).assign_coords(step=[2, 3, 4])
  )
  assert later.values.tolist() == [[2.0, 2.0, 1.0]]
