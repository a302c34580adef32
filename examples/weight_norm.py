"""A measure of one's own: norms of a model's parts, from input to output."""

import jax
import jax.numpy as jnp

import emergence_jax as ej

FIELDS = {
  'part_norm': ej.Field(
    ('part',), 'float32', 'norm of a part of the model', '1',
    label='norm of a part', pick={'part': -1},
  )
}  # fmt: skip


def make(objective, *, power: float = 2.0) -> ej.Measure:
  """The norm of each part's parameters.

  Args:
    objective: model and exams.
    power: of the norm; 2 is Euclid's.
  """
  shapes = jax.eval_shape(objective.init, jax.random.key(0))
  names = [next(iter(p)) for p in objective.model.ordered(shapes)]

  def fn(params, batch, key):
    parts = objective.model.ordered(params)
    total = [
      sum(jnp.sum(jnp.abs(x) ** power) for x in jax.tree.leaves(part))
      for part in parts
    ]
    return {'part_norm': jnp.stack(total) ** (1 / power)}

  return ej.Measure(FIELDS, {'part': names}, lambda seed: (), False, fn)
