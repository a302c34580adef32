"""What was written before is made again where it is older than the rows."""

import itertools
import json
import shutil
import signal
import subprocess
import sys
import warnings
from unittest import mock

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from emergence_jax.base.types import Field
from emergence_jax.cli import sweep
from emergence_jax.report import style
from emergence_jax.running import merging
from emergence_jax.store import (
  files,
  layout,
  outputs,
  records,
  rows,
  timeseries,
)


def made_up(workdir, seeds=(0, 1), shift=0.0):
  """A store of three rows; nothing is trained."""
  workdir.mkdir()
  timeseries.create(
    workdir,
    fields={'accuracy': Field(('task', 'level'), 'float32', 'made up', '1')},
    coords={'task': ['t'], 'level': ['1']},
    chance_KxL=np.full((1, 1), 0.1),
    seeds=np.array(seeds),
    steps=np.array([0, 10, 20]),
    train_steps=20,
    attributes={'config': '{"train": {"steps": 20}}'},
  )
  writer = rows.Writer(workdir)
  loss = np.linspace(3 + shift, 1, 20, dtype=np.float32)
  for name in layout.HISTORY:
    writer.write_history(0, {name: np.tile(loss, (len(seeds), 1))})
  for step in (0, 10, 20):
    value = np.full((len(seeds), 1, 1), step / 20 + shift, np.float32)
    writer.write_row(step, {'accuracy': value}, np.zeros(len(seeds), np.int8))
  files.write_json(workdir / 'config.json', {'train': {'steps': 20}})
  return workdir


def test_outputs_are_as_old_as_the_rows(tmp_path):
  workdir = made_up(tmp_path / 'run')
  assert not outputs.are_current(workdir)
  page = workdir / 'report' / 'report.html'
  page.parent.mkdir()
  page.write_text('a page')
  outputs.write(workdir, outputs.digest(workdir), [page])
  assert outputs.are_current(workdir)
  page.unlink()
  assert not outputs.are_current(workdir)
  page.write_text('a page')
  value = np.full((2, 1, 1), 0.25, np.float32)
  rows.Writer(workdir).write_row(10, {'accuracy': value}, np.zeros(2, np.int8))
  assert not outputs.are_current(workdir)


def _files(workdir, name='accuracy'):
  """Chunks of the three rows of a variable."""
  store = workdir / layout.NAME
  rank = 2 if name == 'status' else 4
  return [store / layout.chunk_file(name, rank, row) for row in range(3)]


def swap(first, second):
  one, other = first.read_bytes(), second.read_bytes()
  first.write_bytes(other)
  second.write_bytes(one)


def test_whole_chunks_in_each_others_places_are_damaged(tmp_path):
  workdir = made_up(tmp_path / 'run')
  zero, one, _ = _files(workdir)
  swap(zero, one)
  with pytest.warns(timeseries.DamageWarning):
    data = timeseries.load(workdir).load()
  assert (data.status == 9).values.tolist() == [[True, True, False]] * 2
  assert np.isnan(data.accuracy[:, :2]).all()
  assert (data.accuracy[:, 2] == 1).all()


@pytest.mark.parametrize('name', ['accuracy', 'status'])
def test_an_older_chunk_or_that_of_another_run_is_damaged(tmp_path, name):
  workdir = made_up(tmp_path / 'run')
  old = _files(workdir, name)[1].read_bytes()
  value = np.full((2, 1, 1), 0.75, np.float32)
  rows.Writer(workdir).write_row(
    10, {'accuracy': value}, np.full(2, 7, np.int8)
  )
  _files(workdir, name)[1].write_bytes(old)
  with pytest.warns(timeseries.DamageWarning):
    data = timeseries.load(workdir).load()
  assert (data.status[:, 1] == 9).all()
  other = made_up(tmp_path / 'other', shift=0.1)
  _files(other)[2].write_bytes(_files(workdir)[2].read_bytes())
  with pytest.warns(timeseries.DamageWarning):
    data = timeseries.load(other).load()
  assert (data.status[:, 2] == 9).all() and (data.status[:, :2] == 0).all()


