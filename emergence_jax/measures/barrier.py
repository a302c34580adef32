"""Loss barrier between consecutive checkpoints."""

from emergence_jax.base import prng
from emergence_jax.base.types import Field, Measure
from emergence_jax.measures import options
from emergence_jax.models.objective import Objective
from emergence_jax.numerics.barrier import loss_barrier

FIELDS = {
  'loss_barrier': Field(
    (), 'float32',
    'height of the training loss on the line from the checkpoint before, '
    'above the line of the losses of its ends', 'nat',
    'arXiv:1912.05671; arXiv:2602.15997, section 3', label='loss barrier',
    status='loss_barrier_status',
  ),
  'loss_barrier_status': options.status_field((), 'the barrier'),
}  # fmt: skip


def make(
  objective: Objective,
  *,
  points: int = 11,
  examples: int = 1000,
  examples_at_once: int = 100,
) -> Measure:
  """Barrier between a checkpoint and the one before it in the schedule.

  Args:
    objective: model and exams.
    points: on the line, both ends included; at least 3.
    examples: fixed training examples (a table has no more than its own).
    examples_at_once: examples in one forward pass.
  """
  options.at_least('barrier', 3, points=points)
  options.at_least(
    'barrier', 1, examples=examples, examples_at_once=examples_at_once
  )
  exams = objective.exams

  def inputs(seed):
    key = prng.fixed_key(prng.Fixed.BARRIER)
    return exams.training_examples(seed, key, examples)

  def measure(params, batch, key, previous):
    del key
    result = loss_barrier(
      objective.loss, previous, params, batch, num_points=points,
      examples_at_once=examples_at_once, weight=objective.num_tokens,
    )  # fmt: skip
    return {
      'loss_barrier': result.barrier,
      'loss_barrier_status': result.status,
    }

  return Measure(
    fields=FIELDS,
    coords={},
    inputs=inputs,
    inputs_per_seed=exams.differ_by_seed,
    fn=measure,
    pair=True,
  )
