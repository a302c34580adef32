"""Number formats of training."""

from typing import NamedTuple

import jax.numpy as jnp


class Precision(NamedTuple):
  """A number format of training.

  Attributes:
    dtype: of products and the residual stream.
    products: what JAX is told of products of float32, which accelerators take
      for less unless they are told; None leaves it to them.
  """

  dtype: type
  products: str | None


PRECISIONS = {
  'float32': Precision(jnp.float32, 'highest'),
  'tensorfloat32': Precision(jnp.float32, 'tensorfloat32'),
  'bfloat16': Precision(jnp.bfloat16, None),
}
