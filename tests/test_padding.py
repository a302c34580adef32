"""What is computed without most of the padding is what it is with it."""

import chex
import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies

from emergence_jax.base import prng
from emergence_jax.base.types import Batch, MeasureSpec, Status, UserError
from emergence_jax.config import measures as measure_specs
from emergence_jax.config import schema
from emergence_jax.measures import options
from emergence_jax.models.objective import Objective
from emergence_jax.numerics import llc as numerics
from emergence_jax.store import rows
from emergence_jax.tasks import algorithmic, padding
from tests import small, tiers

SIZES = strategies.lists(
  strategies.tuples(strategies.integers(1, 50), strategies.integers(1, 9)),
  min_size=1,
  max_size=12,
)


def cost(sizes):
  """Of one group of rows of these sizes."""
  lengths, items = zip(*sizes, strict=True)
  return len(sizes) * max(lengths) * max(items)


@hypothesis.given(SIZES)
def test_groups_hold_every_row_once_and_pay_for_themselves(sizes):
  found = padding.groups(*np.array(sizes).T)
  assert sorted(row for group in found for row in group.rows) == list(
    range(len(sizes))
  )
  for group in found:
    assert group.cost == cost([sizes[row] for row in group.rows])
  total = sum(group.cost for group in found)
  # Any two that were one would be dearer by what a program is worth.
  for i, one in enumerate(found):
    for other in found[:i]:
      both = cost([sizes[row] for row in one.rows + other.rows])
      apart = one.cost + other.cost
      assert total <= (1 - padding._WORTH) * (total - apart + both)


@hypothesis.settings(deadline=None, max_examples=20)
@hypothesis.given(
  strategies.lists(strategies.integers(1, 12), min_size=1, max_size=8)
)
@pytest.mark.nightly
def test_parts_come_back_in_order(lengths):
  lengths = np.array(lengths)
  place = np.arange(12)
  tokens = np.where(place < lengths[:, None], 1 + place, 0)
  count = np.zeros(len(lengths), np.int32)
  batch = Batch(jnp.array(tokens), jnp.array(tokens > 0), *map(jnp.array, (
    count, np.arange(len(lengths)), count)))  # fmt: skip

  def fn(batch, group):
    assert batch.tokens.shape == (len(group.rows), group.length)
    return {'sum': jnp.sum(batch.tokens * batch.scored, 1), 'row': batch.task}

  found = padding.over(fn, batch, padding.groups(lengths))
  np.testing.assert_array_equal(found['row'], np.arange(len(lengths)))
  np.testing.assert_array_equal(found['sum'], lengths * (lengths + 1) // 2)


@pytest.mark.parametrize('level', tiers.some(algorithmic.LEVELS, 2))
@pytest.mark.parametrize('task', algorithmic.TASKS)
def test_the_longest_text(task, level):
  texts = algorithmic.sample_text(task, level, jax.random.key(0), 20_000)
  assert max(map(len, texts)) + 2 == algorithmic.longest(task, level)


class Padded(algorithmic.AlgorithmicTask):
  """As if nothing were known of the lengths."""

  length_KxL = np.full((8, 3), algorithmic.LENGTH)


def measured(exams, name, given):
  """A measure of a small model, under these exams."""
  model = schema.from_mapping(small.algorithmic_config()).objective.model
  objective = Objective(model, exams(batch_size=8))
  measure = measure_specs.make(objective, name, MeasureSpec(options=given))
  params = jax.jit(objective.init)(jax.random.key(0))
  with jax.default_matmul_precision('highest'):
    return jax.jit(measure.fn)(
      params, measure.inputs(jnp.int32(0)), prng.measure_key(name, 0, 0)
    )


@pytest.mark.nightly
def test_behaviour_does_not_need_the_padding():
  given = {'examples': 5, 'examples_at_once': 7}
  assert len(padding.groups(algorithmic.AlgorithmicTask().length_KxL.flat)) > 1
  found = measured(algorithmic.AlgorithmicTask, 'behaviour', given)
  wanted = measured(Padded, 'behaviour', given)
  chex.assert_trees_all_close(found, wanted, rtol=1e-5)


@pytest.mark.nightly
def test_ranks_need_no_level_apart():
  wanted = measured(algorithmic.AlgorithmicTask, 'rank', {'examples': 7})
  found = measured(
    algorithmic.AlgorithmicTask, 'rank', {'examples': 7, 'levels': False}
  )
  assert wanted.keys() - found.keys() == {'rankme_level'}
  del wanted['rankme_level']
  chex.assert_trees_all_close(found, wanted, rtol=1e-4)


@pytest.mark.nightly
def test_the_llc_of_some_tasks_is_that_of_all(monkeypatch):
  def cheap(loss, params, data, key, **_):
    # A number that knows the task's texts and the key, as an estimate does.
    value = loss(params, data) + jax.random.uniform(key)
    numbers = dict.fromkeys(numerics.LLC._fields, value)
    return numerics.LLC(**numbers | {'status': jnp.int8(0)})

  monkeypatch.setattr(numerics, 'estimate_llc', cheap)
  given = {'examples': 12}
  wanted = measured(Padded, 'llc', given)
  # Those of ADD are shorter, and cut; those of SORT are not.
  found = measured(
    algorithmic.AlgorithmicTask, 'llc', given | {'tasks': 'SORT,ADD'}
  )
  there = np.isin(algorithmic.TASKS, ['ADD', 'SORT'])
  for name, value in found.items():
    np.testing.assert_allclose(
      value[there], wanted[name][there], rtol=1e-5, err_msg=name
    )
    other = np.nan if value.dtype == np.float32 else Status.NOT_REACHED
    np.testing.assert_array_equal(value[~there], other, err_msg=name)
  finite = rows.finite_seeds({k: np.asarray(v)[None] for k, v in found.items()})
  assert finite.tolist() == [True]


def test_a_number_that_was_measured_must_be_finite():
  status = np.array([[0, -1], [0, 0]], np.int8)
  value = np.array([[1, np.nan], [1, np.nan]], np.float32)
  other = np.zeros((2, 2, 3), np.float32)
  other[0, 1] = np.nan
  found = rows.finite_seeds({'x_status': status, 'x': value, 'x_stderr': other})
  assert found.tolist() == [True, False]


def test_an_unknown_task_is_named():
  exams = algorithmic.AlgorithmicTask()
  with pytest.raises(UserError, match="'SUB', which is unknown; the tasks"):
    options.chosen('llc', exams, 'ADD,SUB')
