"""The store: rows, holes, dropping, and reading an unfinished run."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from tensorboardX.proto import event_pb2

from emergence_jax.base.types import Field, Status, UserError
from emergence_jax.store import export, rows, timeseries

STEPS = np.array([0, 2, 4, 6])


@pytest.fixture
def workdir(tmp_path):
  timeseries.create(
    tmp_path,
    fields={
      'accuracy': Field(('task', 'level'), 'float32', 'accuracy', '1'),
      'correct': Field(('task', 'level', 'item'), 'int8', 'flags', '1'),
    },
    coords={'task': ['ADD', 'MUL'], 'level': ['1'], 'item': np.arange(3)},
    chance_KxL=np.array([[0.1], [0.2]]),
    seeds=np.array([5, 6]),
    steps=STEPS,
    train_steps=6,
    attributes={'title': 'test'},
  )
  return tmp_path


def row(value):
  return {
    'accuracy': np.full((2, 2, 1), value, np.float32),
    'correct': np.full((2, 2, 1, 3), value > 0.5, np.int8),
  }


def history(start, count):
  one = np.arange(start, start + count, dtype=np.float32)
  return {'train_loss': np.stack([one, -one]), 'grad_norm': np.ones((2, count))}


def write(workdir, until):
  writer = rows.Writer(workdir)
  for step in STEPS[STEPS <= until].tolist():
    if step:
      writer.write_history(step - 2, history(step - 2, 2))
    writer.write_row(step, row(step / 6), np.array([0, 0]))
  return writer


def test_round_trip(workdir):
  write(workdir, 6)
  data = timeseries.load(workdir)
  assert data.accuracy.dims == ('seed', 'step', 'task', 'level')
  assert data.sizes == dict(
    seed=2, step=4, task=2, level=1, item=3, train_step=6
  )
  assert data.task.values.tolist() == ['ADD', 'MUL']
  assert data.seed.values.tolist() == [5, 6]
  np.testing.assert_allclose(
    data.accuracy.sel(seed=5, task='MUL', level='1'), STEPS / 6, rtol=1e-6
  )
  np.testing.assert_array_equal(data.train_loss.sel(seed=6), -np.arange(6))
  assert data.accuracy.attrs['long_name'] == 'accuracy'
  assert data.accuracy.attrs['units'] == '1'
  assert data.chance.sel(task='MUL').item() == 0.2


def test_an_unfinished_run_ends_at_its_last_whole_row(workdir):
  writer = write(workdir, 2)
  # A kill between the values and the status of a row.
  writer._arrays['accuracy'][:, 2] = 0.5
  writer.write_history(2, history(2, 1))
  data = timeseries.load(workdir)
  assert data.step.values.tolist() == [0, 2]
  assert data.sizes['train_step'] == 2
  assert np.isfinite(data.accuracy).all()


def test_dropping_leaves_no_trace(workdir):
  write(workdir, 2)
  short = timeseries.load(workdir).load()
  writer = write(workdir, 6)
  assert writer.drop_after(2) == (2, [])
  xr.testing.assert_identical(timeseries.load(workdir).load(), short)
  whole = xr.open_zarr(workdir / timeseries.STORE, consolidated=False)
  assert np.isnan(whole.accuracy[:, 2:]).all()
  assert np.isnan(whole.train_loss[:, 2:]).all()
  write(workdir, 6)
  assert timeseries.load(workdir).sizes['step'] == 4


def test_measures_that_were_not_due_are_nan(workdir):
  writer = rows.Writer(workdir)
  writer.write_row(0, {'accuracy': row(1)['accuracy']}, np.array([0, 7]))
  data = timeseries.load(workdir)
  assert (data.correct == -1).all()
  assert data.status.values.tolist() == [[0], [7]]


def test_an_empty_run_can_be_read(workdir):
  data = timeseries.load(workdir)
  assert data.sizes['step'] == 0 and data.sizes['train_step'] == 0


def test_dropped_rows_are_to_be_measured_again(workdir):
  writer = write(workdir, 6)
  for step in (0, 2, 6):
    writer.add_to_row(step, {}, 'llc', {})
  assert writer.drop_after(2) == (2, ['llc'])
  assert rows.Writer(workdir).notes()['llc']['steps'] == [0, 2]


def test_csv(workdir, tmp_path):
  write(workdir, 4)
  paths = export.to_csv(workdir, tmp_path / 'csv')
  names = {p.name for p in paths}
  assert names == {
    'by_task_level.csv',
    'by_seed_step.csv',
    'by_seed_step_task_level.csv',
    'by_seed_train_step.csv',
  }
  lines = (tmp_path / 'csv' / 'by_seed_step_task_level.csv').read_text()
  lines = lines.splitlines()
  assert lines[0].split(',')[:4] == ['seed', 'step', 'task', 'level']
  assert len(lines) == 1 + 2 * 3 * 2


def test_tables_do_not_depend_on_the_order_of_variables(workdir):
  write(workdir, 6)
  data = timeseries.load(workdir)
  forth, back = (
    export.tables(data[names])
    for names in (sorted(data), sorted(data, reverse=True))
  )
  assert list(forth) == list(back)
  for name, table in forth.items():
    pd.testing.assert_frame_equal(table, back[name])


def test_parquet_holds_the_same(workdir, tmp_path):
  write(workdir, 6)
  csv = export.to_csv(workdir, tmp_path / 'csv')
  parquet = export.to_parquet(workdir, tmp_path / 'parquet')
  for a, b in zip(csv, parquet):
    one, other = pd.read_csv(a), pd.read_parquet(b)
    assert list(one) == list(other) and len(one) == len(other)
    numbers = other.select_dtypes('number').columns
    np.testing.assert_allclose(one[numbers], other[numbers], rtol=1e-5)


def events(path):
  """Scalars of a TensorBoard file: (tag, step) → value."""
  content, found = path.read_bytes(), {}
  while content:
    size = int.from_bytes(content[:8], 'little')
    event = event_pb2.Event.FromString(content[12 : 12 + size])
    content = content[16 + size :]
    for value in event.summary.value:
      found[value.tag, event.step] = value.simple_value
  return found


def test_tensorboard_has_a_run_for_each_seed(workdir, tmp_path):
  write(workdir, 6)
  data = timeseries.load(workdir)
  folders = export.to_tensorboard(workdir, tmp_path / 'tb')
  assert len(folders) == data.sizes['seed']
  (path,) = folders[0].glob('events*')
  task, level = data.task.values[0], data.level.values[0]
  found = events(path)
  for i, step in enumerate(data.step.values):
    np.testing.assert_allclose(
      found[f'accuracy/{task}/{level}', int(step)],
      data.accuracy.values[0, i, 0, 0], rtol=1e-6,
    )  # fmt: skip


def test_no_run_is_an_error(tmp_path):
  with pytest.raises(UserError, match='holds no timeseries.zarr'):
    timeseries.load(tmp_path)


def test_words_and_numbers_of_statuses_are_one_list():
  words = [status.words for status in Status]
  assert len(set(words)) == len(words) == len({int(s) for s in Status})
  assert not hasattr(timeseries, 'OK')
