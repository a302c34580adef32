"""The paper's precursors, on series with planted delays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emergence_jax.analysis.paper import peaks


def noise(*shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape).cumsum(-1)


def delayed(lag, count=120, seed=0):
  """A random walk, and the same `lag` checkpoints later."""
  walk = noise(count + 60, seed=seed)
  return walk[30 : 30 + count], walk[30 - lag : 30 - lag + count]


@pytest.mark.parametrize('lag', [-20, -7, -1, 0, 1, 5, 20])
def test_the_sign_convention(lag):
  """Behaviour that follows l later has lag l, and geometry is the precursor."""
  measure, behaviour = delayed(lag)
  found = peaks.peaks(measure, behaviour)
  assert found.lag == lag
  kind = peaks.CLASSES[peaks.classify(found.lag, found.correlation)]
  if lag > 0:
    assert kind == 'precursor'
  else:
    assert kind == ('lagging' if lag < 0 else 'synchronous')


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(-10, 10), st.integers(-8, 8))
def test_shifting_behaviour_moves_the_lag(seed, lag, more):
  measure, behaviour = delayed(lag, seed=seed)
  _, later = delayed(lag + more, seed=seed)
  one = peaks.peaks(measure, behaviour)
  other = peaks.peaks(measure, later)
  assert other.lag - one.lag == more


@settings(max_examples=30, deadline=None)
@given(
  st.integers(0, 1000), st.floats(1e-3, 1e3), st.floats(-100, 100),
  st.booleans(),
)  # fmt: skip
def test_scale_shift_and_sign_change_nothing(seed, scale, shift, flip):
  x, y = noise(60, seed=seed), noise(60, seed=seed + 1)
  sign = -1 if flip else 1
  one = peaks.cross_correlation(x, y)
  other = peaks.cross_correlation(sign * scale * x + shift, y)
  np.testing.assert_allclose(other, sign * one, atol=1e-6)


def test_against_numpys_correlation():
  x, y = noise(50), noise(50, seed=1)
  dx, dy = np.diff(x), np.diff(y)
  dx, dy = dx - dx.mean(), dy - dy.mean()
  full = np.correlate(dy, dx, 'full') / np.sqrt((dx @ dx) * (dy @ dy))
  middle = len(dx) - 1
  expected = full[middle - 20 : middle + 21]
  np.testing.assert_allclose(
    peaks.cross_correlation(x, y), expected, atol=1e-12
  )


def test_series_that_do_not_change_are_left_out():
  x, y = noise(3, 60), noise(3, 60, seed=1)
  y[1] = 0.0
  x[2] = np.linspace(0, 7, 60)  # a constant slope
  found = peaks.peaks(x, y)
  assert np.isfinite(found.correlation).tolist() == [True, False, False]
  short = peaks.peaks(x[:, :8], y[:, :8])
  assert np.isnan(short.correlation).all()


def test_by_lines():
  step = np.array([0, 10, 20, 120])
  series = np.array([[0.0, 1, 2, 12]])
  value = peaks.by_lines(step, series, np.arange(0, 121, 10))
  np.testing.assert_allclose(value, [np.arange(13)])
