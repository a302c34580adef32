"""Fisher and gradient covariance against dense matrices."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import emergence_jax as ej
from emergence_jax.base.types import Status
from emergence_jax.config import schema
from emergence_jax.numerics import gram
from tests import small, tiers


@functools.cache
def transformer():
  """Objective, parameters and per-example gradients [N, P] of 25 examples."""
  objective = schema.from_mapping(small.modadd_config()).objective
  params = jax.jit(objective.init)(jax.random.key(0))
  batch = objective.exams.examples(jnp.arange(25))
  grad = jax.vmap(jax.grad(objective.example_loss), (None, 0))
  grads = jax.jit(grad)(params, batch)
  rows = [np.float64(g).reshape(25, -1) for g in jax.tree.leaves(grads)]
  return objective, params, batch, np.concatenate(rows, 1)


def entropy_rank(values):
  return np.exp(stats.entropy(np.clip(values, 0, None)))


@pytest.mark.parametrize('examples_at_once', tiers.some([7, None, 25, 1]))
def test_fisher_against_the_dense_matrix(examples_at_once):
  objective, params, batch, grads = transformer()
  fisher = grads.T @ grads / 25
  exact = np.linalg.eigvalsh(fisher)[::-1][:25]
  found = jax.jit(
    lambda params: ej.fisher_effective_rank(
      objective.example_loss, params, batch, examples_at_once=examples_at_once
    )
  )(params)
  np.testing.assert_allclose(
    found.eigenvalues, exact, atol=1e-6 * exact[0], rtol=1e-5
  )
  np.testing.assert_allclose(
    found.effective_rank, entropy_rank(exact), rtol=1e-4
  )
  np.testing.assert_allclose(
    found.participation_ratio, exact.sum() ** 2 / (exact**2).sum(), rtol=1e-5
  )
  np.testing.assert_allclose(found.trace, np.trace(fisher), rtol=1e-5)
  np.testing.assert_allclose(
    found.top_share, exact[0] / np.trace(fisher), rtol=1e-5
  )
  assert found.status == Status.OK


def test_fisher_of_linear_regression_in_closed_form():
  """Gradient (w·x − y) x: the Fisher matrix is the weighted covariance."""
  rng = np.random.default_rng(0)
  x, y, w = rng.normal(size=(50, 8)), rng.normal(size=50), rng.normal(size=8)

  def example_loss(w, example):
    x, y = example
    return (w @ x - y) ** 2 / 2

  found = ej.fisher_effective_rank(
    example_loss, jnp.float32(w), (jnp.float32(x), jnp.float32(y))
  )
  weight = (x @ w - y) ** 2
  exact = np.linalg.eigvalsh(x.T @ (x * weight[:, None]) / 50)[::-1]
  np.testing.assert_allclose(found.eigenvalues[:8], exact, rtol=1e-4)
  np.testing.assert_allclose(found.eigenvalues[8:], 0, atol=1e-5 * exact[0])
  np.testing.assert_allclose(
    found.effective_rank, entropy_rank(exact), rtol=1e-3
  )


@pytest.mark.parametrize('batches_at_once', tiers.some([None, 2], 1))
def test_covariance_against_the_dense_matrix(batches_at_once):
  objective, params, batch, grads = transformer()
  batches = jax.tree.map(lambda x: x.reshape(5, 5, *x.shape[1:]), batch)
  means = grads.reshape(5, 5, -1).mean(1)
  found = jax.jit(
    lambda params: ej.gradient_covariance_rank(
      objective.loss,
      params,
      batches,
      prefix=100,
      batches_at_once=batches_at_once,
    )
  )(params)
  for spectrum, rows in ((found.all, means), (found.prefix, means[:, :100])):
    exact = np.linalg.eigvalsh(np.cov(rows.T))[::-1][:5]
    np.testing.assert_allclose(
      spectrum.eigenvalues, exact, atol=1e-5 * exact[0]
    )
    np.testing.assert_allclose(
      spectrum.effective_rank, entropy_rank(exact), rtol=1e-3
    )
  assert found.effective_rank == found.all.effective_rank


def test_a_mean_that_dwarfs_the_covariance():
  """Centring comes before the Gram matrix, so that float32 holds."""
  rng = np.random.default_rng(0)
  x = rng.normal(size=(10, 4, 6)) + 1e4

  def loss(w, x):
    return jnp.mean(x @ w)

  found = ej.gradient_covariance_rank(loss, jnp.ones(6), jnp.float32(x))
  exact = np.linalg.eigvalsh(np.cov(np.float32(x).mean(1).T))[::-1]
  # One float32 epsilon of 1e4 is 1e-3, in gradients of 0.5.
  np.testing.assert_allclose(found.all.eigenvalues[:6], exact, rtol=2e-2)


@settings(max_examples=6, deadline=None)
@given(
  st.integers(0, 1000), st.integers(3, 9), st.integers(1, 30), st.booleans()
)
@pytest.mark.nightly
def test_slices_do_not_matter(seed, count, size, center):
  x = np.random.default_rng(seed).normal(size=(count, size))

  def grams(items_at_once):
    return gram.gradient_gram(
      lambda item: {'a': item, 'b': 2 * item[:1]}, jnp.float32(x),
      items_at_once=items_at_once, center=center, prefixes=(3,),
    )  # fmt: skip

  full = np.concatenate([x, 2 * x[:, :1]], 1)
  if center:
    full = full - full.mean(0)
  whole = grams(None)
  np.testing.assert_allclose(whole[0], full @ full.T, atol=1e-4)
  np.testing.assert_allclose(
    whole[1], full[:, : min(3, size)] @ full[:, : min(3, size)].T
    if size >= 3 else full[:, : size + 1] @ full[:, : size + 1].T, atol=1e-4,
  )  # fmt: skip
  for items_at_once in (1, count - 1):
    np.testing.assert_allclose(grams(items_at_once), whole, atol=1e-4)


def test_long_rows_keep_their_digits():
  """Sums over 400,000 columns, in pieces."""
  x = np.float32(np.random.default_rng(0).normal(size=(3, 400_003)) + 1)
  exact = np.float64(x) @ np.float64(x).T
  np.testing.assert_allclose(gram.gram(jnp.asarray(x)), exact, rtol=2e-6)


def test_bad_input():
  def loss(w, x):
    return jnp.mean(x @ w)

  w, x = jnp.ones(3), jnp.ones((4, 2, 3))
  with pytest.raises(ValueError, match='N=1'):
    ej.fisher_effective_rank(loss, w, x[:1])
  with pytest.raises(ValueError, match='B=1'):
    ej.gradient_covariance_rank(loss, w, x[:1])
  with pytest.raises(ValueError, match='scalar'):
    ej.fisher_effective_rank(lambda w, x: x @ w, w, x)
  same = ej.gradient_covariance_rank(loss, w, x)
  assert same.all.status == Status.DEGENERATE
  nothing = ej.fisher_effective_rank(loss, w, 0 * x)
  assert nothing.status == Status.DEGENERATE
  assert np.isnan(nothing.effective_rank)
  broken = ej.fisher_effective_rank(loss, w, x.at[0, 0, 0].set(jnp.nan))
  assert broken.status == Status.NON_FINITE
  assert np.isnan(broken.effective_rank)


@pytest.mark.nightly
def test_vmap_equals_loop():
  objective, _, batch, _ = transformer()
  keys = jax.random.split(jax.random.key(1), 2)
  params = jax.jit(jax.vmap(objective.init))(keys)

  def run(params):
    return ej.fisher_effective_rank(objective.example_loss, params, batch)

  mapped = jax.jit(jax.vmap(run))(params)
  for i in range(2):
    one = jax.jit(run)(jax.tree.map(lambda x, i=i: x[i], params))
    np.testing.assert_allclose(
      mapped.effective_rank[i], one.effective_rank, rtol=1e-4
    )


def inner(w, x):
  """Gradient x, of any example."""
  return jnp.sum(w['w'] * x)


GRADIENTS = np.float32(np.random.default_rng(0).normal(size=(12, 5)))


@pytest.mark.parametrize('scale', [3e-19, 1e-30, 1e25])
def test_gradients_of_any_scale(scale):
  params = {'w': jnp.zeros(5)}
  one = ej.fisher_effective_rank(inner, params, GRADIENTS)
  found = ej.fisher_effective_rank(inner, params, GRADIENTS * np.float32(scale))
  for name in ('effective_rank', 'participation_ratio', 'top_share'):
    np.testing.assert_allclose(
      getattr(found, name), getattr(one, name), rtol=1e-4
    )
  assert found.status == Status.OK
  batches = GRADIENTS[:, None]
  covariance = ej.gradient_covariance_rank(
    lambda w, x: jnp.mean(x @ w['w']), params, batches * np.float32(scale)
  )
  assert covariance.all.status == Status.OK
  assert 1 < covariance.effective_rank < 5.1


def test_other_leaves_and_keys_in_the_batch():
  """A key for each example, and a mask that is no parameter."""
  params = {'on': jnp.array([True, False] * 2 + [True]), 'w': jnp.zeros(5)}
  keys = jax.random.split(jax.random.key(0), 12)

  def loss(params, example):
    x, key = example
    noise = 0 * jax.random.normal(key, (5,))
    return jnp.sum(params['w'] * params['on'] * (x + noise))

  expected = ej.fisher_effective_rank(
    inner, {'w': jnp.zeros(5)}, GRADIENTS * np.float32(params['on'])
  )
  for examples_at_once in (None, 5):
    found = ej.fisher_effective_rank(
      loss, params, (GRADIENTS, keys), examples_at_once=examples_at_once
    )
    np.testing.assert_allclose(
      found.effective_rank, expected.effective_rank, rtol=1e-5
    )


@pytest.mark.parametrize('deviation', [1e-3, 1e-5])
def test_small_deviations_have_a_rank(deviation):
  """A relative deviation of 1e-5 is 84 roundings, and right to 1%."""
  shift = np.float32([1.0, -2, 3, 0.5, 1])
  batches = (shift + deviation * GRADIENTS)[:, None]
  found = ej.gradient_covariance_rank(
    lambda w, x: jnp.mean(x @ w), jnp.zeros(5), batches
  )
  centred = GRADIENTS - GRADIENTS.mean(0)
  values = np.linalg.eigvalsh(np.float64(centred.T @ centred))
  share = values / values.sum()
  exact = np.exp(-(share * np.log(share)).sum())
  np.testing.assert_allclose(found.effective_rank, exact, rtol=0.01)
  assert found.all.status == Status.OK
  same = ej.gradient_covariance_rank(
    lambda w, x: jnp.mean(x @ w), jnp.zeros(5),
    np.float32(np.broadcast_to(shift, (12, 1, 5))),
  )  # fmt: skip
  assert same.all.status == Status.DEGENERATE


def test_more_bad_input():
  with pytest.raises(ValueError, match='prefix=0'):
    ej.gradient_covariance_rank(
      lambda w, x: jnp.mean(x @ w), jnp.zeros(5), GRADIENTS[:, None], prefix=0
    )
  with pytest.raises(ValueError, match='items_at_once=-1'):
    ej.fisher_effective_rank(
      inner, {'w': jnp.zeros(5)}, GRADIENTS, examples_at_once=-1
    )
  with pytest.raises(ValueError, match='no floating leaf'):
    ej.fisher_effective_rank(
      lambda w, x: jnp.sum(x) * 1.0, {'w': jnp.arange(5)}, GRADIENTS
    )