def _with_history(workdir, length, shift=0.0, steps=(0, 2, 5, 9, 10)):
  """A store whose history has chunks that end between rows."""
  workdir.mkdir()
  with mock.patch.object(layout, 'HISTORY_CHUNK', length):
    timeseries.create(
      workdir, fields={}, coords={'task': ['t'], 'level': ['1']},
      chance_KxL=np.zeros((1, 1)), seeds=np.arange(2), steps=np.array(steps),
      train_steps=10, attributes={},
    )  # fmt: skip
  writer = rows.Writer(workdir)
  value = np.arange(20, dtype=np.float32).reshape(2, 10) + shift
  for start, stop in itertools.pairwise([*steps, 10]):
    writer.write_row(start, {}, np.zeros(2, np.int8))
    if start < stop:
      writer.write_history(start, {'train_loss': value[:, start:stop]})
  return workdir, value


@pytest.mark.parametrize('length', [3, 4])
@pytest.mark.parametrize('how', ['swap', 'foreign', 'stale'])
def test_whole_chunks_of_history_in_a_wrong_place(tmp_path, length, how):
  workdir, value = _with_history(tmp_path / 'run', length)
  assert (timeseries.load(workdir).train_loss.values == value).all()

  def chunk(folder, place):
    return folder / layout.NAME / layout.chunk_file('train_loss', 2, place)

  if how == 'swap':
    swap(chunk(workdir, 0), chunk(workdir, 1))
    bad = slice(0, 2 * length)
  else:
    other, _ = _with_history(tmp_path / 'other', length, shift=0.5)
    if how == 'stale':  # a step more is of this run
      rows.Writer(other).write_history(0, {'train_loss': value[:, :1]})
    shutil.copyfile(chunk(other, 0), chunk(workdir, 0))
    bad = slice(0, length)
  with pytest.warns(timeseries.DamageWarning, match='train_loss'):
    found = timeseries.load(workdir).train_loss.values
  wanted = value.copy()
  wanted[:, bad] = np.nan
  np.testing.assert_array_equal(found, wanted)
  layout_of = dict(
    fields={}, coords={'task': ['t'], 'level': ['1']},
    chance_KxL=np.zeros((1, 1)), seeds=np.arange(2),
    steps=np.array([0, 2, 5, 9, 10]), train_steps=10, attributes={},
  )  # fmt: skip
  rows.mend(workdir, lambda line: None, **layout_of)
  with warnings.catch_warnings():
    warnings.simplefilter('error')
    again = timeseries.load(workdir).train_loss.values
  np.testing.assert_array_equal(again, wanted)


def test_a_status_that_links_nowhere_is_damage(tmp_path):
  """And no row that is still to come."""
  workdir = made_up(tmp_path / 'run')
  last = _files(workdir, 'status')[2]
  last.unlink()
  last.symlink_to('nowhere')
  with pytest.warns(timeseries.DamageWarning, match='status'):
    data = timeseries.load(workdir)
  assert data.sizes['step'] == 3 and (data.status[:, 2] == 9).all()


def test_the_group_s_metadata_are_not_an_array_s(tmp_path):
  workdir = made_up(tmp_path / 'run')
  store = workdir / layout.NAME
  shutil.copyfile(store / 'zarr.json', store / 'accuracy' / 'zarr.json')
  with pytest.warns(timeseries.DamageWarning, match='accuracy'):
    assert 'accuracy' not in timeseries.load(workdir)


@pytest.mark.parametrize('how', ['lost', 'of another row', 'cut'])
def test_a_record_that_is_not_its_row_s_is_damage(tmp_path, how):
  workdir = made_up(tmp_path / 'run')
  store = workdir / layout.NAME
  record, other = (store / records.name_of(step) for step in (10, 20))
  if how == 'lost':
    record.unlink()
  elif how == 'cut':
    record.write_bytes(record.read_bytes()[:20])
  else:
    record.write_bytes(other.read_bytes())
  with pytest.warns(timeseries.DamageWarning, match=r'rows/10\.json'):
    data = timeseries.load(workdir).load()
  assert (data.status == 9).values.tolist() == [[False, True, False]] * 2


