"""Gram matrices of gradients, without the matrix of all gradients.

The N×N Gram matrix of N gradients has the nonzero eigenvalues of the P×P
matrix that they make, and is summed leaf by leaf.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from emergence_jax.base.types import PyTree, Status
from emergence_jax.numerics import leaves, linalg
from emergence_jax.numerics.compiled import compiled
from emergence_jax.numerics.operators import (
  check_at_once,
  check_scalar,
  leading_size,
)
from emergence_jax.numerics.spectrum import effective_rank, participation_ratio

# Columns of one product: longer sums would lose digits in float32.
_COLUMNS = 4096
# Relative deviation of gradients, in machine epsilons, below which only
# rounding is left of it: at 1e-5, which is 84, ranks are right to 0.2%.
_SAME = 16
# Gradients from whose size the scale is taken.
_SCALE_ITEMS = 3


class GradientSpectrum(NamedTuple):
  """Spectrum of the Fisher or covariance matrix of N gradients.

  Attributes:
    eigenvalues: [N], decreasing, in squared units of loss / parameter; all
      others of the P×P matrix are 0.
    effective_rank: [], exponential entropy of the eigenvalues, 1 to N.
    participation_ratio: [].
    top_share: [], largest eigenvalue / trace.
    trace: [].
    status: int8 [], a `Status`.
  """

  eigenvalues: jax.Array
  effective_rank: jax.Array
  participation_ratio: jax.Array
  top_share: jax.Array
  trace: jax.Array
  status: jax.Array


def gram(a_NP: jax.Array, b_MP: jax.Array | None = None) -> jax.Array:
  """A Bᵀ (A Aᵀ if B is absent), [N, M], in sums of `_COLUMNS` columns."""
  b_MP = a_NP if b_MP is None else b_MP
  columns, size = _COLUMNS, a_NP.shape[1]
  whole = size // columns * columns

  def product(start, width):
    parts = (
      lax.dynamic_slice_in_dim(x, start, width, axis=1) for x in (a_NP, b_MP)
    )
    return jnp.einsum('np,mp->nm', *parts, precision=lax.Precision.HIGHEST)

  total = product(whole, size - whole)
  if not whole:
    return total
  return lax.fori_loop(
    0, size // columns, lambda i, t: t + product(i * columns, columns), total
  )


def _rows(x: jax.Array) -> jax.Array:
  """Leaf [N, ...] → [N, its size]."""
  return x.reshape(x.shape[0], -1)


def _prefix(rows: list[jax.Array], limit: int) -> list[jax.Array]:
  """The first `limit` columns of leaves side by side."""
  kept = []
  for x in rows:
    kept.append(x[:, : max(0, limit)])
    limit -= x.shape[1]
  return [x for x in kept if x.shape[1]]


def tree_gram(a: PyTree, b: PyTree, prefixes: tuple[int, ...]) -> jax.Array:
  """Gram matrices of gradient trees over all and over first parameters.

  Args:
    a: leaves [N, ...].
    b: the same tree, leaves [M, ...].
    prefixes: numbers of first parameters, in the order of the leaves.

  Returns:
    [1 + number of prefixes, N, M]; the first is over all parameters.
  """
  a, b = (list(map(_rows, jax.tree.leaves(x))) for x in (a, b))
  choices = [(a, b)] + [(_prefix(a, n), _prefix(b, n)) for n in prefixes]
  return jnp.stack([sum(map(gram, *pair)) for pair in choices])


def gradient_gram(
  grad: Callable[[PyTree], PyTree],
  items: PyTree,
  *,
  items_at_once: int | None = None,
  vmapped: bool = True,
  center: bool = False,
  prefixes: tuple[int, ...] = (),
) -> jax.Array:
  """Gram matrix of `grad(item)` over N items.

  With all items at once, a leaf's gradients are in memory only until their
  Gram matrix is added. With slices, the gradients of two slices are, and all
  but the first slice's are computed again for every other slice: a third of
  the memory costs about twice the time.

  Args:
    grad: item → gradient tree.
    items: pytree, leading axis N.
    items_at_once: gradients of a slice; None takes all N at once.
    vmapped: compute the gradients of a slice by `vmap`; else one by one.
    center: subtract the mean gradient first, in another pass if sliced.
    prefixes: also over so many first parameters.

  Returns:
    [1 + number of prefixes, N, N].
  """
  count = leading_size(items)
  check_at_once(items_at_once, 'items_at_once')
  items_at_once = min(items_at_once or count, count)
  slices = -(-count // items_at_once)
  items = jax.tree.map(jnp.asarray, items)

  def gradients(i):
    # The last slice is filled up with the last item.
    places = i * items_at_once + jnp.arange(items_at_once)
    places = jnp.minimum(places, count - 1)
    part = jax.tree.map(lambda x: x[places], items) if slices > 1 else items
    return jax.vmap(grad)(part) if vmapped else lax.map(grad, part)

  if slices == 1:
    grads = gradients(0)
    if center:
      grads = jax.tree.map(lambda g: g - jnp.mean(g, 0), grads)
    return tree_gram(grads, grads, prefixes)

  mean = None
  if center:
    first = jax.tree.map(lambda x: x[0], items)
    zero = jax.tree.map(
      lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(grad, first)
    )
    total, _ = lax.scan(
      lambda t, item: (jax.tree.map(jnp.add, t, grad(item)), None), zero, items
    )
    mean = jax.tree.map(lambda t: t / count, total)

  def centred(i):
    grads = gradients(i)
    return jax.tree.map(jnp.subtract, grads, mean) if center else grads

  def against(i, total):
    grads_i = centred(i)

    def place(total, block, i, j):
      start = (0, i * items_at_once, j * items_at_once)
      return lax.dynamic_update_slice(total, block, start)

    def pair(j, total):
      block = tree_gram(grads_i, centred(j), prefixes)
      total = place(total, block, i, j)
      return place(total, block.swapaxes(1, 2), j, i)

    own = tree_gram(grads_i, grads_i, prefixes)
    return lax.fori_loop(i + 1, slices, pair, place(total, own, i, i))

  size = slices * items_at_once
  dtype = jax.tree.leaves(jax.eval_shape(gradients, 0))[0].dtype
  blank = jnp.zeros((1 + len(prefixes), size, size), dtype)
  return lax.fori_loop(0, slices, against, blank)[:, :count, :count]


def scaled(grad: Callable[[PyTree], PyTree], items: PyTree, count: int):
  """`grad` over a power of two that is about its size, and that power.

  Squares of gradients of 1e-19 are 0 in float32, and of 1e20 infinite. The
  size is that of the largest entry of the first gradients.
  """
  some = jax.tree.map(lambda x: jnp.asarray(x)[:count], items)
  largest = jnp.max(jnp.stack([
    jnp.max(jnp.abs(g)) for g in jax.tree.leaves(lax.map(grad, some))
  ]))  # fmt: skip
  power = leaves.power_of_two(largest)
  return lambda item: jax.tree.map(lambda g: g / power, grad(item)), power


def spectrum(
  gram_NN: jax.Array, divisor: int, power: jax.Array | float = 1.0
) -> GradientSpectrum:
  """Spectrum of a matrix of gradients from their Gram matrix.

  Args:
    gram_NN: of gradients over `power`.
    divisor: N, or N − 1 of centred ones.
    power: see `scaled`.
  """
  values_N = linalg.eigh(gram_NN / divisor)[0][::-1]
  clipped_N = jnp.where(values_N < 0, 0, values_N)
  trace = jnp.sum(clipped_N)
  status = jnp.where(trace > 0, Status.OK, Status.DEGENERATE)
  finite = jnp.isfinite(trace)
  status = jnp.where(finite, status, Status.NON_FINITE)
  return GradientSpectrum(
    eigenvalues=clipped_N * power * power,
    effective_rank=effective_rank(clipped_N),
    participation_ratio=participation_ratio(clipped_N),
    top_share=clipped_N[0] / trace,
    trace=trace * power * power,
    status=status.astype(jnp.int8),
  )


def _check_example_loss(example_loss, params: PyTree, batch: PyTree) -> None:
  """Raises a ValueError unless it is the loss of a single example.

  That of a batch, which others take, is told apart by what it takes.
  """
  try:
    first = jax.tree.map(lambda x: x[0], batch)
    check_scalar('example_loss', example_loss, params, first)
  except Exception as error:
    try:
      part = jax.tree.map(lambda x: x[:1], batch)
      check_scalar('example_loss', example_loss, params, part)
    except Exception:
      raise error from None
    raise ValueError(
      'example_loss takes one example, without the leading axis N, and the '
      'one that was given takes a batch; give lambda params, example: '
      'loss(params, jax.tree.map(lambda x: x[None], example)).'
    ) from error


@compiled('params', 'batch')
def fisher_effective_rank(
  example_loss: Callable[[PyTree, PyTree], jax.Array],
  params: PyTree,
  batch: PyTree,
  *,
  examples_at_once: int | None = None,
) -> GradientSpectrum:
  """Effective rank of the empirical Fisher matrix, mean of g gᵀ.

  From the N×N Gram matrix of the N per-example gradients; not centred.
  Source: arXiv:2602.15997, section 3 (N = 200).

  >>> def example_loss(w, x):  # gradient x
  ...   return w @ x
  >>> x = jnp.array([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
  >>> fisher_effective_rank(example_loss, jnp.ones(3), x).effective_rank
  Array(2., dtype=float32)

  Args:
    example_loss: (params, example) → scalar.
    params: any pytree of floating arrays.
    batch: pytree, leading axis N ≥ 2.
    examples_at_once: gradients in memory at once, see `gradient_gram`; None
      for all.

  Raises:
    ValueError: if N < 2 or the loss is no scalar.
  """
  count = leading_size(batch)
  if count < 2:
    raise ValueError(f'N={count} examples: an effective rank needs 2.')
  _check_example_loss(example_loss, params, batch)
  moving, rebuild = leaves.split(params)

  @jax.default_matmul_precision('highest')
  def grad(example):
    return jax.grad(lambda w: example_loss(rebuild(w), example))(moving)

  grad, power = scaled(grad, batch, _SCALE_ITEMS)
  gram_NN = gradient_gram(grad, batch, items_at_once=examples_at_once)[0]
  return spectrum(gram_NN, count, power)


class CovarianceRank(NamedTuple):
  """Spectra of the gradient covariance.

  Attributes:
    all: `GradientSpectrum` over all parameters.
    prefix: the same over the first parameters alone.
  """

  all: GradientSpectrum
  prefix: GradientSpectrum

  @property
  def effective_rank(self) -> jax.Array:
    """Over all parameters."""
    return self.all.effective_rank


def _covariance(gram_NN, square, count, power):
  """Spectrum, DEGENERATE where only rounding is left of the gradients.

  Args:
    gram_NN: of the centred gradients over `power`.
    square: of the length of one of them, before centring.
    count: number of gradients.
    power: see `scaled`.
  """
  result = spectrum(gram_NN, count - 1, power)
  rounding = (_SAME * jnp.finfo(gram_NN.dtype).eps) ** 2
  same = jnp.trace(gram_NN) / (count - 1) <= rounding * square
  degenerate = same & (result.status == Status.OK)
  status = jnp.where(degenerate, Status.DEGENERATE, result.status)
  return result._replace(status=status.astype(jnp.int8))


@compiled('params', 'batches')
def gradient_covariance_rank(
  loss: Callable[[PyTree, PyTree], jax.Array],
  params: PyTree,
  batches: PyTree,
  *,
  prefix: int = 50_000,
  batches_at_once: int | None = None,
) -> CovarianceRank:
  """Effective rank of the covariance of batch gradients.

  Exact over all parameters, from the B×B Gram matrix of the centred
  gradients; its rank is at most B − 1. Beside it the same over the first
  `prefix` parameters in the order of the leaves.
  Source: arXiv:2602.15997, section 3 (first 50,000 parameters).

  >>> def loss(w, x):  # gradient x
  ...   return jnp.mean(x @ w)
  >>> batches = jnp.array([[[1.0, 0.0]], [[-1.0, 0.0]], [[0.0, 0.0]]])
  >>> gradient_covariance_rank(loss, jnp.ones(2), batches).effective_rank
  Array(1., dtype=float32)

  Args:
    loss: (params, batch) → scalar, a mean over the batch.
    params: any pytree of floating arrays.
    batches: pytree, leading axis B ≥ 2, then the examples of a batch.
    prefix: number of first parameters.
    batches_at_once: gradients in memory at once, see `gradient_gram`; None
      for all.

  Raises:
    ValueError: if B < 2, `prefix` < 1, or the loss is no scalar.
  """
  count = leading_size(batches)
  if count < 2:
    raise ValueError(f'B={count} batches: a covariance needs 2.')
  if prefix < 1:
    raise ValueError(f'prefix={prefix} parameters: at least 1 is needed.')
  first = jax.tree.map(lambda x: x[0], batches)
  check_scalar('loss', loss, params, first)

  moving, rebuild = leaves.split(params)

  @jax.default_matmul_precision('highest')
  def grad(batch):
    return jax.grad(lambda w: loss(rebuild(w), batch))(moving)

  grad, power = scaled(grad, batches, 1)
  both = gradient_gram(
    grad, batches, items_at_once=batches_at_once, vmapped=False, center=True,
    prefixes=(prefix,),
  )  # fmt: skip
  square = sum(jnp.sum(g * g) for g in jax.tree.leaves(grad(first)))
  return CovarianceRank(*(_covariance(g, square, count, power) for g in both))
