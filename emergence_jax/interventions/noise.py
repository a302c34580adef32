"""Adds noise to the gradient."""

import dataclasses

from emergence_jax.interventions import intervention


@dataclasses.dataclass(frozen=True)
class Noise(intervention.Intervention):
  """Normal noise, new at every step, of strength × the norm of each leaf.

  Attributes:
    part: regular expression on the paths of the parameters; all if empty.
  """

  part: str = ''

  def check(self, path, objective, steps):
    """Raises a UserError for what cannot be."""
    super().check(path, objective, steps)
    intervention.check_part(path, self.part, objective)

  def adds(self, objective, at, strength):
    """The noise."""
    del objective
    noise = intervention.of_size(
      intervention.random_direction(at.grads, at.key), at.grads
    )
    return intervention.in_part(self.part, lambda n: strength * n, noise)
