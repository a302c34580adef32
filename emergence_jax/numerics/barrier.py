"""The loss on the straight line between two models."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from emergence_jax.base.types import PyTree, Status
from emergence_jax.numerics import leaves, operators
from emergence_jax.numerics.compiled import compiled


class Barrier(NamedTuple):
  """The loss along a line.

  Attributes:
    barrier: [], greatest loss above the straight line between the losses of
      the ends, at least 0; in units of the loss.
    position: [], where on the line, from 0 (a) to 1 (b).
    losses: [num_points], evenly spaced, the ends included.
    status: int8 [], a `Status`.
  """

  barrier: jax.Array
  position: jax.Array
  losses: jax.Array
  status: jax.Array


def _check_same(params_a: PyTree, params_b: PyTree) -> None:
  """Raises a ValueError unless both trees have the same leaves."""
  shapes = [jax.tree.map(jnp.shape, p) for p in (params_a, params_b)]
  if shapes[0] != shapes[1]:
    raise ValueError(
      'both ends of the line must be parameters of one model; their leaves '
      f'have shapes {shapes[0]} and {shapes[1]}.'
    )


@compiled('params_a', 'params_b', 'batch')
def loss_barrier(
  loss: Callable[[PyTree, PyTree], jax.Array],
  params_a: PyTree,
  params_b: PyTree,
  batch: PyTree,
  *,
  num_points: int = 11,
  examples_at_once: int | None = None,
  weight: Callable[[PyTree], jax.Array] | None = None,
) -> Barrier:
  """Height of the loss between two models, above the line of their losses.

  Source: Frankle et al., arXiv:1912.05671, section 2, with the line instead
  of the mean of the ends.

  >>> def loss(w, x):  # minima at -1 and 1, and a maximum of 1 between
  ...   return (w**2 - 1) ** 2 + 0 * jnp.mean(x)
  >>> loss_barrier(loss, jnp.float32(-1), jnp.float32(1), jnp.zeros(3)).barrier
  Array(1., dtype=float32)

  Args:
    loss: (params, batch) → scalar, a mean over the batch.
    params_a: any pytree; leaves that are no floating numbers are a's.
    params_b: the same tree.
    batch: pytree, leading axis N.
    num_points: points on the line, at least 3.
    examples_at_once: examples of one evaluation; None takes all.
    weight: slice → its weight in the mean; its examples if absent.

  Raises:
    ValueError: for fewer than 3 points, a loss that is no scalar, or trees
      that differ in structure or shapes.
  """
  if num_points < 3:
    raise ValueError(f'num_points={num_points} must be at least 3.')
  _check_same(params_a, params_b)
  operators.check_scalar('loss', loss, params_a, batch)

  def between(a, b, share):
    """A leaf on the line, in its own precision; others stay as they are."""
    if not leaves.is_floating(a):
      return a
    wide_a, wide_b = leaves.at_least_float32(a), leaves.at_least_float32(b)
    share = share.astype(wide_a.dtype)
    return ((1 - share) * wide_a + share * wide_b).astype(jnp.result_type(a))

  def at(share):
    params = jax.tree.map(lambda a, b: between(a, b, share), params_a, params_b)
    return operators.batch_mean(
      lambda part: loss(params, part),
      batch,
      examples_at_once=examples_at_once,
      weight=weight,
    )

  share = jnp.linspace(0, 1, num_points)
  losses = jax.lax.map(at, share)
  losses = leaves.at_least_float32(losses)
  height = losses - ((1 - share) * losses[0] + share * losses[-1])
  # At the ends it is 0, and not what rounding leaves.
  height = height.at[jnp.array([0, -1])].set(0)
  place = jnp.argmax(height)
  finite = jnp.all(jnp.isfinite(losses))
  status = jnp.where(finite, Status.OK, Status.NON_FINITE)
  return Barrier(
    jnp.where(finite, height[place], jnp.nan),
    share[place],
    losses,
    status.astype(jnp.int8),
  )
