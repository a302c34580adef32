"""Effective rank of each task's empirical Fisher matrix."""

import jax
import jax.numpy as jnp
import numpy as np

from emergence_jax.base import prng
from emergence_jax.base.types import Field, Measure, Status
from emergence_jax.measures import options
from emergence_jax.models.objective import Objective
from emergence_jax.numerics.gram import fisher_effective_rank

_SOURCE = 'arXiv:2602.15997, section 3'
_KEPT = 20
_OF = 'empirical Fisher matrix of one task, from per-example gradients'

FIELDS = {
  'fisher_rank': Field(
    ('task',), 'float32', f'effective rank of the {_OF}', 'dimension', _SOURCE,
    label='Fisher rank', status='fisher_status',
  ),
  'fisher_participation': Field(
    ('task',), 'float32', f'participation ratio of the {_OF}', 'dimension'
  ),
  'fisher_eigenvalues': Field(
    ('task', 'fisher_index'), 'float32',
    f'largest eigenvalues of the {_OF}', '(nat / parameter)²', _SOURCE,
  ),
  'fisher_trace': Field(
    ('task',), 'float32', f'trace of the {_OF}', '(nat / parameter)²', _SOURCE
  ),
  'fisher_top_share': Field(
    ('task',), 'float32', f'largest eigenvalue over trace of the {_OF}', '1',
    'arXiv:2602.15997, appendix J',
  ),
  'fisher_status': options.status_field(
    ('task',), 'the Fisher spectrum', Status.DEGENERATE
  ),
}  # fmt: skip


def make(
  objective: Objective,
  *,
  examples: int = 200,
  examples_at_once: int | None = None,
) -> Measure:
  """Fisher spectrum of `examples` per-example gradients of each task.

  Args:
    objective: model and exams.
    examples: per task, at least 2; levels are pooled.
    examples_at_once: gradients in memory at once; None for all, whose Gram
      matrix is summed leaf by leaf. See `numerics.gram.gradient_gram`.
  """
  options.at_least('fisher', 2, examples=examples)
  options.at_least('fisher', 1, examples_at_once=examples_at_once)
  exams = objective.exams

  def inputs(seed):
    key = prng.fixed_key(prng.Fixed.FISHER)
    return exams.by_task(seed, key, examples)

  def measure(params, batch, key):
    del key

    def one_task(batch):
      result = fisher_effective_rank(
        objective.example_loss, params, batch, examples_at_once=examples_at_once
      )
      # There are no more than N that are not zero.
      top = jnp.pad(result.eigenvalues, (0, _KEPT))[:_KEPT]
      return {
        'fisher_rank': result.effective_rank,
        'fisher_participation': result.participation_ratio,
        'fisher_eigenvalues': top,
        'fisher_trace': result.trace,
        'fisher_top_share': result.top_share,
        'fisher_status': result.status,
      }

    return jax.lax.map(one_task, batch)

  return Measure(
    fields=FIELDS,
    coords={
      'task': list(exams.task_names),
      'fisher_index': np.arange(1, _KEPT + 1),
    },
    inputs=inputs,
    inputs_per_seed=exams.differ_by_seed,
    fn=measure,
  )
