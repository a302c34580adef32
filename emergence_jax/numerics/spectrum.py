"""Effective ranks of spectra and of feature matrices."""

import jax
import jax.numpy as jnp
import numpy as np

from emergence_jax.numerics import bidiagonal, leaves, linalg
from emergence_jax.numerics.compiled import compiled


def _shares(weights: jax.Array) -> jax.Array:
  """Weights [..., K] over their sum, whatever their scale and precision."""
  weights = leaves.at_least_float32(weights)
  weights = weights / jnp.max(weights, -1, keepdims=True)
  return weights / jnp.sum(weights, -1, keepdims=True)


def entropy_rank(weights: jax.Array) -> jax.Array:
  """Exponential of the entropy of normalised weights, over the last axis.

  Args:
    weights: [..., K], not negative; zeros do not count.

  Returns:
    [...], from 1 to K; nan where all weights are zero or one is not finite.
  """
  share = _shares(weights)
  # log(1) where the share is zero: the limit of -s log s, with a finite slope.
  log_share = jnp.log(jnp.where(share > 0, share, 1))
  return jnp.exp(-jnp.sum(share * log_share, -1))


# Singular values below this share of the largest, which the eigenvalues of a
# Gram matrix in float32 do not resolve, have no slope.
_RESOLVED = 1e-3


@jax.custom_vjp
def log_rankme(features_ND: jax.Array) -> jax.Array:
  """Logarithm of RankMe, for a gradient: the entropy of singular values.

  By the eigenvalues of the Gram matrix, so that a step of training can have it;
  its slope in the features is that of the entropy along each pair of singular
  vectors, and needs no difference of eigenvalues in a denominator.
  Source: arXiv:2210.02885, eq. 1.

  Args:
    features_ND: N examples of D features; rows of zeros do not count.
  """
  return _entropy_and_slope(features_ND)[0]


def _entropy_and_slope(features_ND: jax.Array) -> tuple[jax.Array, jax.Array]:
  """log RankMe, and its slope [N, D]."""
  n, d = features_ND.shape
  tall_ND = features_ND if n >= d else features_ND.T
  square, vectors = linalg.eigh(tall_ND.T @ tall_ND)
  values = jnp.sqrt(jnp.maximum(square, 0))
  values = jnp.where(values > _RESOLVED * values[-1], values, 0)
  total = jnp.maximum(jnp.sum(values), jnp.finfo(values.dtype).tiny)
  share = values / total
  log_share = jnp.log(jnp.where(share > 0, share, 1))
  entropy = -jnp.sum(share * log_share)
  safe = jnp.where(values > 0, values, 1)
  slope = jnp.where(values > 0, -(log_share + entropy) / (total * safe), 0)
  slope_ND = tall_ND @ (vectors * slope) @ vectors.T
  return entropy, slope_ND if n >= d else slope_ND.T


def _log_rankme_back(slope_ND, cotangent):
  return (cotangent * slope_ND,)


log_rankme.defvjp(_entropy_and_slope, _log_rankme_back)


@compiled('weights')
def participation_ratio(weights: jax.Array) -> jax.Array:
  """(Σw)² / Σw² of weights [..., K] that are not negative; [...], 1 to K.

  The exponential of the Rényi entropy of order 2, never above `entropy_rank`.
  Nan where all weights are zero.

  >>> participation_ratio(jnp.array([2.0, 2.0, 0.0]))
  Array(2., dtype=float32)
  """
  share = _shares(weights)
  return 1 / jnp.sum(share * share, -1)


@compiled('eigenvalues')
def effective_rank(eigenvalues: jax.Array) -> jax.Array:
  """Effective rank of a positive semidefinite matrix, from its eigenvalues.

  Exponential entropy of the eigenvalues divided by their sum; see
  `participation_ratio` for the other usual definition. Negative eigenvalues,
  which rounding leaves, count as zero.
  Source: Roy and Vetterli 2007; arXiv:2602.15997, section 3.

  >>> effective_rank(jnp.array([3.0, 1.0, 0.0])).round(4)
  Array(1.7548, dtype=float32)

  Args:
    eigenvalues: [..., K].

  Returns:
    [...], in dimensions, from 1 to K; nan where none is positive or one is
    not finite.
  """
  return entropy_rank(jnp.where(eigenvalues < 0, 0, eigenvalues))


def _decompose(features_ND: jax.Array) -> jax.Array:
  n, d = features_ND.shape[-2:]
  if n > d:
    features_ND = jnp.linalg.qr(features_ND, mode='r')
  return jnp.linalg.svd(features_ND, compute_uv=False)


