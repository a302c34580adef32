"""Measurements go on with more, and with nothing else."""

import json
import shutil

import jax
import numpy as np
import pytest
import xarray as xr

import emergence_jax as ej
from emergence_jax.base.types import Status, UserError
from emergence_jax.models import gpt
from emergence_jax.running import fingerprints, growing, rundir
from emergence_jax.store import rows, timeseries
from emergence_jax.tasks import probe_sets
from emergence_jax.tasks.modular import ModularAddition
from tests import tiers

TASK = ModularAddition(p=5)


def model(width=8):
  shape = gpt.GPTConfig(
    num_layers=1, d_model=width, num_heads=2, d_ff=16, num_positions=3
  )
  return gpt.model(shape, TASK.vocab_size)


MODEL = model()
MEASURES = {'rank': {'examples': 25}, 'barrier': {'points': 3, 'examples': 5}}
ASKED: list[tuple[int, int]] = []


def load(step, seed):
  ASKED.append((step, seed))
  if (step, seed) == (10, 2):
    raise ZeroDivisionError('no such thing')
  first = MODEL.init(jax.random.key(seed))
  return jax.tree.map(lambda x: (1 + step / 20) * x, first)


def record(workdir, log=lambda line: None, **given):
  options = dict(
    model=MODEL, exams=TASK, measures=MEASURES, steps=(0, 10, 40),
    seeds=range(1, 3), log=log,
  )  # fmt: skip
  ASKED.clear()
  options = {'load': load, **options, **given}
  return ej.measure_checkpoints(options.pop('load'), workdir, **options)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  """Everything at once."""
  workdir = tmp_path_factory.mktemp('whole') / 'mine'
  assert record(workdir) == 3
  return workdir


def test_a_load_that_raises_is_marked(whole):
  data = timeseries.load(whole)
  assert data.status.sel(seed=2).values.tolist() == [0, Status.MISSING, 0]
  assert np.isfinite(data.loss_barrier.sel(seed=2, step=40))


@pytest.mark.parametrize(
  'less',
  tiers.some(
    [
      {'steps': [0, 10]},
      {'steps': [10, 40]},
      {'seeds': [1]},
      {'seeds': [2]},
      {'measures': {'rank': MEASURES['rank']}},
      {'measures': {'barrier': MEASURES['barrier']}, 'steps': [40]},
    ],
    5,
  ),
)
def test_more_goes_on_with_what_is_there(whole, tmp_path, less):
  record(tmp_path / 'mine', **less)
  shutil.move(tmp_path / 'mine', tmp_path / 'moved')
  record(tmp_path / 'moved')
  xr.testing.assert_equal(
    timeseries.load(tmp_path / 'moved').load(), timeseries.load(whole).load()
  )
  assert not (tmp_path / 'moved' / growing.BEFORE).exists()
  assert record(tmp_path / 'moved') == 0


@pytest.mark.nightly
def test_more_of_what_has_not_come_to_its_end(whole, tmp_path, monkeypatch):
  """Killed while it grew, and asked for more again: nothing is lost."""
  record(tmp_path / 'mine', seeds=[1], steps=[10, 40])

  def killed(step, seed):
    if (step, seed) == (40, 2):
      raise KeyboardInterrupt
    return load(step, seed)

  with pytest.raises(KeyboardInterrupt):
    record(tmp_path / 'mine', load=killed, steps=[10, 40])
  record(tmp_path / 'mine')
  # That of the first call; step 10 has now a step before it, and a barrier.
  assert (40, 1) not in ASKED
  xr.testing.assert_equal(
    timeseries.load(tmp_path / 'mine').load(), timeseries.load(whole).load()
  )


def test_what_is_known_is_not_loaded_again(tmp_path):
  record(tmp_path, seeds=[1], measures={'rank': {'examples': 25}})
  count = record(tmp_path, seeds=[1, 5], measures={'rank': {'examples': 25}})
  assert count == 3
  # One of the first, by which it is known again.
  assert ASKED == [(0, 1), (0, 5), (10, 5), (40, 5)]


@pytest.mark.parametrize('moment', tiers.some(['create', 'write_row'], 1))
def test_a_kill_loses_nothing(whole, tmp_path, monkeypatch, moment):
  record(tmp_path / 'mine', seeds=[1])
  calls = []

  def killed(*args, **kwargs):
    calls.append(1)
    if len(calls) == (1 if moment == 'create' else 2):
      raise KeyboardInterrupt
    return original(*args, **kwargs)

  owner = timeseries if moment == 'create' else rows.Writer
  original = getattr(owner, moment)
  with monkeypatch.context() as patch:
    patch.setattr(owner, moment, killed)
    with pytest.raises(KeyboardInterrupt):
      record(tmp_path / 'mine')
  record(tmp_path / 'mine')
  assert (0, 1) not in ASKED[1:]
  xr.testing.assert_equal(
    timeseries.load(tmp_path / 'mine').load(), timeseries.load(whole).load()
  )


@pytest.mark.parametrize(
  'given,words',
  [
    ({'model': model(16)}, 'the model is of another structure'),
    ({'exams': ModularAddition(p=7)}, 'the exams are others'),
    ({'measures': {**MEASURES, 'rank': {'examples': 9}}}, 'rank has other'),
    ({'measures': {'rank': {'examples': 25}}}, 'the measure barrier'),
    ({'steps': [0, 40]}, 'steps that are not asked for any more: 10'),
    ({'seeds': [1]}, 'seeds that are not asked for any more: 2'),
  ],
)
def test_nothing_else_is_taken_for_the_same(whole, given, words):
  with pytest.raises(UserError, match='another configuration') as caught:
    record(whole, **given)
  assert words in str(caught.value)


