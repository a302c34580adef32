"""Holds a part of the weights as it is."""

import dataclasses

from emergence_jax.interventions import intervention


@dataclasses.dataclass(frozen=True)
class Freeze(intervention.OfPart):
  """The updates of a part are made smaller by strength × themselves.

  At 1 the part does not move.
  """

  STAGE = intervention.UPDATE

  def adds(self, objective, at, strength):
    """The opposite of the updates."""
    del objective
    return intervention.in_part(self.part, lambda u: -strength * u, at.updates)
