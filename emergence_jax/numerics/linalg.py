"""Dense decompositions of small matrices that are safe under `vmap` on CPUs.

On a CPU a batched LAPACK call waits for helpers from the same thread pool that
it runs in. Where several virtual devices decompose at once, all threads of the
pool can end up waiting, for ever (seen with jaxlib 0.10.2, two cores). Here a
CPU decomposes one matrix at a time, also under `vmap`; accelerators see the
batch.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from emergence_jax.base.types import PyTree


def one_by_one(fn: Callable[..., PyTree]) -> Callable[..., PyTree]:
  """`fn` of matrices, which no `vmap` turns into a batched call on a CPU."""
  alone = jax.custom_batching.sequential_vmap(fn)

  def call(*args):
    return jax.lax.platform_dependent(*args, cpu=alone, default=fn)

  return call


def _eigh(matrix_NN):
  finite = jnp.all(jnp.isfinite(matrix_NN))
  # LAPACK and the accelerators' solvers differ on nan; none of them sees it.
  values_N, vectors_NN = jnp.linalg.eigh(jnp.where(finite, matrix_NN, 0))
  return jnp.where(finite, values_N, jnp.nan), vectors_NN


def _solve_spd(matrix_NN, right_NK):
  return jax.scipy.linalg.solve(matrix_NN, right_NK, assume_a='pos')


@jax.default_matmul_precision('highest')
def eigh(matrix_NN: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Eigenvalues [N], increasing, and eigenvectors [N, N] in columns.

  Not finite input gives eigenvalues nan and meaningless vectors.
  """
  return one_by_one(_eigh)(matrix_NN)


@jax.default_matmul_precision('highest')
def solve_spd(matrix_NN: jax.Array, right_NK: jax.Array) -> jax.Array:
  """Solution of a symmetric positive definite system, [N, K]."""
  return one_by_one(_solve_spd)(matrix_NN, right_NK)


@jax.default_matmul_precision('highest')
def inverse(matrix_NN: jax.Array) -> jax.Array:
  """Inverse [N, N]; not finite for a singular matrix."""
  return one_by_one(lambda x: jnp.linalg.inv(x))(matrix_NN)


@jax.default_matmul_precision('highest')
def qr(matrix_NK: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Orthonormal [N, K] and triangular [K, K] factors of a tall matrix."""
  return one_by_one(lambda x: tuple(jnp.linalg.qr(x)))(matrix_NK)
