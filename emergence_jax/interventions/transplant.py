"""Puts a part of the weights of another seed or step in, at a step."""

import dataclasses

from emergence_jax.base import checks
from emergence_jax.base.types import UserError
from emergence_jax.interventions import intervention


@dataclasses.dataclass(frozen=True)
class Transplant(intervention.Towards):
  """Moves a part by strength × the way to the weights of a reference, once.

  Attributes:
    reference: `RUN@STEP`, a saved population of a run of the same model that
      has these seeds.
    other_seed: how many places further the seed is whose weights are taken.
  """

  reference: str = ''
  other_seed: int = 0

  def check(self, path, objective, steps):
    """Raises a UserError for what cannot be."""
    super().check(path, objective, steps)
    checks.in_range(f'{path}.other_seed', self.other_seed, 0)
    if not self.reference:
      raise UserError(
        f'{path}.reference is missing; give RUN@STEP, a saved checkpoint.'
      )

  def prepare(self, objective, seed, reference):
    """The weights of the reference."""
    del objective, seed
    return reference
