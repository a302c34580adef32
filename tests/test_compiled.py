"""What a user calls by itself is traced once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import emergence_jax as ej

X = np.random.default_rng(0).standard_normal((12, 3)).astype(np.float32)
W = jnp.ones(3)
KEY = jax.random.key(0)


def counted(mean):
  """A loss that counts how often it is traced."""
  calls = []

  def loss(w, x):
    calls.append(1)
    value = (x @ w - 1) ** 2
    return jnp.mean(value) if mean else value

  return loss, calls


@pytest.mark.parametrize('call', [
  lambda loss: ej.hessian_eigenvalues(loss, W, X, KEY, k=2),
  lambda loss: ej.hessian_trace(loss, W, X, KEY, num_matvecs=4),
  lambda loss: ej.loss_barrier(loss, W, 2 * W, X),
  lambda loss: ej.gradient_covariance_rank(loss, W, X.reshape(4, 3, 3)),
  lambda loss: ej.estimate_llc(
    loss, W, X, KEY, step_size=1e-3, localization=1.0, num_draws=8,
    num_burnin=1, num_chains=1,
  ),
])  # fmt: skip
def test_a_loss_is_traced_at_the_first_call_alone(call):
  loss, calls = counted(mean=True)
  first = call(loss)
  assert calls
  count = len(calls)
  second = call(loss)
  assert len(calls) == count
  for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second)):
    np.testing.assert_array_equal(a, b)


def test_it_is_the_same_within_a_program():
  loss, _ = counted(mean=False)
  outside = ej.fisher_effective_rank(loss, W, X)
  inside = jax.jit(lambda w: ej.fisher_effective_rank(loss, w, X))(W)
  np.testing.assert_allclose(
    outside.effective_rank, inside.effective_rank, rtol=1e-5
  )
  ranks = jax.vmap(ej.rankme)(jnp.stack([X, 2 * X]))
  np.testing.assert_allclose(ranks, ej.rankme(X), rtol=1e-5)


def test_the_loss_of_a_batch_is_told_apart():
  def loss(w, x):
    return jnp.mean(jnp.sum(x * w, axis=1) ** 2)

  with pytest.raises(ValueError, match='takes one example, without the'):
    ej.fisher_effective_rank(loss, W, X)


def test_what_cannot_be_compiled_for_is_called_as_it_is():
  class Odd(list):
    """Cannot be hashed."""

    def __call__(self, w, x):
      return jnp.mean((x @ w) ** 2)

  found = ej.hessian_trace(Odd(), W, X, KEY, num_matvecs=2)
  assert np.isfinite(found.trace)
  assert ej.rankme(X, center=True) == pytest.approx(
    float(ej.rankme(X - X.mean(0))), rel=1e-4
  )
  with pytest.raises(TypeError, match='num_matvec'):
    ej.hessian_trace(Odd(), W, X, KEY, num_matvec=2)


def test_a_setting_that_localization_binds_is_not_recommended():
  """Loss |w|²/2 · h: γ above nβ·h hides it."""

  def loss(w, x):
    return jnp.sum(w**2) / 2 * 0.01 + 0 * jnp.mean(x)

  found = ej.calibrate_llc(
    loss, jnp.zeros(4), jnp.zeros(1000), KEY, step_sizes=(1e-2,),
    localizations=(0.1, 0.3, 100.0), num_draws=3000, num_burnin=500,
    num_chains=4,
  )  # fmt: skip
  np.testing.assert_array_equal(found.localized, [False, False, True])
  assert int(found.recommended) == 0, found.explain()
  assert '1 of them are bound by their localization' in found.explain()
