"""Configurations: the ones that ship, and messages for wrong ones."""

import dataclasses
import types

import numpy as np
import pytest

from emergence_jax.base.types import UserError
from emergence_jax.config import older, schema
from emergence_jax.config.presets import algorithmic, modadd
from emergence_jax.machine import mesh
from emergence_jax.models import gpt
from tests import small


@pytest.mark.parametrize('size', [*gpt.SIZES, 'smoke'])
def test_shipped_sizes(size):
  config = schema.from_mapping(algorithmic.get_config(size))
  assert config.objective.num_params() >= 405_248
  if size != 'smoke':
    longer = size in ('medium', 'large', 'xlarge')
    assert config.train.steps == (200_000 if longer else 100_000)
    assert config.optimizer.rate == (1e-4 if longer else 3e-4)


def test_the_profile_for_a_cpu_thins_and_changes_no_definition():
  full, thin = (
    schema.from_mapping(algorithmic.get_config(argument))
    for argument in ('nano', 'nano,cpu')
  )
  assert full.model == thin.model and full.optimizer == thin.optimizer
  assert full.train == thin.train
  np.testing.assert_array_equal(full.steps, thin.steps)
  assert full.measures.keys() == thin.measures.keys()
  for name, spec in thin.measures.items():
    # How much is looked at, and of which tasks.
    fewer = {'examples', 'batch_size', 'tasks', 'levels'}
    for key in spec.options.keys() - fewer:
      assert spec.options[key] == full.measures[name].options[key]
  # n sets the inverse temperature of an LLC.
  assert 'examples' not in thin.measures['llc'].options
  rank = thin.measures['rank']
  assert rank.options['levels'] is False
  others = {k: v for k, v in rank.options.items() if k != 'levels'}
  assert dataclasses.replace(rank, options=others) == full.measures['rank']


def test_the_profile_for_accelerators_only_thins():
  full, own = (
    schema.from_mapping(algorithmic.get_config(argument))
    for argument in ('nano', 'nano,gpu')
  )
  assert own.train.precision == 'tensorfloat32'
  assert own.train == dataclasses.replace(full.train, precision='tensorfloat32')
  np.testing.assert_array_equal(full.steps, own.steps)
  for name, spec in own.measures.items():
    assert spec == dataclasses.replace(full.measures[name], every=spec.every)
    every = 1 if name in ('behaviour', 'rank', 'barrier', 'norms') else 6
    assert spec.every == every
  assert (
    sum(own.measures['llc'].is_due(i, s) for i, s in enumerate(own.steps)) == 41
  )


@pytest.mark.parametrize('p', ['31', '113', '7'])
def test_shipped_moduli(p):
  config = schema.from_mapping(modadd.get_config(p))
  assert config.task.p == int(p)


@pytest.mark.parametrize(
  'path,value,words',
  [
    ('seeds.cout', 4, ('config.seeds.cout=4', "'count'")),
    ('modle', {}, ('config.modle', "'model'")),
    ('task.name', 'modad', ("config.task.name='modad'", "'modadd'")),
    ('task.modulus', 7, ('config.task.modulus=7', 'train_fraction')),
    ('model.size', 'nanno', ("config.model.size='nanno'", "'nano'")),
    ('model.hidden', 3, ('config.model.hidden=3', 'known')),
    ('measures.rnak', {}, ("config.measures='rnak'", "'rank'")),
    ('measures.rank.exampels', 9, ('exampels=9', "'examples'")),
    ('measures.rank.examples', 1, ('examples=1', 'at least 2')),
    ('measures.rank.examples', 'x', ("examples='x'", 'must be int')),
    ('measures.rank.every', 0, ('every=0', 'at least 1')),
    ('train.steps', 0, ('config.train.steps=0', 'at least 1')),
    ('train.steps', 1.5, ('config.train.steps=1.5', 'must be int')),
    ('seeds.count', True, ('config.seeds.count=True', 'must be int')),
    ('optimizer.decay', 'linear', ("decay='linear'", 'cosine')),
    ('optimizer.rate', -1.0, ('rate=-1.0', 'at least 0')),
    ('checkpoints.schedule', '9', ()),
    ('checkpoints.schedule', '2:9', ('beyond the last step',)),
    ('task.p', 1, ('config.task.p=1', '3 to 1000')),
    ('task.train_fraction', 1.5, ('train_fraction=1.5', '0.3')),
    ('model.num_positions', 2, ('num_positions=2', 'raise it')),
    ('model.d_model', 9, ('d_model=9', 'num_heads=2')),
  ],
)
def test_messages_name_key_value_and_remedy(path, value, words):
  raw = small.modadd_config().to_dict()
  group = raw
  *parents, last = path.split('.')
  for name in parents:
    group = group[name]
  group[last] = value
  if not words:
    schema.from_mapping(raw)
    return
  with pytest.raises(UserError) as caught:
    schema.from_mapping(raw)
  for word in words:
    assert word in str(caught.value)


