"""Traces of symmetric operators from matrix-vector products."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from scipy import special

from emergence_jax.numerics import leaves, linalg
from emergence_jax.numerics.operators import Operator

METHODS = ('hutchinson', 'xtrace')
# XTrace's samples share all but one of their test vectors, and their spread
# is too small by as much: by 1.0 to 1.5 over seven spectra and 4 to 32 samples
# (tests/test_trace.py).
_DEPENDENT = 1.4


class Trace(NamedTuple):
  """Attributes: trace and its standard error, in the operator's units.

  The error of few samples is widened by Student's factor, so that twice of it
  covers 95% with any number of them.
  """

  trace: jax.Array
  stderr: jax.Array


def of_few(count: int) -> float:
  """Student's 97.5% quantile of a mean of so many samples over 1.96.

  Of `count` samples with their own spread, ±2 errors cover 95% then, too.
  """
  # `scipy.stats` has the same, and takes a second to be imported.
  return float(special.stdtrit(count - 1, 0.975) / special.ndtri(0.975))


def _mean(samples_M: jax.Array) -> Trace:
  """Mean of samples, and its error, such that twice of it covers 95%."""
  count = samples_M.size
  # Their squares must stay within float32.
  power = leaves.power_of_two(jnp.max(jnp.abs(samples_M)))
  samples_M = samples_M / power
  spread = of_few(count) * jnp.std(samples_M, ddof=1) / jnp.sqrt(count)
  return Trace(power * jnp.mean(samples_M), power * spread)


def hutchinson(
  product: Operator, size: int, key: jax.Array, *, num_matvecs: int, dtype
) -> Trace:
  """Mean of z·Az over random signs z, and its standard error.

  Unbiased; the variance of one sample is twice the sum of the squared
  off-diagonal entries. Source: Hutchinson 1989.

  Args:
    product: symmetric operator on vectors [size].
    size: P.
    key: of the signs.
    num_matvecs: samples, at least 2.
    dtype: of the vectors.
  """
  if num_matvecs < 2:
    raise ValueError(f'num_matvecs={num_matvecs}: a standard error needs 2.')

  def sample(key):
    z_P = jax.random.rademacher(key, (size,), dtype)
    return jnp.sum(z_P * product(z_P))

  return _mean(jax.lax.map(sample, jax.random.split(key, num_matvecs)))


@jax.default_matmul_precision('highest')
def xtrace(
  product: Operator, size: int, key: jax.Array, *, num_matvecs: int, dtype
) -> Trace:
  """Trace by the exchangeable estimator, and its error estimate.

  Unbiased. Each of K = num_matvecs / 2 test vectors in turn meets the rest of
  the operator that the other K − 1 have not captured, so that a fast decaying
  spectrum costs little. Exact for an operator of rank below K.
  Source: Epperly, Tropp and Webber, arXiv:2301.07825, section 3.

  Args:
    product: symmetric operator on vectors [size].
    size: P.
    key: of the test vectors.
    num_matvecs: an even number, at least 4 and at most 2·P.
    dtype: of the vectors.
  """
  if num_matvecs < 4 or num_matvecs % 2 or num_matvecs > 2 * size:
    raise ValueError(
      f'num_matvecs={num_matvecs} must be even, from 4 to {2 * size}.'
    )
  count = num_matvecs // 2
  test_KP = jax.random.normal(key, (count, size), dtype)
  image_KP = jax.lax.map(product, test_KP)
  power = leaves.power_of_two(jnp.max(jnp.abs(image_KP)))
  image_KP = image_KP / power
  basis_PK, triangle_KK = linalg.qr(image_KP.T)
  # The directions that the images span; fewer than K of a low-rank operator.
  values_K, vectors_KK = linalg.eigh(triangle_KK @ triangle_KK.T)
  kept_K = values_K > (10 * jnp.finfo(dtype).eps) ** 2 * count * values_K[-1]
  kept_K &= values_K > 0
  basis_KP = jnp.where(kept_K[:, None], (basis_PK @ vectors_KK).T, 0)

  def inner(a_KP, b_KP):
    return jax.lax.map(lambda a_P: jnp.sum(b_KP * a_P, 1), a_KP)

  inside_KK = inner(basis_KP, jax.lax.map(product, basis_KP))  # Qᵀ A Q
  inside_KK = inside_KK / power
  inside_KK = (inside_KK + inside_KK.T) / 2
  image_KK = inner(basis_KP, image_KP)  # Qᵀ A ω, in columns
  test_KK = inner(basis_KP, test_KP)  # Qᵀ ω
  # Unit s with Q s orthogonal to all images but that of ω: what the basis
  # loses without ω. With a rank below K, the others span the same space.
  full = jnp.all(kept_K)
  lost_KK = linalg.inverse(jnp.where(full, image_KK, jnp.eye(count))).T
  lost_KK = lost_KK / jnp.linalg.norm(lost_KK, axis=0)
  lost_KK = jnp.where(full, lost_KK, 0)
  used_KK = test_KK - lost_KK * jnp.sum(lost_KK * test_KK, 0)
  captured_K = jnp.trace(inside_KK) - jnp.sum(
    lost_KK * (inside_KK @ lost_KK), 0
  )
  outside_K = (
    jnp.sum(test_KP * image_KP, 1)
    - 2 * jnp.sum(used_KK * image_KK, 0)
    + jnp.sum(used_KK * (inside_KK @ used_KK), 0)
  )
  # ω stretched to the length that a vector uniform on the sphere of what is
  # outside should have.
  length_K = jnp.sum(test_KP**2, 1) - jnp.sum(used_KK**2, 0)
  rank = jnp.sum(kept_K) - full
  stretch_K = (size - rank) / jnp.maximum(length_K, jnp.finfo(dtype).tiny)
  stretch_K = jnp.where(size > rank, stretch_K, 0)
  mean = _mean(power * (captured_K + outside_K * stretch_K))
  rounding = 8 * jnp.finfo(dtype).eps * jnp.abs(mean.trace)
  return mean._replace(stderr=jnp.hypot(_DEPENDENT * mean.stderr, rounding))
