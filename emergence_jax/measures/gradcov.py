"""Effective rank of the covariance of training batches' gradients."""

import jax

from emergence_jax.base import prng
from emergence_jax.base.types import Field, Measure, Status
from emergence_jax.measures import options
from emergence_jax.models.objective import Objective
from emergence_jax.numerics.gram import gradient_covariance_rank

_SOURCE = 'arXiv:2602.15997, section 3'
_OF = 'covariance of batch gradients'

FIELDS = {
  'gradcov_rank': Field(
    (), 'float32', f'effective rank of the {_OF}, all parameters', 'dimension',
    _SOURCE, label='gradient covariance rank', status='gradcov_status',
  ),
  'gradcov_rank_prefix': Field(
    (), 'float32', f'effective rank of the {_OF}, first parameters alone',
    'dimension', _SOURCE,
  ),
  'gradcov_trace': Field(
    (), 'float32', f'trace of the {_OF}, all parameters', '(nat / parameter)²'
  ),
  'gradcov_status': options.status_field(
    (), 'the gradient covariance', Status.DEGENERATE
  ),
}  # fmt: skip


def make(
  objective: Objective,
  *,
  batches: int = 32,
  batch_size: int = 64,
  prefix: int = 50_000,
  batches_at_once: int | None = None,
) -> Measure:
  """Rank of the covariance of `batches` gradients of the training loss.

  Args:
    objective: model and exams.
    batches: fixed batches, at least 2; the rank is at most one less.
    batch_size: examples of a batch.
    prefix: first parameters of the second variant, from the embedding on.
    batches_at_once: gradients in memory at once; None for all.
  """
  options.at_least('gradcov', 2, batches=batches)
  options.at_least('gradcov', 1, batch_size=batch_size, prefix=prefix)
  options.at_least('gradcov', 1, batches_at_once=batches_at_once)
  exams = objective.exams

  def inputs(seed):
    key = prng.fixed_key(prng.Fixed.GRADCOV)
    batch = exams.draw(seed, key, batches * batch_size)
    return jax.tree.map(
      lambda x: x.reshape(batches, batch_size, *x.shape[1:]), batch
    )

  def loss(parts, batch):
    params = {name: x for part in parts for name, x in part.items()}
    return objective.loss(params, batch)

  def measure(params, batch, key):
    del key
    result = gradient_covariance_rank(
      loss,
      objective.model.ordered(params),
      batch,
      prefix=prefix,
      batches_at_once=batches_at_once,
    )
    return {
      'gradcov_rank': result.all.effective_rank,
      'gradcov_rank_prefix': result.prefix.effective_rank,
      'gradcov_trace': result.all.trace,
      'gradcov_status': result.all.status,
    }

  return Measure(
    fields=FIELDS,
    coords={},
    inputs=inputs,
    inputs_per_seed=exams.differ_by_seed,
    fn=measure,
  )
