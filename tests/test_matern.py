"""Gaussian-process interpolation: its kernel, draws from it, real curves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emergence_jax.analysis.paper import matern, peaks, pythia

PYTHIA = pythia.accuracies()
UNEVEN = np.array(
  [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 3000, 9000.0]
)


def test_the_kernel_is_materns():
  """Against the definition by a Bessel function, for ν = 5/2."""
  from scipy import special

  x = np.linspace(0.1, 4, 20)
  z = np.sqrt(5) * x / 1.3
  nu = 2.5
  exact = 2 ** (1 - nu) / special.gamma(nu) * z**nu * special.kv(nu, z)
  ours = matern.kernel(x, np.zeros(1), 1.3)[:, 0]
  np.testing.assert_allclose(ours, exact, rtol=1e-12)


def test_length_and_noise_of_draws_are_found():
  rng = np.random.default_rng(0)
  step = np.unique(np.geomspace(1, 1e5, 60).round())
  x = np.log1p(step)
  gram = matern.kernel(x, x, 1.5) + 0.01 * np.eye(len(x))
  draws = rng.normal(size=(40, len(x))) @ np.linalg.cholesky(gram).T
  found = matern.fit(step, 7 + 100 * draws)
  # Neighbours on the grids lie 1.5-fold and threefold apart.
  assert 1.5 / 1.6 < found.length < 1.5 * 1.6
  assert 0.003 <= found.noise <= 0.03


def test_without_noise_it_passes_through():
  values = np.sin(np.log1p(UNEVEN))
  fitted = matern.Fit(2.0, 1e-12)
  again = matern.interpolate(UNEVEN, values, UNEVEN, fitted)
  np.testing.assert_allclose(again, values, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 100), st.floats(1e-3, 1e3), st.floats(-100, 100))
def test_scale_and_shift_go_through(seed, scale, shift):
  rng = np.random.default_rng(seed)
  x = rng.normal(size=UNEVEN.size).cumsum()
  at = np.linspace(0, 9000, 30)
  one = matern.by_process(UNEVEN, x, at)
  other = matern.by_process(UNEVEN, scale * x + shift, at)
  np.testing.assert_allclose(other, scale * one + shift, rtol=1e-5, atol=1e-4)


def test_what_cannot_be_interpolated():
  flat, bad = np.full(UNEVEN.size, 3.0), np.where(UNEVEN == 64, np.nan, 1.0)
  moving = np.log1p(UNEVEN)
  at = np.linspace(0, 9000, 9)
  values = matern.by_process(UNEVEN, np.stack([flat, bad, moving]), at)
  np.testing.assert_array_equal(values[0], 3)
  assert np.isnan(values[1]).all() and np.isfinite(values[2]).all()
  np.testing.assert_array_equal(matern.by_process(UNEVEN, flat, at), 3)


@pytest.mark.parametrize('task', ['lambada_openai', 'sciq', 'arc_easy'])
@pytest.mark.parametrize('model', PYTHIA.model.unique())
def test_published_curves_better_than_lines(model, task):
  """Each inner checkpoint of Pythia predicted from the others."""
  one = PYTHIA[(PYTHIA.model == model) & (PYTHIA.task == task)]
  one = one.sort_values('step')
  step, value = one.step.values.astype(float), one.value.values
  errors = {'matern': [], 'lines': []}
  for i in range(2, len(step) - 1):
    kept = np.arange(len(step)) != i
    fitted = matern.fit(step[kept], value[kept])
    ours = matern.interpolate(step[kept], value[kept], step[[i]], fitted)[0]
    errors['matern'].append(ours - value[i])
    line = np.interp(step[i], step[kept], value[kept])
    errors['lines'].append(line - value[i])
  ours, lines = (np.sqrt(np.mean(np.square(e))) for e in errors.values())
  assert ours < 0.75 * lines


def test_a_planted_lead_survives_uneven_steps():
  """Dense checkpoints early: in checkpoints the lead looks much longer."""
  step = np.concatenate([np.arange(0, 1000, 20), np.arange(1000, 10_001, 500)])
  rise = lambda at: 1 / (1 + np.exp(-(step - at) / 300))  # noqa: E731
  x, y = rise(3000), rise(4500)
  grid = np.linspace(0, 10_000, len(step))
  even_x, even_y = (matern.by_process(step, z, grid) for z in (x, y))
  found = peaks.peaks(even_x, even_y)
  lead = found.lag * (grid[1] - grid[0])
  np.testing.assert_allclose(lead, 1500, atol=2 * (grid[1] - grid[0]))
