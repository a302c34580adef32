"""Holds the norm of the weights at a value."""

import dataclasses

import jax
import jax.numpy as jnp
import optax

from emergence_jax.base import prng
from emergence_jax.interventions import intervention


def _norm_of(part: str, tree) -> jax.Array:
  return optax.tree.norm(intervention.in_part(part, lambda x: x, tree))


@dataclasses.dataclass(frozen=True)
class Norm(intervention.OfPart):
  """The norm of the weights is strength × that of the first weights."""

  STAGE = intervention.UPDATE

  def prepare(self, objective, seed, reference):
    """The norm of the first weights."""
    first = objective.init(prng.key(prng.Stream.INIT, seed))
    return _norm_of(self.part, first)

  def adds(self, objective, at, strength):
    """What brings the updated weights onto the sphere."""
    after = jax.tree.map(jnp.add, at.params, at.updates)
    norm = jnp.maximum(_norm_of(self.part, after), 1e-30)
    factor = strength * at.prepared / norm - 1
    return intervention.in_part(self.part, lambda x: factor * x, after)
