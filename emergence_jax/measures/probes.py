"""Linear probes of every layer for the answer and the operands."""

import jax
import numpy as np

from emergence_jax.base import prng
from emergence_jax.base.types import Field, Measure, Status
from emergence_jax.measures import options
from emergence_jax.models.objective import Objective
from emergence_jax.numerics import probes as numerics

_SOURCE = 'arXiv:1610.01644; arXiv:2602.15997v4'

FIELDS = {
  'probe_accuracy': Field(
    ('task', 'target', 'layer'), 'float32',
    'test accuracy of a linear probe of block outputs at `=`: first character '
    'of the answer, or of an operand', '1', _SOURCE,
    label='probe of the answer', pick={'target': 0, 'layer': -1},
  ),
  'probe_chance': Field(
    ('task', 'target'), 'float32',
    'test accuracy of the commonest training label', '1',
  ),
  'probe_status': options.status_field(
    ('task', 'target', 'layer'), 'the probe', Status.NOT_CONVERGED,
    Status.DEGENERATE,
  ),
}  # fmt: skip


def make(
  objective: Objective,
  *,
  examples: int = 1000,
  method: str = 'ridge',
  penalty: float = 1e-3,
) -> Measure:
  """Probes trained on half of some fixed examples, and tested on the rest.

  Args:
    objective: model and exams.
    examples: per task, levels pooled; at least 4. Of a table, any pairs
      (trained on or not), as many as there are.
    method: `ridge` or `logistic`.
    penalty: of the squared weights, see `numerics.probes.linear_probe`.
  """
  options.at_least('probes', 4, examples=examples)
  options.at_least('probes', 0, penalty=penalty)
  options.one_of('probes', numerics.METHODS, method=method)
  exams = options.needs('probes', objective.exams, 'targets')

  def inputs(seed):
    del seed
    return exams.labelled(prng.fixed_key(prng.Fixed.PROBES), examples)

  def measure(params, batch, key):
    del key

    def one_task(batch):
      features = objective.query_features(params, batch)
      labels = exams.targets(batch)

      def decode(features, labels):
        return numerics.linear_probe(
          features, labels, num_classes=exams.vocab_size, method=method,
          penalty=penalty,
        )  # fmt: skip

      by_layer = jax.vmap(decode, (0, None))
      result = jax.vmap(by_layer, (None, 1))(features, labels)
      return {
        'probe_accuracy': result.accuracy,
        'probe_chance': result.chance[:, 0],
        'probe_status': result.status,
      }

    return jax.lax.map(one_task, batch)

  return Measure(
    fields=FIELDS,
    coords={
      'task': list(exams.task_names),
      'target': list(exams.target_names),
      'layer': np.arange(1, objective.model.num_layers + 1),
    },
    inputs=inputs,
    inputs_per_seed=False,
    fn=measure,
  )
