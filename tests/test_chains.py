"""Statistics of chains: effective draws, standard errors, R-hat."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emergence_jax.numerics import chains


def ar1(rho, chains_count, count, seed=0):
  rng = np.random.default_rng(seed)
  x = np.zeros((chains_count, count))
  x[:, 0] = rng.normal(size=chains_count)
  for t in range(1, count):
    noise = rng.normal(size=chains_count)
    x[:, t] = rho * x[:, t - 1] + np.sqrt(1 - rho**2) * noise
  return jnp.float32(x)


@pytest.mark.parametrize('rho', [0.0, 0.5, 0.9, -0.3])
def test_effective_draws_of_an_autoregression(rho):
  found = chains.mean(ar1(rho, 8, 4000))
  np.testing.assert_allclose(
    found.ess, 32_000 * (1 - rho) / (1 + rho), rtol=0.15
  )
  assert abs(found.mean) < 4 * found.stderr


def test_standard_errors_and_drift_are_honest():
  x = jnp.stack([ar1(0.8, 4, 400, seed) for seed in range(200)])
  found = jax.jit(jax.vmap(chains.mean))(x)
  z = np.asarray(found.mean / found.stderr)
  assert abs(z.mean()) < 0.3 and 0.8 < z.std() < 1.3
  drift = np.asarray(jax.jit(jax.vmap(chains.drift))(x))
  assert abs(drift.mean()) < 0.3 and 0.8 < drift.std() < 1.3
  assert (np.abs(drift) < 4.5).all()


@pytest.mark.nightly
def test_rhat():
  at_rest = ar1(0.5, 4, 1000)
  assert chains.rhat(at_rest) < 1.01
  apart = at_rest + 3 * jnp.arange(4)[:, None]
  assert chains.rhat(apart) > 2
  moving = at_rest[:1] + jnp.linspace(0, 8, 1000)
  assert chains.rhat(moving) > 1.5 and chains.drift(moving) > 4
  same = jnp.ones((2, 10))
  assert chains.rhat(same) == 1 and chains.drift(same) == 0
  assert chains.mean(same).stderr == 0
