"""Effective rank of the covariance of training batches' gradients."""

import jax

from emergence_jax import prng
from emergence_jax.measures import options
from emergence_jax.numerics.gram import gradient_covariance_rank
from emergence_jax.objective import Objective
from emergence_jax.types import Field, Measure, Status

_SOURCE = 'arXiv:2602.15997, section 3'
_OF = 'covariance of batch gradients'

FIELDS = {
  'gradcov_rank': Field(
    (), 'float32', f'effective rank of the {_OF}, all parameters', 'dimension',
    _SOURCE,
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
  chunk_batches: int = 0,
) -> Measure:
  """Rank of the covariance of `batches` gradients of the training loss.

  Args:
    objective: model and task.
    batches: fixed batches, at least 2; the rank is at most one less.
    batch_size: examples of a batch.
    prefix: first parameters of the second variant, from the embedding on.
    chunk_batches: gradients in memory at once; 0 for all.
  """
  options.at_least('gradcov', 2, batches=batches)
  options.at_least('gradcov', 1, batch_size=batch_size, prefix=prefix)
  options.at_least('gradcov', 0, chunk_batches=chunk_batches)
  task = objective.task

  def probe(seed):
    key = prng.probe_key(prng.Probe.GRADCOV, 0)
    batch = task.draw(task.prepare(seed), key, batches * batch_size)
    return jax.tree.map(
      lambda x: x.reshape(batches, batch_size, *x.shape[1:]), batch
    )

  def loss(parts, batch):
    params = {name: x for part in parts for name, x in part.items()}
    return objective.loss(params, batch)

  def measure(params, batch, key):
    del key
    found = gradient_covariance_rank(
      loss,
      objective.model.ordered(params),
      batch,
      prefix=prefix,
      chunk=chunk_batches,
    )
    return {
      'gradcov_rank': found.all.effective_rank,
      'gradcov_rank_prefix': found.prefix.effective_rank,
      'gradcov_trace': found.all.trace,
      'gradcov_status': found.all.status,
    }

  return Measure(
    fields=FIELDS,
    coords={},
    probe=probe,
    probe_per_seed=task.has_table,
    fn=measure,
  )
