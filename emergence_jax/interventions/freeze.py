"""Holds a part of the weights as it is."""

import dataclasses

from emergence_jax.interventions import intervention


@dataclasses.dataclass(frozen=True)
class Freeze(intervention.Intervention):
  """The updates of a part are made smaller by strength × themselves.

  At 1 the part does not move.

  Attributes:
    part: regular expression on the paths of the parameters; all if empty.
  """

  part: str = ''

  STAGE = intervention.UPDATE

  def check(self, path, objective, steps):
    """Raises a UserError for what cannot be."""
    super().check(path, objective, steps)
    intervention.check_part(path, self.part, objective)

  def adds(self, objective, at, strength):
    """The opposite of the updates."""
    del objective
    return intervention.in_part(self.part, lambda u: -strength * u, at.updates)
