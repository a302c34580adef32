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


def test_above_chance():
  np.testing.assert_allclose(
    emergence.above_chance(np.array([0.0, 0.5])), [0.1, 0.55]
  )
