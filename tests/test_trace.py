"""Traces and spectral densities against exact ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matfree import decomp, eig
from scipy import stats

import emergence_jax as ej
from emergence_jax.base.types import Status
from emergence_jax.numerics import hessian, krylov, trace
from tests import tiers

KEY = jax.random.key(0)
SPECTRA = {
  'flat': np.ones(60),
  'few': np.r_[100.0, 50.0, 20.0, np.full(57, 0.01)],
  'decaying': np.exp(-np.arange(60) / 5),
  'signed': np.linspace(-1, 2, 60),
}


def matrix(name):
  values = SPECTRA[name]
  q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(60, 60)))
  return np.float32(q * values @ q.T)


@pytest.mark.parametrize('spectrum', tiers.some(SPECTRA))
@pytest.mark.parametrize('method', trace.METHODS)
def test_unbiased_with_an_honest_error(method, spectrum):
  """z-scores over 200 runs: mean 0, and neither too wide nor too narrow."""
  a = matrix(spectrum)
  run = jax.jit(
    lambda key: getattr(trace, method)(
      lambda v: a @ v, 60, key, num_matvecs=20, dtype=jnp.float32
    )
  )
  found = jax.lax.map(run, jax.random.split(KEY, 200))
  exact = np.trace(np.float64(a))
  error = np.asarray(found.trace) - exact
  rounding = 1e-5 * np.abs(SPECTRA[spectrum]).sum()
  spread = np.sqrt(error.var() / 200) + rounding
  assert abs(error.mean()) < 4 * spread
  claimed = np.sqrt(np.mean(np.asarray(found.stderr) ** 2)) + rounding
  # XTrace's samples are not independent; its error is never too small by more
  # than a tenth, and may be too large by as much as its correction.
  low, high = (0.6, 1.1) if method == 'xtrace' else (0.85, 1.15)
  assert low < (error.std() + rounding) / claimed < high
  if method == 'xtrace':
    covered = np.abs(error) <= 2 * np.asarray(found.stderr) + rounding
    assert covered.mean() >= 0.88


@pytest.mark.parametrize('scale', tiers.some([1e-30, 1e30]))
@pytest.mark.parametrize('method', tiers.some(trace.METHODS))
def test_traces_of_any_scale(method, scale):
  a = matrix('signed')

  def run(factor):
    return getattr(trace, method)(
      lambda v: factor * (a @ v), 60, KEY, num_matvecs=20, dtype=jnp.float32
    )

  one, other = run(jnp.float32(1)), run(jnp.float32(scale))
  np.testing.assert_allclose(other.trace / scale, one.trace, rtol=1e-4)
  np.testing.assert_allclose(other.stderr / scale, one.stderr, rtol=1e-3)


@pytest.mark.nightly
def test_xtrace_beats_hutchinson_where_few_eigenvalues_dominate():
  a = matrix('few')
  errors = [
    getattr(trace, m)(
      lambda v: a @ v, 60, KEY, num_matvecs=20, dtype=jnp.float32
    ).stderr
    for m in trace.METHODS
  ]
  assert errors[1] < errors[0] / 20


def leave_one_out(a, test):
  """XTrace by its definition: a basis of the others for every test vector."""
  k, n = test.shape
  found = []
  for i in range(k):
    q, _ = np.linalg.qr(a @ np.delete(test, i, 0).T)
    w = test[i] - q @ (q.T @ test[i])
    w *= np.sqrt(n - k + 1) / np.linalg.norm(w)
    found.append(np.trace(q.T @ a @ q) + w @ a @ w)
  return np.mean(found), np.std(found, ddof=1) / np.sqrt(k)


@pytest.mark.nightly
def test_xtrace_is_its_definition():
  a = matrix('decaying')
  test = np.asarray(jax.random.normal(KEY, (8, 60)), np.float64)
  expected = leave_one_out(np.float64(a), test)
  found = trace.xtrace(
    lambda v: a @ v, 60, KEY, num_matvecs=16, dtype=jnp.float32
  )
  np.testing.assert_allclose(found.trace, expected[0], rtol=2e-3)
  few = stats.t.ppf(0.975, 7) / stats.norm.ppf(0.975)
  np.testing.assert_allclose(found.stderr / 1.4 / few, expected[1], rtol=2e-3)


@pytest.mark.parametrize('products', [4, 8])
@pytest.mark.parametrize('method', trace.METHODS)
def test_twice_the_error_of_few_products_covers(method, products):
  """At least 93%, less three errors of 300."""
  a = matrix('signed')
  run = jax.jit(
    lambda key: getattr(trace, method)(
      lambda v: a @ v, 60, key, num_matvecs=products, dtype=jnp.float32
    )
  )
  found = jax.lax.map(run, jax.random.split(KEY, 300))
  off = np.abs(np.asarray(found.trace) - np.trace(np.float64(a)))
  covered = np.mean(off <= 2 * np.asarray(found.stderr))
  assert covered >= 0.93 - 3 * np.sqrt(0.93 * 0.07 / 300)


@pytest.mark.parametrize('rank', [0, 1, 3])
def test_xtrace_of_a_low_rank_is_exact(rank):
  diagonal = jnp.where(jnp.arange(50) < rank, 1.0 + jnp.arange(50), 0)
  found = trace.xtrace(
    lambda v: diagonal * v, 50, KEY, num_matvecs=20, dtype=jnp.float32
  )
  np.testing.assert_allclose(found.trace, diagonal.sum(), atol=1e-4)
  assert found.stderr < 1e-4


def test_bad_numbers():
  options = dict(size=3, key=KEY, dtype=jnp.float32)
  with pytest.raises(ValueError, match='must be even'):
    trace.xtrace(lambda v: v, num_matvecs=5, **options)
  with pytest.raises(ValueError, match='needs 2'):
    trace.hutchinson(lambda v: v, num_matvecs=1, **options)
  with pytest.raises(ValueError, match="'xtrase' is unknown"):
    ej.hessian_trace(
      lambda w, x: jnp.sum(w**2), jnp.ones(2), jnp.ones(2), KEY,
      method='xtrase',
    )  # fmt: skip


def test_density_of_a_known_spectrum():
  diagonal = np.concatenate(
    [np.random.default_rng(0).normal(size=3000), [6.0] * 30]
  )
  found = hessian.operator_density(
    lambda v: jnp.float32(diagonal) * v, 3030, KEY, num_matvecs=60,
    num_directions=16, bandwidth=0.3,
  )  # fmt: skip
  np.testing.assert_allclose(found.weights.sum(1), 1, rtol=1e-5)
  assert abs(found.mass - 1) < 1e-3 and found.status == Status.OK
  exact = stats.norm.pdf(np.asarray(found.grid)[:, None], diagonal, 0.3).mean(1)
  step = found.grid[1] - found.grid[0]
  # A random direction weighs an eigenvalue with relative noise sqrt(2); over
  # 3,030 values and 16 directions that is a distance of about 0.01.
  assert np.abs(np.asarray(found.density) - exact).sum() * step / 2 < 0.02
  # Moments: Gauss quadrature is exact for each direction.
  mean = np.mean(np.sum(np.asarray(found.weights * found.nodes), 1))
  assert abs(mean - diagonal.mean()) < 4 * np.sqrt(2 * 2.5 / 3030 / 16)


def test_a_bandwidth_that_the_grid_cannot_show_is_said():
  diagonal = jnp.linspace(0, 1, 50)
  found = hessian.operator_density(
    lambda v: diagonal * v, 50, KEY, bandwidth=1e-4
  )
  assert found.status == Status.UNTRUSTED


@pytest.mark.parametrize('spectrum', ['decaying', 'signed'])
def test_against_matfree(spectrum):
  """The same Krylov space, by another library."""
  a = matrix(spectrum)
  tridiag = decomp.tridiag_sym(12, reortho='full')
  start = jax.random.normal(jax.random.fold_in(KEY, 12), (60,))
  theirs, _ = eig.eigh_partial(tridiag)(lambda v: a @ v, start)
  ours = krylov.ritz(
    krylov.lanczos(lambda v: a @ v, 60, KEY, num_matvecs=12, dtype=jnp.float32)
  )
  np.testing.assert_allclose(ours.values_M, np.sort(theirs), atol=1e-4)
