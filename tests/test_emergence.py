"""Emergence: sustained, censored, per seed."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from emergence_jax.analysis import emergence


@pytest.mark.parametrize(
  'above,index',
  [
    ('0011111', 2),
    ('0111101', None),
    ('1111011111', 5),
    ('11111', 0),
    ('1111', None),
    ('', None),
  ],
)
def test_first_sustained(above, index):
  assert emergence.first_sustained([c == '1' for c in above]) == index


@given(st.integers(0, 20), st.integers(0, 10))
def test_shifting_behaviour_shifts_emergence(start, shift):
  steps = np.arange(60) * 10

  def step_of(first):
    series = xr.DataArray(
      np.where(np.arange(60) >= first, 0.9, 0.0), {'step': steps}, ['step']
    )
    return float(emergence.emergence_step(series, 0.5))

  assert step_of(start + shift) - step_of(start) == 10 * shift


def test_thresholds_broadcast_and_censored_is_nan():
  accuracy = xr.DataArray(
    np.stack([np.linspace(0, 1, 11), np.zeros(11)])[:, :, None] * [1.0, 0.5],
    {'seed': [0, 1], 'step': np.arange(11), 'level': ['1', '2']},
    ['seed', 'step', 'level'],
  )
  threshold = xr.DataArray([0.35, 0.25], {'level': ['1', '2']}, ['level'])
  found = emergence.emergence_step(accuracy, threshold, 3)
  np.testing.assert_array_equal(
    found.transpose('seed', 'level'), [[4, 6], [np.nan, np.nan]]
  )


def test_a_small_exam_needs_more_than_chance():
  chance = xr.DataArray([0.01, 0.5], dims='task')
  data = xr.Dataset({'chance': chance})
  plain = emergence.corrected(data)
  np.testing.assert_allclose(plain, [0.109, 0.55])
  protocol = emergence.corrected(data.assign_attrs(examples=1000))
  np.testing.assert_array_equal(protocol, plain)
  small = emergence.corrected(data.assign_attrs(examples=25))
  np.testing.assert_allclose(small, [0.109, 0.7])
  # A run's own timeseries has the examples as a dimension.
  flags = data.assign(correct=('item', np.zeros(25)))
  np.testing.assert_array_equal(emergence.corrected(flags), small)


def test_constant_answers_hardly_ever_emerge():
  """On 1,000 exams of 100 coin flips each: 2.3% are 10 above a half."""
  rng = np.random.default_rng(0)
  score = rng.binomial(100, 0.5, 1000) / 100
  data = xr.Dataset({'chance': 0.5}, attrs={'examples': 100})
  assert (score > float(emergence.corrected(data))).mean() < 0.04
  assert (score > float(emergence.above_chance(0.5))).mean() > 0.1


def test_rules_go_over_measured_rows():
  """Every second row: five in a row are five that were measured."""
  accuracy = np.where(np.arange(30) >= 12, 0.9, 0.0)
  accuracy[1::2] = np.nan
  series = xr.DataArray(accuracy, {'step': np.arange(30)}, ['step'])
  assert float(emergence.emergence_step(series, 0.5)) == 12


def test_a_flicker_above_chance_is_no_capability():
  """Accuracy of 0.15 to 0.24 for some checkpoints, long before it groks."""
  accuracy = np.r_[np.full(20, 0.02), np.full(15, 0.19), np.full(5, 0.08),
                   np.linspace(0.3, 1, 20)]  # fmt: skip
  data = xr.Dataset(
    {
      'accuracy': (('seed', 'step', 'task', 'level'), accuracy.reshape(
        1, -1, 1, 1)),
      'chance': (('task', 'level'), [[1 / 31]]),
    },
    {'step': np.arange(60) * 10},
  )  # fmt: skip
  assert emergence.by_rule(data, 'chance-corrected').item() == 200
  assert emergence.by_rule(data, emergence.RULE_OF_EVENTS).item() > 400


def test_above_chance():
  np.testing.assert_allclose(
    emergence.above_chance(np.array([0.0, 0.5])), [0.1, 0.55]
  )