def _decompose_each(features_ND: jax.Array) -> jax.Array:
  """`_decompose` of one matrix after another."""
  decompose = jax.custom_batching.sequential_vmap(_decompose)
  flat = features_ND.reshape(-1, *features_ND.shape[-2:])
  values = jax.lax.map(decompose, flat)
  return values.reshape(*features_ND.shape[:-2], values.shape[-1])


def singular_values(features_ND: jax.Array) -> jax.Array:
  """Singular values [..., min(N, D)] of [..., N, D].

  A tall matrix is reduced to its triangular factor first, which costs less
  than its SVD and loses nothing; the Gram matrix would lose, in float32,
  every singular value below about 3e-4 of the largest. A CPU leaves both to
  LAPACK, an accelerator does all matrices at once, by `bidiagonal`.
  """
  features_ND = leaves.at_least_float32(features_ND)
  finite = jnp.all(jnp.isfinite(features_ND), (-2, -1), keepdims=True)
  # LAPACK and the accelerators' solvers differ on nan; none of them sees it.
  safe_ND = jnp.where(finite, features_ND, 0)
  # Squares of what is very large or small would leave float32.
  scale = leaves.power_of_two(
    jnp.max(jnp.abs(safe_ND), (-2, -1), keepdims=True)
  )
  safe_ND = safe_ND / scale
  with jax.default_matmul_precision('highest'):
    # See `linalg` for why a CPU decomposes one matrix at a time.
    values = jax.lax.platform_dependent(
      safe_ND, cpu=_decompose_each, default=bidiagonal.singular_values
    )
  return jnp.where(finite[..., 0], values * scale[..., 0], jnp.nan)


@compiled('features_ND', 'weight_N')
def rankme(
  features_ND: jax.Array,
  *,
  center: bool | jax.Array = False,
  eps: float = 0.0,
  weight_N: jax.Array | None = None,
) -> jax.Array:
  """Effective rank of features, in dimensions, from 1 to min(N, D).

  Exponential entropy of the singular values divided by their sum; not
  centred unless asked. Singular values below the rounding error of their
  computation (8 machine epsilons of the largest, 1e-6 in float32) count as
  zero, so that D of them cannot add up to a visible rank.
  Source: Garrido et al., arXiv:2210.02885, eq. 1, which adds `eps=1e-7` to
  each normalised singular value; here the default is 0.

  >>> rankme(jnp.diag(jnp.array([3.0, 1.0]))).round(4)
  Array(1.7548, dtype=float32)

  Args:
    features_ND: features of N examples in D dimensions; leading axes allowed.
    center: subtract the mean over the examples first; an array [...] says
      so of each matrix.
    eps: added to each normalised singular value inside the entropy.
    weight_N: optional 0/1 weights [..., N]; rows of weight 0 are left out.

  Returns:
    [...] float, at least float32; nan for features that are all zero or not
    finite, or of which centring leaves only rounding.

  Raises:
    ValueError: if the features are no matrix, or have no row or column.
  """
  features_ND = leaves.at_least_float32(features_ND)
  if features_ND.ndim < 2 or 0 in features_ND.shape[-2:]:
    raise ValueError(
      f'features have shape {features_ND.shape}; a rank takes [N, D]: N '
      'examples in D dimensions.'
    )
  if weight_N is None:
    weight_N = jnp.ones(features_ND.shape[:-1], bool)
  kept_N1 = jnp.asarray(weight_N)[..., None] > 0
  # A row that is left out may hold anything.
  features_ND = jnp.where(kept_N1, features_ND, 0)
  scale = jnp.max(jnp.abs(features_ND), (-2, -1), keepdims=True)
  features_ND = features_ND / leaves.power_of_two(scale)
  rounding: float | jax.Array = 0.0
  if not isinstance(center, bool) or center:
    rows = jnp.sum(kept_N1, -2, keepdims=True)
    mean = jnp.sum(features_ND, -2, keepdims=True) / rows
    mean = jnp.where(jnp.asarray(center)[..., None, None], mean, 0)
    features_ND = jnp.where(kept_N1, features_ND - mean, 0)
    # The subtraction rounds in units of the mean.
    rounding = jnp.sqrt(rows * jnp.sum(mean**2, -1, keepdims=True))[..., 0]
  values = singular_values(features_ND)
  floor = 8 * np.finfo(values.dtype).eps
  floor = floor * jnp.maximum(values[..., :1], rounding)
  values = jnp.where(values < floor, 0, values)
  if not eps:
    return entropy_rank(values)
  share = _shares(values) + eps
  return jnp.exp(-jnp.sum(share * jnp.log(share), -1))
