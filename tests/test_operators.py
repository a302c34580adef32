"""Operators of a loss beside closed forms: slices, weights, kinds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import emergence_jax as ej
from emergence_jax.numerics import operators
from tests import tiers

KEY = jax.random.key(0)
N = 46


def logistic_case():
  rng = np.random.default_rng(1)
  x = rng.normal(size=(N, 6))
  y = (rng.random(N) < 0.5).astype(float)
  w = rng.normal(size=6) / 2

  def loss(w, batch):
    z = batch[0] @ w
    return jnp.mean(jnp.logaddexp(0, z) - batch[1] * z)

  p = 1 / (1 + np.exp(-x @ w))
  return loss, w, (x, y), x.T @ (x * (p * (1 - p))[:, None]) / N


def linear_case():
  rng = np.random.default_rng(2)
  x, y, w = rng.normal(size=(N, 6)), rng.normal(size=N), rng.normal(size=6)

  def loss(w, batch):
    return jnp.mean((batch[0] @ w - batch[1]) ** 2) / 2

  return loss, w, (x, y), x.T @ x / N


def softmax_case():
  rng = np.random.default_rng(3)
  x, w = rng.normal(size=(N, 4)), rng.normal(size=(4, 3))
  y = rng.integers(0, 3, N)

  def loss(w, batch):
    logits = jax.nn.log_softmax(batch[0] @ w)
    return -jnp.mean(jnp.take_along_axis(logits, batch[1][:, None], 1))

  z = np.exp(x @ w)
  p = z / z.sum(1, keepdims=True)
  exact = np.zeros((4, 3, 4, 3))
  for xi, pi in zip(x, p):
    inner = np.diag(pi) - np.outer(pi, pi)
    exact += np.einsum('a,b,ij->aibj', xi, xi, inner) / N
  return loss, w, (x, y), exact.reshape(12, 12)


@pytest.mark.parametrize('case', [linear_case, logistic_case, softmax_case])
@pytest.mark.parametrize('examples_at_once', tiers.some([7, None, 30, N]))
def test_closed_forms_whatever_the_slices(case, examples_at_once):
  """Of 46, slices of 7 leave a ragged one; 30 at most are two of 23."""
  loss, w, batch, exact = case()
  params = jnp.float32(w)
  batch = jax.tree.map(
    lambda x: jnp.float32(x) if x.dtype == float else jnp.asarray(x), batch
  )
  product = operators.hessian(
    loss, params, batch, examples_at_once=examples_at_once
  )
  size = exact.shape[0]
  found = jax.jit(jax.vmap(product))(jnp.eye(size))
  np.testing.assert_allclose(found, exact, atol=2e-6)
  top = ej.hessian_eigenvalues(
    loss,
    params,
    batch,
    KEY,
    k=3,
    num_matvecs=size,
    examples_at_once=examples_at_once,
  )
  values = np.linalg.eigvalsh(exact)
  np.testing.assert_allclose(top.eigenvalues, values[::-1][:3], rtol=1e-5)


def test_slices_of_unequal_weight():
  """A mean over tokens: slices count by their tokens."""
  rng = np.random.default_rng(0)
  x = jnp.float32(rng.normal(size=(11, 4)))
  tokens = jnp.float32(rng.integers(1, 9, 11))

  def loss(w, batch):
    x, n = batch
    return jnp.sum(n * (x @ w) ** 2) / jnp.sum(n)

  def weight(batch):
    return jnp.sum(batch[1])

  v, w = jnp.ones(4), jnp.ones(4)
  whole = operators.hessian(loss, w, (x, tokens))(v)
  sliced = operators.hessian(
    loss, w, (x, tokens), examples_at_once=3, weight=weight
  )(v)
  np.testing.assert_allclose(sliced, whole, rtol=1e-5)
