"""Singular values of many matrices at once, beside LAPACK in float64."""

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emergence_jax.numerics import bidiagonal, spectrum
from tests import tiers

# Of the largest singular value: two reflections a column, whose errors of an
# epsilon each are independent, of at most 200 columns.
_EPSILONS = 20 * np.finfo(np.float32).eps
_values = jax.jit(bidiagonal.singular_values)


def _exact(a_ND: np.ndarray) -> np.ndarray:
  return np.linalg.svd(np.asarray(a_ND, np.float64), compute_uv=False)


def _graded(n: int, d: int, smallest: float, seed: int = 0) -> np.ndarray:
  """A matrix whose singular values fall from 1 to `smallest`."""
  draw = np.random.default_rng(seed).standard_normal((n, d))
  u, _, v = np.linalg.svd(draw, full_matrices=False)
  values = np.geomspace(1, smallest, min(n, d))
  return ((u * values) @ v).astype(np.float32)


@pytest.mark.parametrize(
  'shape',
  [(5, 5), (33, 33), (20, 33), (200, 128), (200, 320), (700, 40), (1, 7),
   (7, 1), (1, 1), (64, 32), (65, 32)],
)  # fmt: skip
@pytest.mark.parametrize('smallest', tiers.some([1e-7, 1.0, 1e-3]))
def test_values_are_those_of_float64(shape, smallest):
  a_ND = _graded(*shape, smallest)
  exact = _exact(a_ND)
  # What lies within the rounding of the largest is zero, 50 of a tall one.
  lost = _EPSILONS * (2.5 if shape[0] > 2 * shape[1] else 1)
  np.testing.assert_allclose(_values(a_ND), exact, rtol=0, atol=lost)


@hypothesis.given(
  st.sampled_from([(3, 3), (6, 4), (2, 5), (11, 5), (1, 4)]),
  st.integers(0, 2**32 - 1),
)
@hypothesis.settings(max_examples=100, deadline=None)
def test_any_small_matrix(shape, seed):
  """Of integers, so that many are singular or repeat a value."""
  a_ND = np.random.default_rng(seed).integers(-1, 2, shape).astype(np.float32)
  exact = _exact(a_ND)
  error = np.abs(np.asarray(_values(a_ND)) - exact)
  assert error.max() <= _EPSILONS * exact[0] + 1e-7


@pytest.mark.parametrize('shape', [(40, 3), (3000, 64), (200, 320)])
def test_equal_rows_have_one_value(shape):
  values = np.asarray(_values(np.ones(shape, np.float32)))
  np.testing.assert_allclose(values[0], np.sqrt(np.prod(shape)), rtol=1e-5)
  assert np.all(values[1:] < _EPSILONS * values[0])


@pytest.mark.parametrize(
  'exponent', tiers.some([-10, -19, -20, -21, -22, -23, -37], 1, 6)
)
@pytest.mark.parametrize('shape', [(40, 33), (200, 40)])
def test_small_columns_do_not_stretch_the_others(shape, exponent):
  """Their squares leave float32; of equal columns rounding leaves such."""
  a_ND = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
  a_ND[:, :5] *= np.float32(10.0**exponent)
  exact = _exact(a_ND)
  error = np.abs(np.asarray(_values(a_ND)) - exact)
  assert error.max() <= _EPSILONS * exact[0]


def test_zero_has_zeros():
  np.testing.assert_allclose(_values(jnp.zeros((6, 4))), 0, atol=1e-6)


def test_panels_keep_what_a_tall_matrix_spans():
  a_ND = _graded(300, 70, 1e-3)
  r_DD = np.asarray(jax.jit(bidiagonal.triangular)(a_ND), np.float64)
  exact = a_ND.astype(np.float64)
  assert np.all(r_DD == np.triu(r_DD))
  np.testing.assert_allclose(r_DD.T @ r_DD, exact.T @ exact, atol=1e-6)


def test_a_batch_is_each_of_its_matrices():
  a_BND = np.stack([_graded(30, 12, 1e-2, seed) for seed in range(6)])
  together = _values(a_BND.reshape(2, 3, 30, 12)).reshape(6, 12)
  mapped = jax.jit(jax.vmap(bidiagonal.singular_values))(a_BND)
  for a_ND, one, other in zip(a_BND, together, mapped, strict=True):
    np.testing.assert_allclose(one, _exact(a_ND), rtol=0, atol=_EPSILONS)
    np.testing.assert_allclose(other, one, rtol=0, atol=_EPSILONS)


def test_derivatives_are_those_of_the_svd():
  a_ND = jnp.asarray(_graded(9, 5, 1e-1))

  def by(values):
    return jax.grad(lambda a: jnp.sum(jnp.sqrt(values(a))))(a_ND)

  def lapack(a_ND):
    return jnp.linalg.svd(a_ND, compute_uv=False)

  np.testing.assert_allclose(
    by(bidiagonal.singular_values), by(lapack), atol=1e-5
  )


@pytest.mark.parametrize('center', tiers.some([False, True]))
def test_rankme_is_the_same_by_both(center, monkeypatch):
  """The way of accelerators, tried on a CPU."""
  weight_N = np.arange(50) < 43
  features = np.stack([_graded(50, 20, s) + 0.3 for s in (1.0, 1e-2, 1e-6)])
  here = spectrum.rankme(features, center=center, weight_N=weight_N)
  monkeypatch.setattr(spectrum, '_decompose_each', bidiagonal.singular_values)
  there = spectrum.rankme(features, center=center, weight_N=weight_N)
  # Values below 6e-6 of the largest are zero there, below 1e-6 here.
  np.testing.assert_allclose(there, here, rtol=2e-4)


@pytest.mark.parametrize('shape', [(50, 20), (20, 50), (300, 64)])
def test_rankme_of_accelerators_where_there_is_one_value_or_none(
  shape, monkeypatch
):
  """Equal rows are of rank 1 exactly, and zeros of none."""
  monkeypatch.setattr(spectrum, '_decompose_each', bidiagonal.singular_values)
  row_D = np.random.default_rng(0).normal(size=shape[1]).astype(np.float32)
  equal = np.broadcast_to(row_D, shape)
  found = spectrum.rankme(np.stack([equal, np.zeros(shape, np.float32)]))
  assert found[0] == 1 and np.isnan(found[1])


@pytest.mark.parametrize('platform', ['cuda', 'tpu'])
def test_accelerators_call_no_solver_that_takes_one_at_a_time(platform):
  shape = jax.ShapeDtypeStruct((3, 90, 20), jnp.float32)
  traced = jax.jit(jax.vmap(spectrum.rankme)).trace(shape)
  text = traced.lower(lowering_platforms=(platform,)).as_text()
  assert 'solver' not in text and 'svd' not in text.lower()