def test_differences_are_named():
  old = {'a': {'b': 1, 'c': 2}, 'd': [1]}
  new = {'a': {'b': 1, 'c': 3}, 'e': 0, 'd': [1]}
  assert schema.differences(old, new) == {'a.c': (2, 3), 'e': (None, 0)}


@pytest.mark.parametrize('count,size', [(1, 1), (2, 2), (3, 2), (4, 2), (7, 2)])
def test_cores_are_used_as_far_as_that_shortens_the_work(count, size):
  assert mesh.seed_mesh(count).devices.size == size
  with pytest.raises(UserError, match='devices=5'):
    mesh.seed_mesh(count, 5)


def test_seeds_must_divide_over_accelerators(monkeypatch):
  """Whose memory would hold every seed of a population that does not."""
  device = types.SimpleNamespace(platform='gpu', process_index=0)
  monkeypatch.setattr(mesh.jax, 'devices', lambda: [device] * 2)
  with pytest.raises(UserError, match='count=3 does not divide over 2') as e:
    mesh.seed_mesh(3)
  assert 'try 4' in str(e.value)


def test_a_measure_without_options_is_a_difference():
  """A stopped run must not go on without its behaviour, unnoticed."""
  old = {'measures': {'behaviour': {}, 'rank': {'every': 2}}}
  new = {'measures': {'rank': {'every': 2}}}
  assert schema.differences(old, new) == {'measures.behaviour': ({}, None)}
  assert schema.differences(new, old) == {'measures.behaviour': (None, {})}


def old_names(config):
  """A configuration as it was written until keys were renamed."""
  raw = config.to_dict()
  raw.pop('reference', None)
  raw['seeds'] |= dict(devices=0, chunk=0)
  raw['measures']['fisher'] |= dict(chunk_examples=0, chunk=1)
  raw['measures']['llc'] |= dict(nbeta=0.0)
  raw['measures']['gradcov'] |= dict(chunk_batches=4)
  raw['measures']['behaviour'] |= dict(chunk_examples=500)
  return raw


def test_configurations_with_the_names_of_before():
  new = algorithmic.get_config('nano')
  old = schema.from_mapping(older.modern(old_names(new)))
  new.measures.behaviour.examples_at_once = 500
  new.measures.gradcov.batches_at_once = 4
  new.measures.fisher.seeds_at_once = 1
  now = schema.from_mapping(new)
  assert old.seeds == now.seeds and old.seeds.at_once is None
  for name, spec in now.measures.items():
    given = {k: v for k, v in old.measures[name].options.items() if v}
    assert given == {k: v for k, v in spec.options.items() if v}, name
    assert old.measures[name].seeds_at_once == spec.seeds_at_once
  assert older.modern(now.raw) == now.raw


def test_a_size_without_effect_is_refused():
  """Where every number that it stands for is said beside it."""
  raw = modadd.get_config('5')
  raw.model = {**raw.model.to_dict(), 'size': 'nano'}
  with pytest.raises(UserError, match="size='nano' has no effect.*num_layers="):
    schema.from_mapping(raw)
  raw = algorithmic.get_config('nano')
  raw.model.d_model = 64
  assert schema.from_mapping(raw).model.d_model == 64
