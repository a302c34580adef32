"""Adds noise to the gradient."""

import dataclasses

from emergence_jax.interventions import intervention


@dataclasses.dataclass(frozen=True)
class Noise(intervention.OfPart):
  """Normal noise, new at every step, of strength × the norm of each leaf."""

  def adds(self, objective, at, strength):
    """The noise."""
    del objective
    noise = intervention.of_size(
      intervention.random_direction(at.grads, at.key), at.grads
    )
    return intervention.in_part(self.part, lambda n: strength * n, noise)
