"""Takes a share of the mean direction out of the hidden states."""

import dataclasses

import jax.numpy as jnp

from emergence_jax.interventions import intervention


@dataclasses.dataclass(frozen=True)
class Mean(intervention.Intervention):
  """The states of a layer, less strength × their mean over the batch.

  The mean is taken at each position. A strength below 0 adds to it. The model
  that is measured is the one without this.

  Attributes:
    layer: block whose output it is, from 1; 0 is the last.
    task: of the examples that are changed; all if empty.
  """

  layer: int = 0
  task: str = ''

  def check(self, path, objective, steps):
    """Raises a UserError for what cannot be."""
    super().check(path, objective, steps)
    intervention.check_layer(path, self.layer, objective)
    intervention.check_task(path, self.task, objective)
    objective.check_edits(path)

  def adds(self, objective, at, strength):
    """Gradient of the loss with the states changed, less that without."""
    weight_B = intervention.weights_of(self.task, at.batch, objective)
    weight_Bx1x1 = weight_B[:, None, None]

    def without_mean(x_BxTxD):
      total = jnp.maximum(weight_B.sum(), 1)
      mean_TxD = (x_BxTxD * weight_Bx1x1).sum(0) / total
      return x_BxTxD - strength * weight_Bx1x1 * mean_TxD

    return intervention.of_edit(objective, at, self.layer, without_mean)
