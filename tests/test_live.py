"""Scalars that are sent to Weights & Biases, kept offline."""

import importlib.machinery
import json
import struct
import sys
import types

import pytest
import wandb
from wandb.proto import wandb_internal_pb2

from emergence_jax.base.types import UserError
from emergence_jax.config import schema
from emergence_jax.running import live, loop
from emergence_jax.store import timeseries
from tests import small

_HEADER, _BLOCK = 7, 32_768


def records(path):
  """The records of a log in LevelDB's format, behind a header of 7 bytes."""
  data, place, parts = path.read_bytes(), _HEADER, b''
  while place + _HEADER <= len(data):
    left = _BLOCK - place % _BLOCK
    if left < _HEADER:
      place += left
      continue
    length, kind = struct.unpack_from('<HB', data, place + 4)
    place += _HEADER
    parts += data[place : place + length]
    place += length
    if kind in (1, 4):  # whole, or the last part
      yield parts
      parts = b''


def history(path):
  """Step → what was sent of it."""
  found = {}
  for raw in records(path):
    record = wandb_internal_pb2.Record.FromString(raw)
    items = {
      '.'.join(i.nested_key) or i.key: json.loads(i.value_json)
      for i in record.history.item
    }
    if items:
      found[items['_step']] = items
  return found


@pytest.mark.parametrize('kind', list(live.KINDS))
def test_a_library_that_lacks_is_named_before_anything_is_begun(
  tmp_path, monkeypatch, kind
):
  monkeypatch.setattr(live.importlib.util, 'find_spec', lambda name: None)
  config = schema.from_mapping(small.modadd_config())
  with pytest.raises(UserError, match=rf'emergence_jax\[{kind}\]'):
    loop.run(config, tmp_path / 'run', lambda line: None, tracker=kind)
  assert not (tmp_path / 'run').exists()


def test_nobody_is_logged_in(tmp_path, monkeypatch):
  for name in ('WANDB_MODE', 'WANDB_API_KEY'):
    monkeypatch.delenv(name, raising=False)
  monkeypatch.setattr(wandb, 'login', lambda prompt: False)
  config = schema.from_mapping(small.modadd_config())
  with pytest.raises(UserError, match='nobody is logged in.*WANDB_MODE=off'):
    loop.run(config, tmp_path / 'run', lambda line: None, tracker='wandb')
  assert not (tmp_path / 'run').exists()


def test_a_run_for_each_seed_with_the_numbers_of_the_timeseries(
  tmp_path, monkeypatch
):
  monkeypatch.setenv('WANDB_MODE', 'offline')
  config = schema.from_mapping(small.modadd_config())
  loop.run(config, tmp_path, lambda line: None, tracker='wandb')
  # Its service writes the files, of which the last lines may yet be to come.
  wandb.teardown()
  data = timeseries.load(tmp_path)
  for seed in data.seed.values:
    (path,) = (tmp_path / 'wandb').glob(f'offline-run-*-seed-{seed}/*.wandb')
    found = history(path)
    assert found.keys() == set(data.step.values.tolist())
    assert {'train_accuracy/MODADD', 'loss/MODADD'} <= found[0].keys()
    for step, items in found.items():
      at = data.sel(seed=seed, task='MODADD', step=step)
      assert items['rankme/MODADD'] == pytest.approx(at.rankme.values[-1])
      assert items['accuracy/MODADD'] == pytest.approx(at.accuracy.values[-1])
      if step:
        since = data.train_loss.sel(
          seed=seed, train_step=slice(step - 2, step - 1)
        )
        assert items['train_loss'] == pytest.approx(float(since.mean()))


def test_trackio_gets_the_same(tmp_path, monkeypatch):
  """By a library of the same calls, which the tests do not install."""
  runs = []

  class Run:
    def __init__(self, **given):
      self.given, self.rows, self.ended = given, {}, False
      runs.append(self)

    def log(self, values, step):
      self.rows[step] = values

    def finish(self):
      self.ended = True

  fake = types.ModuleType('trackio')
  fake.init = lambda **given: Run(**given)
  fake.__spec__ = importlib.machinery.ModuleSpec('trackio', None)
  monkeypatch.setitem(sys.modules, 'trackio', fake)
  config = schema.from_mapping(small.modadd_config())
  loop.run(config, tmp_path / 'mine', lambda line: None, tracker='trackio')
  data = timeseries.load(tmp_path / 'mine')
  assert [run.given['name'] for run in runs] == ['mine seed 0', 'mine seed 1']
  assert all(run.ended and run.given['group'] == 'mine' for run in runs)
  assert runs[0].given['config']['optimizer.rate'] == 2e-3
  for step in data.step.values:
    at = data.sel(seed=1, task='MODADD', step=step)
    sent = runs[1].rows[step]
    assert sent['rankme/MODADD'] == pytest.approx(at.rankme.values[-1])
