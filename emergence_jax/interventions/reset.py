"""Sets a part of the weights back to the first ones, at a step."""

import dataclasses

from emergence_jax.base import prng
from emergence_jax.interventions import intervention


@dataclasses.dataclass(frozen=True)
class Reset(intervention.Towards):
  """Moves a part by strength × the way back to the first weights, once."""

  def prepare(self, objective, seed, reference):
    """The first weights."""
    del reference
    return objective.init(prng.key(prng.Stream.INIT, seed))
