"""Lanczos on a symmetric operator, safe in float32.

Written here because of what float32 needs: full reorthogonalisation, twice;
inner products that do not lose digits over long vectors; a breakdown test
relative to the operator; and an account of its own error beside every value.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from emergence_jax.numerics import gram, linalg
from emergence_jax.numerics.operators import Operator


class Tridiagonal(NamedTuple):
  """M Lanczos steps: the operator on a Krylov basis, Q A Qᵀ = T.

  Attributes:
    basis_MP: orthonormal rows.
    diagonal_M: of T.
    beside_M: T's off-diagonal; the last entry is the norm of what the basis
      lacks to be invariant.
    num_breakdowns: int32, how often the basis was invariant before it was
      full, and went on from a fresh random direction.
    asymmetry: largest entry outside T's three diagonals, relative to the
      largest inside: the noise of the operator, about 1e-7 in float32.
  """

  basis_MP: jax.Array
  diagonal_M: jax.Array
  beside_M: jax.Array
  num_breakdowns: jax.Array
  asymmetry: jax.Array


class Ritz(NamedTuple):
  """Approximate eigenpairs, increasing.

  Attributes:
    values_M: Ritz values, in the operator's units.
    first_M: first components of T's eigenvectors, whose squares are the
      weights of Gauss quadrature.
    residuals_M: ‖A y − θ y‖ of each pair; some eigenvalue lies within it.
    scale: largest |Ritz value|.
    vectors_MM: coefficients in the basis, in columns.
  """

  values_M: jax.Array
  first_M: jax.Array
  residuals_M: jax.Array
  scale: jax.Array
  vectors_MM: jax.Array


def length(v_P: jax.Array) -> jax.Array:
  """Euclidean norm, scaled so that no square over- or underflows."""
  largest = jnp.max(jnp.abs(v_P))
  safe = jnp.where(largest > 0, largest, 1)
  return largest * jnp.sqrt(jnp.sum((v_P / safe) ** 2))


def project(basis_MP: jax.Array, v_P: jax.Array):
  """Coefficients in the basis, and what is left without them."""
  # A sum of products, not a matrix product: over 4e5 entries in float32 the
  # basis is then orthogonal to 3e-7 and not to 3e-6, or on some machines 1e-4.
  # The barrier keeps XLA from computing the sum anew for every entry below.
  coefficients_M = jax.lax.optimization_barrier(jnp.sum(basis_MP * v_P, 1))
  return coefficients_M, v_P - coefficients_M @ basis_MP


def unit_beside(basis_MP: jax.Array, v_P: jax.Array) -> jax.Array:
  """The direction of v [P] orthogonal to the basis, as a unit vector."""
  for _ in range(2):
    v_P = project(basis_MP, v_P / length(v_P))[1]
  return v_P / length(v_P)


@jax.default_matmul_precision('highest')
def lanczos(
  product: Operator,
  size: int,
  key: jax.Array,
  *,
  num_matvecs: int,
  dtype,
  start_P: jax.Array | None = None,
) -> Tridiagonal:
  """Runs Lanczos from a random direction; see `Tridiagonal`.

  Memory: M·P numbers for the basis. Time: M products and, for the
  reorthogonalisation, 4·M²·P multiplications.

  Args:
    product: symmetric operator on vectors [P].
    size: P.
    key: of the first direction.
    num_matvecs: M, at most P.
    dtype: of the vectors.
    start_P: another direction to begin with, of any length but 0.
  """
  if not 1 <= num_matvecs <= size:
    raise ValueError(
      f'num_matvecs={num_matvecs} must be from 1 to the {size} dimensions of '
      'the operator.'
    )
  limit = 10 * jnp.finfo(dtype).eps

  def step(i, carry):
    t, next_P, scale, noise = carry
    basis_MP = t.basis_MP.at[i].set(next_P)
    once_M, rest_P = project(basis_MP, product(next_P))
    twice_M, rest_P = project(basis_MP, rest_P)
    entries_M = once_M + twice_M
    norm = length(rest_P)
    place = jnp.arange(num_matvecs)
    noise = jnp.maximum(
      noise, jnp.max(jnp.where(place < i - 1, jnp.abs(entries_M), 0))
    )
    scale = jnp.maximum(scale, jnp.maximum(jnp.abs(entries_M[i]), norm))
    broke = norm <= limit * scale

    def fresh(_):
      random_P = jax.random.normal(jax.random.fold_in(key, i), (size,), dtype)
      return unit_beside(basis_MP, random_P)

    last = i == num_matvecs - 1
    next_P = jax.lax.cond(
      broke & ~last, fresh, lambda r_P: r_P / jnp.where(broke, 1, norm), rest_P
    )
    t = Tridiagonal(
      basis_MP,
      t.diagonal_M.at[i].set(entries_M[i]),
      t.beside_M.at[i].set(jnp.where(broke, 0, norm)),
      t.num_breakdowns + (broke & ~last),
      t.asymmetry,
    )
    return t, next_P, scale, noise

  zero_M = jnp.zeros(num_matvecs, dtype)
  blank = Tridiagonal(
    jnp.zeros((num_matvecs, size), dtype), zero_M, zero_M, jnp.int32(0),
    zero_M[0],
  )  # fmt: skip
  first_P = start_P
  if first_P is None:
    key_first = jax.random.fold_in(key, num_matvecs)
    first_P = jax.random.normal(key_first, (size,), dtype)
  t, _, scale, noise = jax.lax.fori_loop(
    0, num_matvecs, step,
    (blank, first_P / length(first_P), zero_M[0], zero_M[0]),
  )  # fmt: skip
  return t._replace(asymmetry=noise / jnp.where(scale > 0, scale, 1))


def ritz(t: Tridiagonal) -> Ritz:
  """Eigenpairs of T, as approximations to the operator's."""
  beside_L = t.beside_M[:-1]
  matrix_MM = (
    jnp.diag(t.diagonal_M) + jnp.diag(beside_L, 1) + jnp.diag(beside_L, -1)
  )
  values_M, vectors_MM = linalg.eigh(matrix_MM)
  scale = jnp.max(jnp.abs(values_M))
  # T itself carries the rounding of the products.
  rounding = jnp.finfo(values_M.dtype).eps * scale
  residuals_M = t.beside_M[-1] * jnp.abs(vectors_MM[-1])
  return Ritz(
    values_M, vectors_MM[0], jnp.maximum(residuals_M, rounding), scale,
    vectors_MM,
  )  # fmt: skip


def orthogonality_error(basis_MP: jax.Array) -> jax.Array:
  """Largest entry of |Q Qᵀ − 1|."""
  size = basis_MP.shape[0]
  return jnp.max(jnp.abs(gram.gram(basis_MP) - jnp.eye(size)))
