"""The sampler's own parts; what its chains come to is in `test_llc.py`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emergence_jax.numerics import sgld


@pytest.mark.parametrize('size', [1, 32, 1000])
def test_signs_of_the_noise(size):
  """Each is 1 half of the time, whatever its neighbours and the key before."""
  draws = jax.vmap(lambda i: sgld.signs(jax.random.key(i), size, jnp.float32))
  signs_RN = np.asarray(draws(jnp.arange(4096)))
  assert signs_RN.shape == (4096, size) and set(signs_RN.flat) == {-1.0, 1.0}
  bound = 5 / np.sqrt(4096)
  assert np.abs(signs_RN.mean(0)).max() < bound
  beside = signs_RN[:, 1:] * signs_RN[:, :-1], signs_RN[1:] * signs_RN[:-1]
  for product in beside:
    assert np.abs(product.mean(0)).max(initial=0) < bound
