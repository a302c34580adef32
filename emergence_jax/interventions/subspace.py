"""Projects updates or hidden states onto few directions."""

import dataclasses

import jax
import jax.numpy as jnp

from emergence_jax.base import checks, names
from emergence_jax.base.types import UserError
from emergence_jax.interventions import intervention
from emergence_jax.numerics import linalg

UPDATES, STATES = 'updates', 'states'
_OF = {UPDATES: UPDATES, STATES: STATES}


@dataclasses.dataclass(frozen=True)
class Subspace(intervention.OfPart):
  """Takes strength × what lies outside a subspace out of states or updates.

  The subspace is that of the k leading directions of a reference: of the hidden
  states of its parameters (on the batch of each step), or of each matrix among
  its parameters, from the left. Without a reference it is that of k random
  directions, drawn once for each seed. A `part` is of updates alone.

  Attributes:
    of: `states` of a layer, or `updates` of matrices.
    k: number of directions.
    layer: block whose output it is, from 1; 0 is the last.
    reference: `RUN@STEP`, a saved population of a run of the same model that
      has these seeds; random directions if empty.
  """

  of: str = STATES
  k: int = 8
  layer: int = 0
  reference: str = ''

  def check(self, path, objective, steps):
    """Raises a UserError for what cannot be."""
    super().check(path, objective, steps)
    names.choose(f'{path}.of', self.of, _OF)
    checks.in_range(f'{path}.k', self.k, 1)
    intervention.check_layer(path, self.layer, objective)
    if self.of == STATES:
      objective.check_edits(path)
      checks.in_range(f'{path}.k', self.k, 1, objective.hidden_size())
      if self.part:
        raise UserError(f'{path}.part has no effect on states; leave it out.')

  @property
  def stage(self) -> str:
    """Updates are changed as such; states by the gradient."""
    return intervention.UPDATE if self.of == UPDATES else intervention.GRADIENT

  def prepare(self, objective, seed, reference):
    """Directions; of states of a reference, its parameters."""
    key = intervention.key_of('subspace', seed)
    if self.of == UPDATES:
      matrices = reference if self.reference else objective.init(key)
      return jax.tree.map(self._leading, matrices)
    if self.reference:
      return reference
    size = objective.hidden_size()
    directions, _ = linalg.qr(jax.random.normal(key, (size, self.k)))
    return directions

  def _leading(self, matrix):
    """The leading directions [D, k] of a matrix; of other leaves, itself."""
    if matrix.ndim != 2 or self.k >= matrix.shape[0]:
      return matrix
    _, vectors = linalg.eigh(matrix @ matrix.T)
    return vectors[:, -self.k :]

  def adds(self, objective, at, strength):
    """What lies outside, taken out."""
    if self.of == UPDATES:
      return intervention.in_part(
        self.part, lambda u, q: self._outside(u, q, strength),
        at.updates, at.prepared,
      )  # fmt: skip
    leading_Dk = at.prepared
    if self.reference:
      z_BD = objective.query_states(at.prepared, at.batch)[self.layer - 1]
      _, vectors_DD = linalg.eigh(z_BD.T @ z_BD)
      leading_Dk = vectors_DD[:, -self.k :]

    def project(x_BxTxD):
      inside = (x_BxTxD @ leading_Dk) @ leading_Dk.T
      return x_BxTxD - strength * (x_BxTxD - inside)

    return intervention.of_edit(objective, at, self.layer, project)

  def _outside(self, update, directions, strength):
    if update.ndim != 2 or self.k >= update.shape[0]:
      return jnp.zeros_like(update)
    inside = directions @ (directions.T @ update)
    return strength * (inside - update)
