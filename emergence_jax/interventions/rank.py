"""Adds the logarithm of RankMe to the training loss."""

import dataclasses

import jax

from emergence_jax.base import checks
from emergence_jax.interventions import intervention
from emergence_jax.numerics.spectrum import log_rankme


@dataclasses.dataclass(frozen=True)
class Rank(intervention.Intervention):
  """Strength × log RankMe of a layer at the query: above 0 lowers the rank.

  Attributes:
    layer: block whose output it is, from 1; 0 is the last.
    task: of the examples; all if empty.
    examples: of the training batch, the first so many.
  """

  layer: int = 0
  task: str = ''
  examples: int = 128

  def check(self, path, objective, steps):
    """Raises a UserError for what cannot be."""
    super().check(path, objective, steps)
    intervention.check_layer(path, self.layer, objective)
    intervention.check_task(path, self.task, objective)
    checks.in_range(f'{path}.examples', self.examples, 2)

  def adds(self, objective, at, strength):
    """Gradient of the penalty."""
    batch = jax.tree.map(lambda x: x[: self.examples], at.batch)
    weight_B = intervention.weights_of(self.task, batch, objective)

    def penalty(params):
      z_BD = objective.query_states(params, batch)[self.layer - 1]
      return log_rankme(z_BD * weight_B[:, None])

    slope = jax.grad(penalty)(at.params)
    return jax.tree.map(lambda g: strength * g, slope)
