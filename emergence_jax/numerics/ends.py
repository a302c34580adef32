"""Ends of a spectrum, repeated eigenvalues included.

A Krylov space of one vector holds one direction of each eigenspace, so that
plain Lanczos finds a repeated eigenvalue once and calls all others converged
under the wrong number. Here the Ritz vectors of both ends are kept, and a
further sequence from a fresh random direction, orthogonal to them, looks for
what was missed: in the usual case it finds nothing, at a quarter of the cost;
else it finds one more copy of each, and another sequence follows.

Source: thick restarts after Wu and Simon 2000.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from emergence_jax.numerics import krylov, linalg
from emergence_jax.numerics.operators import Operator

# Products of a further sequence, as a part of those of the first.
_FURTHER = 0.25
_LEAST_FURTHER = 8


class Ends(NamedTuple):
  """Ritz values at both ends, K each.

  Attributes:
    top_K: the largest, decreasing.
    top_residuals_K: bounds of ‖A y − θ y‖: an eigenvalue lies within each.
    bottom_K: the smallest, increasing.
    bottom_residuals_K: likewise.
    top_placed_K: bool, that value has this place in the order: the last
      sequence moved it by less than a quarter of the tolerance. (Within a
      dense bulk every sequence finds values in between.)
    bottom_placed_K: bool.
    scale: largest |Ritz value|.
    first: `krylov.Tridiagonal` of the first sequence.
    num_sequences: int32, the first included.
  """

  top_K: jax.Array
  top_residuals_K: jax.Array
  bottom_K: jax.Array
  bottom_residuals_K: jax.Array
  top_placed_K: jax.Array
  bottom_placed_K: jax.Array
  scale: jax.Array
  first: krylov.Tridiagonal
  num_sequences: jax.Array


class _Kept(NamedTuple):
  """What is carried from one sequence to the next; W Ritz vectors.

  Attributes:
    vectors_WP: orthonormal rows, the top ones first.
    values_W: decreasing among the top, increasing among the bottom ones.
    residuals_W: bounds.
    top_shift_K: by how much the last sequence moved each value.
    bottom_shift_K: likewise.
    sequences: int32, how many so far.
    quiet: int32, the last of these that moved nothing.
  """

  vectors_WP: jax.Array
  values_W: jax.Array
  residuals_W: jax.Array
  top_shift_K: jax.Array
  bottom_shift_K: jax.Array
  sequences: jax.Array
  quiet: jax.Array


def _further(num_matvecs: int) -> int:
  """Products of a further sequence."""
  return max(_LEAST_FURTHER, int(_FURTHER * num_matvecs))


def _both_ends(pairs: krylov.Ritz, basis_RP: jax.Array, k: int, low: int):
  """The top k and the bottom `low` Ritz pairs, as W vectors."""
  count = pairs.values_M.size
  places = jnp.concatenate([
    jnp.arange(count - 1, count - 1 - k, -1), jnp.arange(low)
  ])  # fmt: skip
  vectors_WP = pairs.vectors_MM[:, places].T @ basis_RP
  return vectors_WP, pairs.values_M[places], pairs.residuals_M[places]


@jax.default_matmul_precision('highest')
def _sequence(product, kept: _Kept, rough_P, key, steps: int):
  """A Lanczos sequence orthogonal to the kept vectors.

  It begins in a random direction, beside that of `rough_P`, in which the least
  converged of the kept vectors lacks something.

  Returns:
    Basis [W + L, P], the operator on it, and the norm of what follows.
  """
  width, size = kept.vectors_WP.shape
  dtype = kept.vectors_WP.dtype
  rows = width + steps
  basis_RP = jnp.zeros((rows, size), dtype).at[:width].set(kept.vectors_WP)
  random_P = jax.random.normal(key, (size,), dtype)
  random_P = random_P / krylov.length(random_P)
  # Where the last sequence found nothing new, all goes into convergence.
  new = jnp.where((kept.quiet > 0) & jnp.any(rough_P != 0), 0, 1)
  start_P = krylov.unit_beside(basis_RP, new * random_P + rough_P)
  limit = 10 * jnp.finfo(dtype).eps

  def step(j, carry):
    basis_RP, matrix_RR, next_P, scale, _ = carry
    row = width + j
    basis_RP = basis_RP.at[row].set(next_P)
    once_R, rest_P = krylov.project(basis_RP, product(next_P))
    twice_R, rest_P = krylov.project(basis_RP, rest_P)
    entries_R = once_R + twice_R
    norm = krylov.length(rest_P)
    matrix_RR = matrix_RR.at[row].set(entries_R).at[:, row].set(entries_R)
    scale = jnp.maximum(scale, jnp.max(jnp.abs(entries_R)))
    broke = norm <= limit * scale

    def fresh(_):
      random_P = jax.random.normal(jax.random.fold_in(key, j), (size,), dtype)
      return krylov.unit_beside(basis_RP, random_P)

    next_P = jax.lax.cond(
      broke, fresh, lambda r_P: r_P / jnp.where(broke, 1, norm), rest_P
    )
    return basis_RP, matrix_RR, next_P, scale, jnp.where(broke, 0, norm)

  matrix_RR = jnp.zeros((rows, rows), dtype)
  inner = jnp.arange(width)
  matrix_RR = matrix_RR.at[inner, inner].set(kept.values_W)
  scale = jnp.max(jnp.abs(kept.values_W))
  basis_RP, matrix_RR, _, _, norm = jax.lax.fori_loop(
    0, steps, step, (basis_RP, matrix_RR, start_P, scale, jnp.zeros((), dtype))
  )
  return basis_RP, matrix_RR, norm


def _ritz(matrix_RR, residuals_W, tail_norm) -> krylov.Ritz:
  """Ritz pairs of kept vectors and a new sequence, with residual bounds.

  A kept vector leaves the space by at most its residual, the last new one by
  the norm of the tail.
  """
  values_M, vectors_MM = linalg.eigh((matrix_RR + matrix_RR.T) / 2)
  scale = jnp.max(jnp.abs(values_M))
  width = residuals_W.size
  residuals_M = residuals_W @ jnp.abs(vectors_MM[:width])
  residuals_M += tail_norm * jnp.abs(vectors_MM[-1])
  rounding = jnp.finfo(values_M.dtype).eps * scale
  return krylov.Ritz(
    values_M, vectors_MM[0], jnp.maximum(residuals_M, rounding), scale,
    vectors_MM,
  )  # fmt: skip


def _lacks(product: Operator, kept: _Kept, i):
  """What one kept vector lacks to be an eigenvector, and its norm."""
  v_P = kept.vectors_WP[i]
  rest_P = product(v_P) - kept.values_W[i] * v_P
  return rest_P, krylov.length(rest_P)


def _look(product, kept: _Kept, key, *, k: int, steps: int, tol: float):
  """What is kept after one more sequence."""
  worst = jnp.argmax(kept.residuals_W[:k])
  rough_P, residual = _lacks(product, kept, worst)
  kept = kept._replace(residuals_W=kept.residuals_W.at[worst].set(residual))
  rough_P = rough_P / jnp.where(residual > 0, residual, 1)
  basis_RP, matrix_RR, norm = _sequence(product, kept, rough_P, key, steps)
  ritz = _ritz(matrix_RR, kept.residuals_W, norm)
  slack = tol * ritz.scale
  low = kept.values_W.size - k
  vectors_WP, values_W, residuals_W = _both_ends(ritz, basis_RP, k, low)
  shift_W = jnp.abs(values_W - kept.values_W)
  # A converged value has an eigenvalue within the slack, and moves by more
  # only where another one was found before it.
  moved = jnp.any((kept.residuals_W <= slack) & (shift_W > slack))
  return _Kept(
    vectors_WP, values_W, residuals_W, shift_W[:k], shift_W[k:],
    kept.sequences + 1, jnp.where(moved, 0, kept.quiet + 1),
  )  # fmt: skip


def _goes_on(kept: _Kept, k: int, tol: float):
  """Whether another sequence is to look.

  One look that moves nothing is enough where nothing ever moved. Copies that
  were found late may take some more to converge.
  """
  scale = jnp.max(jnp.abs(kept.values_W))
  rough = jnp.any(kept.residuals_W[:k] > tol * scale)
  late = (kept.sequences > 2) & rough & (kept.quiet < 6)
  # Each sequence finds a copy of whatever is repeated: K at the most.
  return ((kept.quiet < 1) | late) & (kept.sequences < k + 8)


@jax.default_matmul_precision('highest')
def ends(
  product: Operator,
  size: int,
  key: jax.Array,
  *,
  k: int,
  num_matvecs: int,
  tol: float,
  dtype,
) -> Ends:
  """Both ends of the spectrum of a symmetric operator; see `Ends`.

  Memory: max(`num_matvecs`, 2·k + further) times P, where further is a quarter
  of `num_matvecs`, at least 8. Products: as many more in the usual case, and a
  further quarter for each copy of a repeated eigenvalue.

  Args:
    product: symmetric operator on vectors [P].
    size: P.
    key: of the random directions.
    k: values at each end.
    num_matvecs: M, steps of the first sequence, from k to P.
    tol: what counts as the same value, relative to the scale.
    dtype: of the vectors.
  """
  t = krylov.lanczos(product, size, key, num_matvecs=num_matvecs, dtype=dtype)
  pairs = krylov.ritz(t)
  low = min(k, num_matvecs - k)
  whole = num_matvecs == size
  nothing = jnp.zeros(k, bool)
  if whole or not low:
    # All of the space, or no more room than for the top: nothing to look for.
    top, bottom = pairs.values_M[::-1][:k], pairs.values_M[:k]
    residuals = pairs.residuals_M
    return Ends(
      top, residuals[::-1][:k], bottom, residuals[:k], nothing | whole,
      nothing | whole, pairs.scale, t, jnp.int32(1),
    )  # fmt: skip
  steps = min(_further(num_matvecs), size - k - low)
  vectors_WP, values_W, residuals_W = _both_ends(pairs, t.basis_MP, k, low)
  kept = _Kept(
    vectors_WP, values_W, residuals_W, jnp.full(k, jnp.inf, dtype),
    jnp.full(low, jnp.inf, dtype), jnp.int32(1), jnp.int32(0),
  )  # fmt: skip

  def look(kept: _Kept) -> _Kept:
    key_look = jax.random.fold_in(key, num_matvecs + kept.sequences)
    return _look(product, kept, key_look, k=k, steps=steps, tol=tol)

  kept = jax.lax.while_loop(lambda kept: _goes_on(kept, k, tol), look, kept)

  def measure(i, residuals_W):
    return residuals_W.at[i].set(_lacks(product, kept, i)[1])

  # The bounds of copies that were found late are too wide: they are measured.
  width = jnp.where(kept.sequences > 2, kept.values_W.size, 0)
  residuals_W = jax.lax.fori_loop(0, width, measure, kept.residuals_W)

  scale = jnp.maximum(pairs.scale, jnp.max(jnp.abs(kept.values_W)))
  settled = tol * scale / 4

  def pad(x, fill):
    return jnp.concatenate([x, jnp.full(k - low, fill, x.dtype)])

  return Ends(
    kept.values_W[:k],
    residuals_W[:k],
    pad(kept.values_W[k:], jnp.nan),
    pad(residuals_W[k:], jnp.inf),
    kept.top_shift_K <= settled,
    pad(kept.bottom_shift_K <= settled, False),
    scale,
    t,
    kept.sequences,
  )
