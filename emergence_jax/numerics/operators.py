"""Curvature as linear operators on flat parameter vectors.

All are exact on a batch that is taken in slices: the mean over the batch is
the mean over slices weighted by their examples, a ragged last slice included.
Matrix products run at the highest precision, since TensorFloat-32 costs 1e-3
of the largest eigenvalue.
"""

import re
from collections.abc import Callable

import jax
import jax.numpy as jnp

from emergence_jax.base.types import PyTree
from emergence_jax.numerics import leaves

Operator = Callable[[jax.Array], jax.Array]


def leading_size(batch: PyTree) -> int:
  """The common size of the leading axes of a batch.

  Raises:
    ValueError: if there is none, or it is 0.
  """
  sizes = {jnp.shape(x)[:1] for x in jax.tree.leaves(batch)}
  if len(sizes) != 1 or () in sizes:
    raise ValueError(
      f'the leaves of the batch have leading axes {sorted(sizes)}; all need '
      'the same one, the examples.'
    )
  (size,) = sizes.pop()
  if not size:
    raise ValueError('the batch is empty; give at least one example.')
  return size


def check_at_once(count: int | None, name: str = 'examples_at_once') -> None:
  """Raises a ValueError unless `count` is None (all at once) or positive."""
  if count is not None and count < 1:
    raise ValueError(f'{name}={count} must be positive, or None for all.')


def check_scalar(name: str, fn: Callable, *args: PyTree) -> None:
  """Raises a ValueError unless `fn(*args)` is one floating scalar."""
  out = jax.eval_shape(fn, *args)
  shape = getattr(out, 'shape', None)
  if shape != () or not jnp.issubdtype(out.dtype, jnp.floating):
    raise ValueError(
      f'{name} must return one floating-point scalar, and returns {out}; '
      'take its mean.'
    )


def _even(size: int, at_once: int) -> int:
  """Examples in a slice: as many divide the batch, if that halves none.

  A ragged last slice is a program of its own.
  """
  for count in range(at_once, at_once // 2, -1):
    if size % count == 0:
      return count
  return at_once


def batch_mean(
  fn: Callable[[PyTree], PyTree],
  batch: PyTree,
  *,
  examples_at_once: int | None = None,
  weight: Callable[[PyTree], jax.Array] | None = None,
) -> PyTree:
  """Weighted mean of `fn(slice)` over slices of a batch.

  Args:
    fn: function of a slice, itself a mean over its examples.
    batch: pytree, leading axis N.
    examples_at_once: most examples in a slice, which bounds the memory; None
      takes all.
    weight: slice → its weight; its number of examples if absent.

  Returns:
    What `fn` of the whole batch would be. A slice of weight 0 has no part in
    it, whatever `fn` makes of it.
  """
  size = leading_size(batch)
  check_at_once(examples_at_once)
  if examples_at_once is None or examples_at_once >= size:
    return fn(batch)
  weight = weight or (lambda part: jnp.float32(leading_size(part)))

  def weighted(part):
    w = weight(part)
    # A slice of padding alone may give 0 / 0.
    return w, jax.tree.map(lambda x: jnp.where(w > 0, w * x, 0), fn(part))

  def add(total, part):
    return jax.tree.map(jnp.add, total, weighted(part)), None

  examples_at_once = _even(size, examples_at_once)
  whole = size // examples_at_once * examples_at_once
  parts = jax.tree.map(
    lambda x: x[:whole].reshape(-1, examples_at_once, *x.shape[1:]), batch
  )
  shapes = jax.eval_shape(weighted, jax.tree.map(lambda x: x[0], parts))
  zero = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
  total, _ = jax.lax.scan(add, zero, parts)
  if whole < size:
    total, _ = add(total, jax.tree.map(lambda x: x[whole:], batch))
  return jax.tree.map(lambda x: x / total[0], total[1])


def _forward(fn: Callable, point: PyTree, tangent: PyTree):
  """`jax.jvp`, with an error that says what a kernel without one can do."""
  try:
    return jax.jvp(fn, (point,), (tangent,))
  except (TypeError, ValueError, NotImplementedError) as error:
    if not re.search(
      'custom_vjp|jvp|forward-mode|differentiat', str(error), re.I
    ):
      raise
    raise TypeError(
      'curvature takes a forward-mode derivative (JVP), and a kernel in the '
      'loss has none. Use its plain JAX form here, or give it a '
      'jax.custom_jvp.'
    ) from error


def hessian(
  loss: Callable[[PyTree, PyTree], jax.Array],
  params: PyTree,
  batch: PyTree,
  *,
  examples_at_once: int | None = None,
  weight: Callable[[PyTree], jax.Array] | None = None,
) -> Operator:
  """v [P] → Hessian of the mean loss times v, forward over reverse.

  >>> loss = lambda w, x: jnp.mean((x @ w) ** 2) / 2
  >>> x = jnp.array([[1.0, 0.0], [0.0, 3.0]])
  >>> hessian(loss, jnp.ones(2), x)(jnp.array([0.0, 1.0]))
  Array([0. , 4.5], dtype=float32)

  Source: Pearlmutter 1994.

  Args:
    loss: (params, batch) → scalar, a mean over the batch.
    params: where to take the curvature.
    batch: pytree, leading axis N.
    examples_at_once: examples in a slice; None takes all.
    weight: slice → its weight in the mean; its examples if absent.

  Raises:
    ValueError: if the loss is not a scalar.
    TypeError: from the product, if the loss has no forward-mode derivative.
  """
  check_scalar('loss', loss, params, batch)
  flat_P, unravel = leaves.ravel(params)

  @jax.jit  # so that the model is traced once, and not at every use
  def flat_loss(w_P, part):
    return loss(unravel(w_P), part)

  @jax.default_matmul_precision('highest')
  def product(v_P):
    def part(part):
      grad = jax.grad(lambda w_P: flat_loss(w_P, part))
      return _forward(grad, flat_P, v_P)[1]

    return batch_mean(
      part, batch, examples_at_once=examples_at_once, weight=weight
    )

  return product
