"""Eigenvalues, spectral density and trace of a loss's Hessian."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from emergence_jax.base.types import PyTree, Status
from emergence_jax.numerics import ends as ends_lib
from emergence_jax.numerics import krylov, leaves, operators, trace
from emergence_jax.numerics.compiled import compiled
from emergence_jax.numerics.operators import Operator

# Below this mean cross-entropy, float32 rounds 1 − p, and with it the
# curvature, by more than about 1e-3 of itself.
SOFTMAX_FLOOR = 1e-4
# The tolerance of an eigenvalue beside itself, over that beside the largest.
_ITSELF = 10

Loss = Callable[[PyTree, PyTree], jax.Array]
# Numbers of a Krylov basis that any machine holds; 10·k steps mostly suffice.
_SMALL = 2**26


class Eigenvalues(NamedTuple):
  """Ends of a spectrum, K values each, in units of the loss / parameter².

  Attributes:
    eigenvalues: [K], the largest, decreasing.
    residuals: [K], an exact eigenvalue lies within so much of each.
    converged: bool [K], the residual is at most `tol` of the largest
      magnitude and 10·`tol` of the value itself (what is small beside the
      largest is lost in its rounding), and a further look found no larger one
      before it: it is the i-th, multiplicities counted.
    smallest: [K], the most negative, increasing.
    smallest_residuals: [K].
    smallest_converged: bool [K].
    by_magnitude: [K], of largest magnitude, decreasing in it.
    by_magnitude_residuals: [K].
    orthogonality_error: [], of the Krylov basis, about 1e-6 in float32.
    asymmetry: [], noise of the operator relative to its norm.
    num_breakdowns: int32 [], exhausted Krylov spaces: the start vector met
      fewer distinct eigenvalues than there were steps.
    num_sequences: int32 [], Krylov sequences: 2 where nothing was missed, one
      more for each copy of a repeated eigenvalue.
    status: int8 [], a `Status`; OK if all of both ends have converged.
  """

  eigenvalues: jax.Array
  residuals: jax.Array
  converged: jax.Array
  smallest: jax.Array
  smallest_residuals: jax.Array
  smallest_converged: jax.Array
  by_magnitude: jax.Array
  by_magnitude_residuals: jax.Array
  orthogonality_error: jax.Array
  asymmetry: jax.Array
  num_breakdowns: jax.Array
  num_sequences: jax.Array
  status: jax.Array


class Density(NamedTuple):
  """Spectral density by stochastic Lanczos quadrature.

  Attributes:
    nodes: [R, M], Ritz values of R random directions.
    weights: [R, M], they sum to 1 over M.
    grid: [G], eigenvalues at which the density is given.
    density: [G], mean over directions, smoothed; per unit of eigenvalue.
    bandwidth: [], standard deviation of the smoothing Gaussian.
    mass: [], integral of the density over the grid; 1 up to 1e-3.
    status: int8 [], a `Status`.
  """

  nodes: jax.Array
  weights: jax.Array
  grid: jax.Array
  density: jax.Array
  bandwidth: jax.Array
  mass: jax.Array
  status: jax.Array


class HessianTrace(NamedTuple):
  """Attributes: trace, its standard error, and a `Status`, all []."""

  trace: jax.Array
  stderr: jax.Array
  status: jax.Array


def operator_eigenvalues(
  product: Operator,
  size: int,
  key: jax.Array,
  *,
  k: int = 20,
  num_matvecs: int | None = None,
  tol: float = 1e-3,
  dtype=jnp.float32,
) -> Eigenvalues:
  """Ends of the spectrum of a symmetric operator, by Lanczos; see `ends`.

  Args:
    product: on vectors [size], for example from `numerics.operators`.
    size: P.
    key: of the start vector; the result hardly depends on it.
    k: values at each end.
    num_matvecs: Lanczos steps, from k to P. If absent 10·k, and 2·k + 20 where
      the memory of those is above 256 MiB (at most P). A quarter more look for
      repeated eigenvalues.
    tol: residual, relative to the largest magnitude, that counts as converged;
      ten times as much relative to the value itself.
    dtype: of the vectors.

  Raises:
    ValueError: if k or `num_matvecs` is out of range.
  """
  if not 1 <= k <= size:
    raise ValueError(f'k={k} must be from 1 to the {size} parameters.')
  if num_matvecs is None:
    enough = 10 * k if 10 * k * size <= _SMALL else 2 * k + 20
    num_matvecs = min(enough, size)
  if not k <= num_matvecs <= size:
    raise ValueError(
      f'num_matvecs={num_matvecs} must be from k={k} to the {size} parameters.'
    )
  result = ends_lib.ends(
    product, size, key, k=k, num_matvecs=num_matvecs, tol=tol, dtype=dtype
  )

  def known(values_K, residuals_K):
    """Beside the largest, and beside what a value itself amounts to."""
    slack_K = jnp.minimum(result.scale, _ITSELF * jnp.abs(values_K))
    return residuals_K <= tol * slack_K

  converged = result.top_placed_K & known(result.top_K, result.top_residuals_K)
  smallest_converged = result.bottom_placed_K & known(
    result.bottom_K, result.bottom_residuals_K
  )
  by_magnitude, by_residuals = _by_magnitude(result, min(2 * k, size) - k)
  finite = jnp.all(jnp.isfinite(result.top_K))
  all_of_them = jnp.all(converged) & jnp.all(smallest_converged)
  status = jnp.where(all_of_them, Status.OK, Status.NOT_CONVERGED)
  return Eigenvalues(
    eigenvalues=result.top_K,
    residuals=result.top_residuals_K,
    converged=converged,
    smallest=result.bottom_K,
    smallest_residuals=result.bottom_residuals_K,
    smallest_converged=smallest_converged,
    by_magnitude=by_magnitude,
    by_magnitude_residuals=by_residuals,
    orthogonality_error=krylov.orthogonality_error(result.first.basis_MP),
    asymmetry=result.first.asymmetry,
    num_breakdowns=result.first.num_breakdowns,
    num_sequences=result.num_sequences,
    status=jnp.where(finite, status, Status.NON_FINITE).astype(jnp.int8),
  )


def _by_magnitude(result: ends_lib.Ends, others: int):
  """The K of largest magnitude of both ends, and their residuals.

  Args:
    result: both ends.
    others: eigenvalues of the bottom that are not among the top.
  """
  values = jnp.concatenate([result.top_K, result.bottom_K[:others]])
  residuals = jnp.concatenate([
    result.top_residuals_K, result.bottom_residuals_K[:others]
  ])  # fmt: skip
  magnitude = jnp.nan_to_num(jnp.abs(values), nan=-1.0)
  order_K = jnp.argsort(-magnitude)[: result.top_K.size]
  return values[order_K], residuals[order_K]


def _saturated(loss, params, batch, examples_at_once, weight, softmax_floor):
  """Whether the loss is below the floor under which it is not trusted."""
  if not softmax_floor:
    return jnp.bool_(False)
  value = operators.batch_mean(
    lambda part: loss(params, part),
    batch,
    examples_at_once=examples_at_once,
    weight=weight,
  )
  return value < softmax_floor


def _operator(loss, params, batch, examples_at_once, weight):
  """The Hessian, the number of parameters and their dtype."""
  flat_P, _ = leaves.ravel(params)
  product = operators.hessian(
    loss, params, batch, examples_at_once=examples_at_once, weight=weight
  )
  return product, flat_P.size, flat_P.dtype


@compiled('params', 'batch', 'key')
def hessian_eigenvalues(
  loss: Loss,
  params: PyTree,
  batch: PyTree,
  key: jax.Array,
  *,
  k: int | None = None,
  num_matvecs: int | None = None,
  tol: float = 1e-3,
  examples_at_once: int | None = None,
  weight: Callable[[PyTree], jax.Array] | None = None,
  softmax_floor: float = 0.0,
) -> Eigenvalues:
  """Largest, most negative and greatest eigenvalues of a loss's Hessian.

  Lanczos on Hessian-vector products, forward over reverse, reorthogonalised
  twice. Memory: `num_matvecs` times the parameters, beside one slice.
  Source: arXiv:2602.15997, section 3 (top 20).

  >>> def loss(w, x):  # Hessian diag(1, 3)
  ...   return jnp.mean(x @ (w * w)) / 2
  >>> found = hessian_eigenvalues(
  ...   loss, jnp.ones(2), jnp.array([[1.0, 3.0]]), jax.random.key(0), k=2)
  >>> found.eigenvalues.round(4)
  Array([3., 1.], dtype=float32)

  Args:
    loss: (params, batch) → scalar, a mean over the batch.
    params: any pytree of floating arrays, P numbers in all.
    batch: pytree, leading axis N.
    key: of the start vector.
    k: values at each end, at most P; 20, or P, if absent.
    num_matvecs: Lanczos steps; see `operator_eigenvalues` for the default.
    tol: residual, relative to the largest magnitude, that counts as converged;
      ten times as much relative to the value itself.
    examples_at_once: examples in one product, which bounds the memory; None
      takes all.
    weight: slice → its weight in the mean; its examples if absent.
    softmax_floor: mean loss below which the status is UNTRUSTED; give
      `SOFTMAX_FLOOR` for a cross-entropy in float32.

  Raises:
    ValueError: if the loss is no scalar, or k or `num_matvecs` out of range.
    TypeError: if the loss has no forward-mode derivative.
  """
  product, size, dtype = _operator(
    loss, params, batch, examples_at_once, weight
  )
  k = min(20, size) if k is None else k
  result = operator_eigenvalues(
    product, size, key, k=k, num_matvecs=num_matvecs, tol=tol, dtype=dtype
  )
  saturated = _saturated(
    loss, params, batch, examples_at_once, weight, softmax_floor
  )
  doubt = saturated & (result.status != Status.NON_FINITE)
  untrusted = jnp.int8(Status.UNTRUSTED)
  return result._replace(status=jnp.where(doubt, untrusted, result.status))


def operator_density(
  product: Operator,
  size: int,
  key: jax.Array,
  *,
  num_matvecs: int = 64,
  num_directions: int = 8,
  bandwidth: float | None = None,
  num_points: int = 512,
  dtype=jnp.float32,
) -> Density:
  """Spectral density of a symmetric operator; see `hessian_density`."""
  num_matvecs = min(num_matvecs, size)

  def direction(key):
    return krylov.ritz(
      krylov.lanczos(product, size, key, num_matvecs=num_matvecs, dtype=dtype)
    )

  results = jax.lax.map(direction, jax.random.split(key, num_directions))
  nodes, weights = results.values_M, results.first_M**2
  low, high = jnp.min(nodes), jnp.max(nodes)
  if bandwidth is None:
    width = (high - low) / 100
    # A spectrum of one point: any narrow peak will do.
    tiny = jnp.maximum(1e-3 * jnp.abs(high), jnp.finfo(dtype).tiny ** 0.5)
    width = jnp.maximum(width, tiny)
  else:
    width = jnp.asarray(bandwidth, dtype)
  share = jnp.linspace(0, 1, num_points, dtype=dtype)
  low, high = low - 5 * width, high + 5 * width
  grid = low + share * (high - low)
  z = (grid - nodes[..., None]) / width
  peak = jnp.exp(-(z**2) / 2) / (jnp.sqrt(2 * jnp.pi) * width)
  density = jnp.mean(jnp.sum(weights[..., None] * peak, 1), 0)
  mass = jnp.trapezoid(density, grid)
  ok = jnp.abs(mass - 1) < 1e-3
  status = jnp.where(ok, Status.OK, Status.UNTRUSTED)
  finite = jnp.all(jnp.isfinite(nodes))
  status = jnp.where(finite, status, Status.NON_FINITE)
  return Density(
    nodes, weights, grid, density, width, mass, status.astype(jnp.int8)
  )


@compiled('params', 'batch', 'key')
def hessian_density(
  loss: Loss,
  params: PyTree,
  batch: PyTree,
  key: jax.Array,
  *,
  num_matvecs: int = 64,
  num_directions: int = 8,
  bandwidth: float | None = None,
  num_points: int = 512,
  examples_at_once: int | None = None,
  weight: Callable[[PyTree], jax.Array] | None = None,
) -> Density:
  """Density of the Hessian's eigenvalues by stochastic Lanczos quadrature.

  Source: Ghorbani, Krishnan and Xiao, arXiv:1901.10159, algorithm 1.

  >>> loss = lambda w, x: jnp.mean(x @ (w * w)) / 2
  >>> found = hessian_density(
  ...   loss, jnp.ones(2), jnp.array([[1.0, 3.0]]), jax.random.key(0))
  >>> found.mass.round(3), found.bandwidth.round(3)
  (Array(1., dtype=float32), Array(0.02, dtype=float32))

  Args:
    loss: (params, batch) → scalar, a mean over the batch.
    params: pytree of floating arrays, P numbers in all.
    batch: pytree, leading axis N.
    key: of the directions.
    num_matvecs: Lanczos steps of each direction (at most P are made).
    num_directions: R.
    bandwidth: of the smoothing; a hundredth of the range if absent.
    num_points: G. With a bandwidth under about a five-hundredth of the range,
      give more, or the status says that the mass is off.
    examples_at_once: examples in one product; None takes all.
    weight: slice → its weight in the mean; its examples if absent.
  """
  product, size, dtype = _operator(
    loss, params, batch, examples_at_once, weight
  )
  return operator_density(
    product, size, key, num_matvecs=num_matvecs,
    num_directions=num_directions, bandwidth=bandwidth, num_points=num_points,
    dtype=dtype,
  )  # fmt: skip


@compiled('params', 'batch', 'key')
def hessian_trace(
  loss: Loss,
  params: PyTree,
  batch: PyTree,
  key: jax.Array,
  *,
  method: str = 'hutchinson',
  num_matvecs: int = 32,
  examples_at_once: int | None = None,
  weight: Callable[[PyTree], jax.Array] | None = None,
) -> HessianTrace:
  """Trace of a loss's Hessian with its standard error.

  >>> loss = lambda w, x: jnp.mean(x @ (w * w)) / 2
  >>> found = hessian_trace(
  ...   loss, jnp.ones(2), jnp.array([[1.0, 3.0]]), jax.random.key(0))
  >>> found.trace.round(4)
  Array(4., dtype=float32)

  Args:
    loss: (params, batch) → scalar, a mean over the batch.
    params: pytree of floating arrays, P numbers in all.
    batch: pytree, leading axis N.
    key: of the random vectors.
    method: `hutchinson` (any P), or `xtrace` (better where few eigenvalues
      dominate; memory of 3/2 · num_matvecs times the parameters).
    num_matvecs: Hessian-vector products.
    examples_at_once: examples in one product; None takes all.
    weight: slice → its weight in the mean; its examples if absent.

  Raises:
    ValueError: for an unknown method or a bad number of products.
  """
  if method not in trace.METHODS:
    raise ValueError(f'method={method!r} is unknown; known: {trace.METHODS}.')
  product, size, dtype = _operator(
    loss, params, batch, examples_at_once, weight
  )
  estimate = getattr(trace, method)(
    product, size, key, num_matvecs=num_matvecs, dtype=dtype
  )
  finite = jnp.isfinite(estimate.trace)
  status = jnp.where(finite, Status.OK, Status.NON_FINITE).astype(jnp.int8)
  return HessianTrace(estimate.trace, estimate.stderr, status)
