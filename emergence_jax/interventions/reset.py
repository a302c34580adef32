"""Sets a part of the weights back to the first ones, at a step."""

import dataclasses

from emergence_jax.base import prng
from emergence_jax.interventions import intervention


@dataclasses.dataclass(frozen=True)
class Reset(intervention.Intervention):
  """Moves a part by strength × the way back to the first weights, once.

  It acts at the step `start` alone; what the optimiser remembers is kept.

  Attributes:
    part: regular expression on the paths of the parameters; all if empty.
  """

  part: str = ''

  STAGE = intervention.UPDATE

  def check(self, path, objective, steps):
    """Raises a UserError for what cannot be."""
    super().check(path, objective, steps)
    intervention.check_once(path, self)
    intervention.check_part(path, self.part, objective)

  def acts(self, step):
    """At one step."""
    return step == self.start

  def prepare(self, objective, seed, reference):
    """The first weights."""
    del reference
    return objective.init(prng.key(prng.Stream.INIT, seed))

  def adds(self, objective, at, strength):
    """The way back."""
    del objective
    return intervention.in_part(
      self.part, lambda p, u, first: strength * (first - (p + u)),
      at.params, at.updates, at.prepared,
    )  # fmt: skip