def test_a_store_from_before_records_is_read(tmp_path):
  workdir = made_up(tmp_path / 'run')
  store = workdir / layout.NAME
  shutil.rmtree(store / 'status' / 'rows')
  document = json.loads((store / 'zarr.json').read_text())
  del document['attributes'][records.KEPT]
  (store / 'zarr.json').write_text(json.dumps(document))
  layout._seal(store)
  data = timeseries.load(workdir).load()
  assert (data.status == 0).all() and (data.accuracy[:, 2] == 1).all()
  rows.Writer(workdir).write_row(20, {}, np.full(2, 9, np.int8))
  assert not (store / 'status' / 'rows').exists()


@pytest.mark.parametrize('after', ['_create', '_fill', '_describe'])
def test_a_merge_that_is_cut_off_is_made_again(tmp_path, monkeypatch, after):
  parts = [made_up(tmp_path / 'a'), made_up(tmp_path / 'b', (2, 3))]
  out = tmp_path / 'both'

  def cut(*args):
    raise KeyboardInterrupt

  with monkeypatch.context() as patch:
    patch.setattr(merging, after, cut)
    with pytest.raises(KeyboardInterrupt):
      merging.merge(parts, out, lambda line: None)
  assert not (out / layout.NAME).exists()
  assert merging.merge(parts, out, lambda line: None) == [0, 1, 2, 3]
  assert timeseries.load(out).sizes['step'] == 3
  assert not [p for p in out.iterdir() if 'partial' in p.name]


def test_what_a_killed_process_left_is_removed(tmp_path):
  ours = tmp_path / 'kept.csv'
  dead = subprocess.run([sys.executable, '-c', 'import os; print(os.getpid())'],
                        capture_output=True, text=True)  # fmt: skip
  left = tmp_path / f'{files._partial(int(dead.stdout))}.csv'
  left.touch()
  with files.replacing(ours) as partial:
    partial.write_text('whole')
    files.check_writable(tmp_path, 'give another folder')
    assert not left.exists() and partial.exists()  # that of a process at work
  assert [p.name for p in tmp_path.iterdir()] == ['kept.csv']


def test_texts_are_no_formulas():
  frame = pd.DataFrame(
    {'name': ['=1+1', 'a', '@x', '-1'], 'x': [-1.0, 2, 3, 4]}
  )
  text = files.as_text(frame)
  assert text.name.tolist() == ["'=1+1", 'a', "'@x", "'-1"]
  assert text.x.tolist() == [-1, 2, 3, 4]


def test_the_same_figure_is_the_same_file(tmp_path):
  contents = []
  for name in ('a', 'b'):
    figure, axis = plt.subplots()
    axis.plot([0, 1], label='x')
    axis.legend()
    axis.fill_between([0, 1], [0, 1], hatch='/')
    style.save(figure, tmp_path / f'{name}.svg')
    plt.close(figure)
    contents.append((tmp_path / f'{name}.svg').read_bytes())
  assert contents[0] == contents[1]


_WAITS = """
import sys, time
sys.argv[0] = {app!r}
from emergence_jax.cli import apps
apps._start()
with apps.errors():
  print('begun', flush=True)
  while True:
    time.sleep(1)
"""


@pytest.mark.parametrize(
  'number,app,code',
  [
    (signal.SIGINT, 'report.py', 130),
    (signal.SIGTERM, 'report.py', 143),
    (signal.SIGTERM, 'run.py', 75),
  ],
)
def test_two_signals_end_without_a_traceback(number, app, code):
  process = subprocess.Popen(
    [sys.executable, '-c', _WAITS.format(app=app)], stdout=subprocess.PIPE,
    stderr=subprocess.PIPE, text=True,
  )  # fmt: skip
  assert process.stdout.readline() == 'begun\n'
  process.send_signal(number)
  process.send_signal(number)
  out, error = process.communicate(timeout=60)
  assert out == f'stopped by {number.name}.\n' and not error
  assert process.returncode == code


@pytest.mark.parametrize('code', [0, 1, 75])
def test_a_sweep_that_is_told_to_stop_stops(monkeypatch, code):
  """However its child ends that was still starting."""

  class Child:
    def __init__(self, command):
      signal.raise_signal(signal.SIGTERM)

    def send_signal(self, number):
      assert number == signal.SIGTERM

    def wait(self):
      return code

  monkeypatch.setattr(sweep.subprocess, 'Popen', Child)
  before = signal.getsignal(signal.SIGTERM)
  assert sweep.call(['run']) == 75
  assert signal.getsignal(signal.SIGTERM) is before
