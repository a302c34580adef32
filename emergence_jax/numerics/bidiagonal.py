"""Singular values of many matrices at once, for accelerators.

Their vendors' solvers take a batch of small matrices one by one: RankMe of
eight seeds of a small model took half a minute on a GPU. Here every step is
done for all matrices together: reflections make them bidiagonal, and bisection
finds their singular values. Errors are machine epsilons of the largest singular
value: some, and about ten where a hundred reflections add theirs up.

Sources: Golub and Kahan 1965; Golub and Van Loan, Matrix Computations, 4th
edition, sections 5.1, 5.2, 8.4 and 8.6.
"""

import jax
import jax.numpy as jnp

from emergence_jax.numerics import leaves

# Columns that are reflected before the others are, and steps of a recurrence
# in one kernel.
_PANEL, _UNROLL = 32, 32
# Error of a value in epsilons of the largest, at most, and where a tall matrix
# of equal rows is made triangular first (tests/test_bidiagonal.py).
_ROUNDING, _ROUNDING_OF_TALL = 20, 50


def _reflector(x_N: jax.Array, i: jax.Array) -> jax.Array:
  """v of the reflection I − v vᵀ that maps x to a multiple of axis i.

  Entries of x [..., N] before the i-th are taken for zero; so are those of v.
  If nothing is left of x, v is zero and the reflection the identity.
  """
  place = jnp.arange(x_N.shape[-1])
  x_N = jnp.where(place >= i, x_N, 0)
  # Of equal columns the second leaves rounding, the third rounding of that, and
  # so on to values whose squares leave the type: they would stretch the others.
  x_N = x_N / leaves.power_of_two(jnp.max(jnp.abs(x_N), -1, keepdims=True))
  norm = jnp.sqrt(jnp.sum(x_N * x_N, -1, keepdims=True))
  # Away from x, so that nothing cancels.
  away = jnp.where(x_N < 0, -norm, norm)
  v_N = x_N + jnp.where(place == i, away, 0)
  # |v|² is to be 2, to the last bit, lest reflections stretch.
  half = jnp.sum(v_N * v_N, -1, keepdims=True) / 2
  return jnp.where(half > 0, v_N / jnp.sqrt(jnp.where(half > 0, half, 1)), 0)


def _column(a_ND: jax.Array, i: jax.Array) -> jax.Array:
  return jax.lax.dynamic_index_in_dim(a_ND, i, -1, keepdims=False)


def _row(a_ND: jax.Array, i: jax.Array) -> jax.Array:
  return jax.lax.dynamic_index_in_dim(a_ND, i, -2, keepdims=False)


