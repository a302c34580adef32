"""Norm of all parameters: a cheap scalar beside which others are judged."""

import jax
import jax.numpy as jnp

from emergence_jax.base.types import Field, Measure
from emergence_jax.models.objective import Objective

FIELDS = {
  'weight_norm': Field(
    (), 'float32', 'Euclidean norm of all parameters', '1',
    'arXiv:2210.01117, section 2', label='weight norm', tested=False,
  )
}  # fmt: skip


def make(objective: Objective) -> Measure:
  """Euclidean norm of a seed's parameters.

  Args:
    objective: model and exams.
  """
  del objective

  def measure(params, batch, key):
    del batch, key
    squares = [jnp.sum(jnp.square(x)) for x in jax.tree.leaves(params)]
    return {'weight_norm': jnp.sqrt(sum(squares)).astype(jnp.float32)}

  return Measure(FIELDS, {}, lambda seed: (), False, measure)
