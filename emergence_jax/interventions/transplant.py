"""Puts a part of the weights of another seed or step in, at a step."""

import dataclasses

from emergence_jax.base import checks
from emergence_jax.base.types import UserError
from emergence_jax.interventions import intervention


@dataclasses.dataclass(frozen=True)
class Transplant(intervention.Intervention):
  """Moves a part by strength × the way to the weights of a reference, once.

  It acts at the step `start` alone; what the optimiser remembers is kept.

  Attributes:
    part: regular expression on the paths of the parameters; all if empty.
    reference: `RUN@STEP`, a saved population of a run of the same model that
      has these seeds.
    other_seed: how many places further the seed is whose weights are taken.
  """

  part: str = ''
  reference: str = ''
  other_seed: int = 0

  STAGE = intervention.UPDATE

  def check(self, path, objective, steps):
    """Raises a UserError for what cannot be."""
    super().check(path, objective, steps)
    intervention.check_once(path, self)
    intervention.check_part(path, self.part, objective)
    checks.in_range(f'{path}.other_seed', self.other_seed, 0)
    if not self.reference:
      raise UserError(
        f'{path}.reference is missing; give RUN@STEP, a saved checkpoint.'
      )

  def acts(self, step):
    """At one step."""
    return step == self.start

  def prepare(self, objective, seed, reference):
    """The weights of the reference."""
    del objective, seed
    return reference

  def adds(self, objective, at, strength):
    """The way to the reference."""
    del objective
    return intervention.in_part(
      self.part, lambda p, u, other: strength * (other - (p + u)),
      at.params, at.updates, at.prepared,
    )  # fmt: skip