def triangular(a_ND: jax.Array) -> jax.Array:
  """R [..., D, D] with RᵀR = AᵀA of tall matrices A [..., N, D], by panels.

  The reflections of a panel's columns are applied to the others together,
  H₁ … H_W = I − V T Vᵀ, where T⁻¹ is the upper triangle of VᵀV with ones on
  its diagonal.
  """
  *batch, n, d = a_ND.shape
  width = min(_PANEL, d)
  panels = -(-d // width)
  a_ND = jnp.pad(a_ND, [(0, 0)] * (len(batch) + 1) + [(0, panels * width - d)])

  def panel(k, a_ND):
    start = k * width
    block_NW = jax.lax.dynamic_slice_in_dim(a_ND, start, width, -1)

    def column(j, carry):
      block_NW, v_NW = carry
      v_N = _reflector(_column(block_NW, j), start + j)
      along_W = jnp.sum(v_N[..., None] * block_NW, -2)
      block_NW = block_NW - v_N[..., None] * along_W[..., None, :]
      here = jnp.arange(width) == j
      return block_NW, jnp.where(here, v_N[..., None], v_NW)

    _, v_NW = jax.lax.fori_loop(
      0, width, column, (block_NW, jnp.zeros_like(block_NW))
    )
    v_WN = jnp.swapaxes(v_NW, -1, -2)
    inverse_WW = jnp.triu(v_WN @ v_NW, 1) + jnp.eye(width, dtype=a_ND.dtype)
    along_WD = jax.lax.linalg.triangular_solve(
      inverse_WW, v_WN @ a_ND, left_side=True, lower=False, transpose_a=True
    )
    return a_ND - v_NW @ along_WD

  a_ND = jax.lax.fori_loop(0, panels, panel, a_ND)
  return jnp.triu(a_ND[..., :d, :d])


def bidiagonal(a_ND: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Diagonal [..., D] and the one above it [..., D], whose last entry is 0.

  Of the upper bidiagonal matrix that has the singular values of A [..., N, D],
  N ≥ D.
  """
  *batch, _, d = a_ND.shape
  blank = jnp.zeros((*batch, d), a_ND.dtype)
  place = jnp.arange(d)

  def step(i, carry):
    a_ND, main_D, above_D = carry
    v_N = _reflector(_column(a_ND, i), i)
    along_D = jnp.sum(v_N[..., None] * a_ND, -2)
    v_i = jnp.take(v_N, i, -1)[..., None]
    row_D = _row(a_ND, i) - v_i * along_D
    u_D = _reflector(row_D, i + 1)
    # A ← (I − v vᵀ) A (I − u uᵀ), with A read twice and written once.
    along_N = jnp.sum(a_ND * u_D[..., None, :], -1)
    along_N = along_N - v_N * jnp.sum(along_D * u_D, -1, keepdims=True)
    a_ND = (
      a_ND
      - v_N[..., None] * along_D[..., None, :]
      - along_N[..., None] * u_D[..., None, :]
    )
    above = row_D - u_D * jnp.sum(row_D * u_D, -1, keepdims=True)
    main_D = jnp.where(place == i, row_D, main_D)
    here = jnp.sum(jnp.where(place == i + 1, above, 0), -1, keepdims=True)
    return a_ND, main_D, jnp.where(place == i, here, above_D)

  _, main_D, above_D = jax.lax.fori_loop(0, d, step, (a_ND, blank, blank))
  return main_D, above_D


def _below(squares_E: jax.Array, shift_K: jax.Array) -> jax.Array:
  """How many singular values lie below each shift [..., K]; [..., K].

  The symmetric tridiagonal matrix with zeros on its diagonal and b beside it
  has the singular values and their negatives as eigenvalues; by Sylvester's
  law, as many of them lie below x as pivots of T − x are negative.

  Args:
    squares_E: [..., E], b² along its side diagonal.
    shift_K: positive.
  """
  tiny = jnp.finfo(shift_K.dtype).tiny

  def pivot(carry, square):
    q_K, count_K = carry
    q_K = -shift_K - square[..., None] / q_K
    # A pivot of zero counts as negative, here and in what it divides.
    q_K = jnp.where(jnp.abs(q_K) < tiny, -tiny, q_K)
    return (q_K, count_K + (q_K < 0)), None

  steps = jnp.moveaxis(squares_E, -1, 0)
  first = (-shift_K, jnp.ones(shift_K.shape, jnp.int32))
  (_, count_K), _ = jax.lax.scan(pivot, first, steps, unroll=_UNROLL)
  return count_K - (squares_E.shape[-1] + 1) // 2


def of_bidiagonal(main_D: jax.Array, above_D: jax.Array) -> jax.Array:
  """Singular values [..., D], descending, of bidiagonal matrices."""
  d = main_D.shape[-1]
  # b: main and above by turns; the last above is no entry of the matrix.
  both = jnp.stack([main_D, above_D], -1).reshape(*main_D.shape[:-1], 2 * d)
  b_E = both[..., :-1]
  most = jnp.max(jnp.abs(b_E), -1, keepdims=True)
  scale = jnp.where(most > 0, most, 1)
  squares_E = (b_E / scale) ** 2
  # Gershgorin: no eigenvalue is beyond two entries of a row.
  low_K = jnp.zeros((*main_D.shape[:-1], d), main_D.dtype)
  high_K = jnp.full_like(low_K, 2.0)
  index_K = jnp.arange(d)

  def halve(_, bounds):
    low_K, high_K = bounds
    middle_K = (low_K + high_K) / 2
    is_above = _below(squares_E, middle_K) <= index_K
    low_K = jnp.where(is_above, middle_K, low_K)
    return low_K, jnp.where(is_above, high_K, middle_K)

  # To the last bit, and a little for the first bound and its rounding.
  halvings = jnp.finfo(main_D.dtype).nmant + 3
  low_K, high_K = jax.lax.fori_loop(0, halvings, halve, (low_K, high_K))
  values_K = jnp.flip((low_K + high_K) / 2 * scale, -1)
  # Of nothing but zeros the bisection ends where it began.
  return jnp.where(most > 0, values_K, 0)


@jax.custom_jvp
def singular_values(a_ND: jax.Array) -> jax.Array:
  """Singular values [..., min(N, D)], descending, of real [..., N, D].

  Entries should be of order one at most: squares must not leave the type.
  Values within the rounding of the largest (20 of its machine epsilons, 50 of
  a tall matrix) are 0.
  Derivatives are those of `jnp.linalg.svd`.
  """
  n, d = a_ND.shape[-2:]
  if n < d:
    a_ND = jnp.swapaxes(a_ND, -1, -2)
    n, d = d, n
  rounding = _ROUNDING
  if n > 2 * d:
    a_ND, rounding = triangular(a_ND), _ROUNDING_OF_TALL
  values_D = of_bidiagonal(*bidiagonal(a_ND))
  # What lies within the rounding of the largest is not known from zero.
  floor = rounding * jnp.finfo(values_D.dtype).eps * values_D[..., :1]
  return jnp.where(values_D < floor, 0, values_D)


@singular_values.defjvp
def _derivative(primals, tangents):
  _, tangent = jax.jvp(
    lambda a_ND: jnp.linalg.svd(a_ND, compute_uv=False), primals, tangents
  )
  return singular_values(*primals), tangent