def test_other_parameters_are_known_by_the_first(whole):
  def other(step, seed):
    return jax.tree.map(lambda x: 2 * x, load(step, seed))

  options = dict(model=MODEL, exams=TASK, measures=MEASURES, steps=[0, 10, 40])
  with pytest.raises(UserError, match='parameters of the first checkpoint'):
    ej.measure_checkpoints(other, whole, seeds=[1, 2], **options, log=list)


@pytest.mark.parametrize(
  'given,words',
  [
    ({'steps': []}, 'steps is empty'),
    ({'seeds': iter(())}, 'seeds is empty'),
    ({'seeds': [1, 1]}, 'seeds holds 1 twice'),
    ({'steps': [0, 5, 5]}, 'steps holds 5 twice'),
    ({'steps': [5, 0]}, 'must increase'),
  ],
)
def test_steps_and_seeds_that_are_none(tmp_path, given, words):
  with pytest.raises(UserError, match=words):
    record(tmp_path / 'new', **given)


@pytest.mark.nightly
def test_parameters_of_another_structure_are_marked(tmp_path):
  said = []
  other = model(16).init(jax.random.key(0))
  options = dict(
    model=MODEL, exams=TASK, measures={'rank': {}}, log=said.append
  )
  ej.measure_checkpoints(
    lambda step, seed: other, tmp_path, steps={3}, seeds={0}, **options
  )
  assert any('not of the structure of the model' in line for line in said)
  assert (timeseries.load(tmp_path).status == Status.MISSING).all()


def test_a_store_from_before_goes_on(whole, tmp_path, monkeypatch):
  """One that kept no checksums of what it measured."""
  workdir = tmp_path / 'old'
  shutil.copytree(whole, workdir)
  read = rundir.read_config

  def older(*args):
    return {k: v for k, v in read(*args).items() if k != growing.MEASURED}

  monkeypatch.setattr(rundir, 'read_config', older)
  said = []
  assert record(workdir, said.append) == 0
  assert any('older version' in line for line in said)


def differences(**changes):
  kept = {
    'checkpoints': {'steps': [0, 1], 'seeds': [0, 1], 'seed_names': ['a', 'b']},
    'measures': {'choice': {}},
    growing.MEASURED: {'sets': {'facts': '1'}, 'tokenizer': '2'},
    'release': {'dtype': 'float32'},
  }  # fmt: skip
  new = {**kept, **changes}
  return growing.differences(kept, new)


@pytest.mark.parametrize(
  'changes,words',
  [
    ({}, None),
    ({growing.MEASURED: {}}, None),
    (
      {growing.MEASURED: {'sets': {'facts': '3'}}},
      'the questions of the set facts are others',
    ),
    ({growing.MEASURED: {'sets': {'facts': '1', 'x': '1'}}}, 'lacks the set x'),
    ({growing.MEASURED: {'tokenizer': '3'}}, 'the tokenizer is another one'),
    ({'release': {'dtype': 'bfloat16'}}, "release.dtype is 'float32' there"),
    (
      {
        'checkpoints': {
          'steps': [0, 1], 'seeds': [0, 1], 'seed_names': ['a', 'c']
        }
      },
      '1 was b and is c',
    ),
  ],
)  # fmt: skip
def test_what_differs_is_said(changes, words):
  found = differences(**changes)
  assert (not found) if words is None else (words in found[0])


def test_a_fingerprint_is_of_the_text():
  items = probe_sets.built_in()['facts']
  same = fingerprints.of_items(list(items))
  assert same == fingerprints.of_items(items)
  for field in ('prompt', 'correct', 'wrong'):
    value = getattr(items[0], field)
    other = [items[0]._replace(**{field: value + value}), *items[1:]]
    assert fingerprints.of_items(other) != same


@pytest.mark.parametrize(
  'line,words',
  [
    ('{"prompt": "a", "correct": " b", "wrong": " Rome"}', 'must be a list'),
    ('{"prompt": "a", "correct": " b", "wrong": {"x": 1}}', 'must be a list'),
  ],
)
def test_lines_of_sets_that_are_refused(tmp_path, line, words):
  (tmp_path / 'own.jsonl').write_text(line, encoding='utf-8')
  with pytest.raises(UserError, match=words):
    probe_sets.read(tmp_path / 'own.jsonl')


def test_lines_of_sets_follow_the_standard(tmp_path):
  path = tmp_path / 'own.jsonl'
  line = json.dumps(
    {'prompt': 'a\u2028b\x85', 'correct': ' c'}, ensure_ascii=False
  )
  path.write_bytes(b'\xef\xbb\xbf' + f'{line}\r\n{line}\n'.encode())
  items = probe_sets.read(path)
  assert [item.prompt for item in items] == ['a\u2028b\x85'] * 2
  assert 'end in a space' not in ''.join(probe_sets.notes({'own': items}))
  spaced = [item._replace(prompt='a ') for item in items]
  assert '2 prompts of the set own' in probe_sets.notes({'own': spaced})[0]


def test_two_sets_of_one_name(tmp_path):
  line = '{"prompt": "a", "correct": " b"}\n'
  for folder in ('one', 'two'):
    (tmp_path / folder).mkdir()
    (tmp_path / folder / 'own.jsonl').write_text(line, encoding='utf-8')
  names = [str(tmp_path / folder / 'own.jsonl') for folder in ('one', 'two')]
  with pytest.raises(UserError, match="two sets have the name 'own'"):
    probe_sets.choose(names)
