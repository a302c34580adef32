"""Operations of a function, counted without compiling it, and their rate."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend import core

# Decompositions: operations a cube of the smaller side, times the larger.
_CUBIC = {'svd': 12.0, 'eigh': 9.0, 'qr': 2.0, 'geqrf': 2.0, 'cholesky': 0.4}
# Of the product by which the rate is measured.
_SIDE = 1024


def count(fn: Callable, *args: Any) -> float:
  """Operations of the matrix products and decompositions of `fn(*args)`.

  Loops count by their length, which has to be known; one whose length depends
  on values counts once. Shapes (`jax.ShapeDtypeStruct`) will do as arguments.

  >>> import jax.numpy as jnp
  >>> count(lambda a, b: a @ b, jnp.ones((2, 3)), jnp.ones((3, 5)))
  60.0
  """
  return _of(jax.make_jaxpr(fn)(*args).jaxpr)


def inner(params: dict[str, Any]) -> Iterator[Any]:
  """Programs inside an operation."""
  for value in params.values():
    for item in value if isinstance(value, tuple | list) else (value,):
      if isinstance(item, core.ClosedJaxpr):
        yield item.jaxpr
      elif isinstance(item, core.Jaxpr):
        yield item


def _of(jaxpr) -> float:
  return float(sum(_operation(eqn) for eqn in jaxpr.eqns))


def _operation(eqn) -> float:
  name = eqn.primitive.name
  if name == 'dot_general':
    (contracted, _), _ = eqn.params['dimension_numbers']
    shape = eqn.invars[0].aval.shape
    depth = math.prod(shape[d] for d in contracted)
    return 2.0 * depth * math.prod(eqn.outvars[0].aval.shape)
  if name == 'scan':
    return eqn.params['length'] * sum(map(_of, inner(eqn.params)))
  if name == 'cond':
    return max((_of(jaxpr) for jaxpr in inner(eqn.params)), default=0.0)
  if name in _CUBIC:
    *batch, rows, columns = eqn.invars[0].aval.shape
    small, large = sorted((rows, columns))
    return _CUBIC[name] * math.prod(batch) * small**2 * large
  return sum(map(_of, inner(eqn.params)))


class Rate(NamedTuple):
  """Rate of float32 matrix products, in operations a second.

  Attributes:
    single: on one device alone.
    every: of all used devices together.
  """

  single: float
  every: float


def matrix_rate(devices: Sequence[jax.Device]) -> Rate:
  """Times a product on one device, and on all at once."""
  product = jax.jit(lambda x: x @ x)
  inputs = [jax.device_put(jnp.ones((_SIDE, _SIDE)), d) for d in devices]
  each = 2.0 * _SIDE**3

  def seconds(some) -> float:
    jax.block_until_ready([product(x) for x in some])
    best = math.inf
    for _ in range(5):
      began = time.monotonic()
      jax.block_until_ready([product(x) for x in some])
      best = min(best, time.monotonic() - began)
    return best

  return Rate(each / seconds(inputs[:1]), len(inputs) * each / seconds(inputs))
