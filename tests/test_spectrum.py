"""Effective ranks against closed forms and invariances."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from emergence_jax.machine import mesh
from emergence_jax.numerics import spectrum


def features(values, n, d, seed=0):
  """A matrix [n, d] with the given singular values."""
  rng = np.random.default_rng(seed)
  u = np.linalg.qr(rng.normal(size=(n, len(values))))[0]
  v = np.linalg.qr(rng.normal(size=(d, len(values))))[0]
  return jnp.asarray(u * values @ v.T, jnp.float32)


@pytest.mark.parametrize('n,d', [(200, 128), (64, 96), (2000, 32)])
@pytest.mark.parametrize('rank', [1, 2, 31])
def test_orthonormal_features_give_their_rank(n, d, rank):
  value = spectrum.rankme(features(np.ones(rank), n, d))
  np.testing.assert_allclose(value, rank, rtol=1e-4)


@pytest.mark.parametrize('shape', [(2, 2), (200, 2), (3, 50)])
def test_known_spectrum(shape):
  value = spectrum.rankme(features([3.0, 1.0], *shape))
  # exp(-(0.75 log 0.75 + 0.25 log 0.25))
  np.testing.assert_allclose(value, 1.7547654, atol=1e-4)


@pytest.mark.parametrize('n,d', [(200, 128), (200, 1024), (7800, 128)])
def test_rank_one_is_one(n, d):
  rng = np.random.default_rng(1)
  matrix = np.outer(rng.normal(size=n), rng.normal(size=d))
  assert abs(float(spectrum.rankme(jnp.float32(matrix))) - 1) < 1e-3


def test_small_singular_values_survive():
  # 1e-5 of the largest: a float32 Gram matrix would lose all hundred of them.
  values = np.r_[1.0, np.full(100, 1e-5)]
  found = spectrum.singular_values(features(values, 300, 128))[1:101]
  # LAPACK's backward error, about one epsilon of the largest value.
  np.testing.assert_allclose(found, 1e-5, atol=5e-7)


def test_singular_values_match_float64():
  x = np.random.default_rng(2).normal(size=(3, 50, 20))
  expected = np.linalg.svd(x, compute_uv=False)
  found = spectrum.singular_values(jnp.float32(x))
  np.testing.assert_allclose(found, expected, rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31 - 1), st.floats(1e-6, 1e6))
@pytest.mark.nightly
def test_rotation_and_scale_do_not_matter(seed, scale):
  rng = np.random.default_rng(seed)
  x = rng.normal(size=(30, 8)) * np.geomspace(1, 1e-3, 8)
  q = np.linalg.qr(rng.normal(size=(8, 8)))[0]
  p = rng.permutation(30)
  np.testing.assert_allclose(
    spectrum.rankme(jnp.float32(x)),
    spectrum.rankme(jnp.float32(scale * (x @ q)[p])),
    rtol=1e-4,
  )


def test_centering_and_weights():
  rng = np.random.default_rng(3)
  x = rng.normal(size=(40, 6)) + 5
  weight = rng.integers(0, 2, 40)
  kept = x[weight == 1]
  found = spectrum.rankme(
    jnp.float32(x), center=True, weight_N=jnp.asarray(weight)
  )
  values = np.linalg.svd(kept - kept.mean(0), compute_uv=False)
  expected = np.exp(stats.entropy(values))
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_eps_is_that_of_the_source():
  values = np.array([3.0, 1.0, 0.5])
  share = values / values.sum() + 1e-2
  expected = np.exp(-np.sum(share * np.log(share)))
  found = spectrum.rankme(jnp.diag(jnp.float32(values)), eps=1e-2)
  np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize('bad', [0.0, np.nan, np.inf])
def test_no_silent_number(bad):
  x = jnp.ones((2, 5, 3)).at[1].set(0 if bad == 0 else 1.0)
  x = x.at[1, 2, 2].set(bad)
  rank = spectrum.rankme(x)
  assert np.isfinite(rank[0]) and np.isnan(rank[1])


@pytest.mark.nightly
def test_vmap_and_devices_decompose_without_waiting():
  """Batched LAPACK calls on two devices at once used to wait for ever."""
  x = jax.random.normal(jax.random.key(0), (4, 6, 300, 40))
  mapped = mesh.map_seeds(
    spectrum.rankme, mesh.seed_mesh(4, 2), per_seed=(True,), at_once=None
  )
  np.testing.assert_allclose(jax.jit(mapped)(x), spectrum.rankme(x), rtol=1e-5)


@pytest.mark.parametrize('scale', [1e-37, 1e-20, 1e20, 1e37])
@pytest.mark.parametrize('center', [False, True])
def test_rankme_of_any_scale(scale, center):
  x = np.float32(np.random.default_rng(0).uniform(1, 3, (50, 6)))
  expected = spectrum.rankme(x, center=center)
  found = spectrum.rankme(x * np.float32(scale), center=center)
  np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize('dtype', [jnp.float16, jnp.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
  values = jnp.full(4, 6e4, dtype)
  np.testing.assert_allclose(spectrum.effective_rank(values), 4, rtol=1e-5)
  np.testing.assert_allclose(spectrum.participation_ratio(values), 4, rtol=1e-5)
  x = jnp.asarray(np.random.default_rng(0).normal(size=(30, 5)), dtype)
  found = spectrum.rankme(x)
  assert found.dtype == jnp.float32
  np.testing.assert_allclose(found, spectrum.rankme(jnp.float32(x)), rtol=1e-6)


def test_rows_that_are_left_out_may_hold_anything():
  x = np.float32(np.random.default_rng(0).normal(size=(30, 5)))
  weight = np.arange(30) < 20
  expected = spectrum.rankme(x[:20], center=True)
  x[20:] = np.nan
  found = spectrum.rankme(x, center=True, weight_N=jnp.asarray(weight))
  np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize('row', [np.ones(5), np.array([1e6, -3, 0.1, 7, 2e-3])])
@pytest.mark.parametrize('count', [7, 200])
def test_identical_rows_have_no_centred_rank(row, count):
  x = np.float32(np.broadcast_to(row, (count, 5)))
  assert np.isnan(spectrum.rankme(x, center=True))
  np.testing.assert_allclose(spectrum.rankme(x), 1, rtol=1e-4)


def test_a_vector_is_no_matrix():
  with pytest.raises(ValueError, match=r'shape \(5,\); a rank takes'):
    spectrum.rankme(jnp.ones(5))
  with pytest.raises(ValueError, match='a rank takes'):
    spectrum.rankme(jnp.ones((0, 5)))
