"""Loss barrier between consecutive checkpoints."""

from emergence_jax import prng
from emergence_jax.measures import options
from emergence_jax.numerics.barrier import loss_barrier
from emergence_jax.objective import Objective
from emergence_jax.types import Field, Measure

FIELDS = {
  'loss_barrier': Field(
    (), 'float32',
    'height of the training loss on the line from the checkpoint before, '
    'above the line of the losses of its ends', 'nat',
    'arXiv:1912.05671; arXiv:2602.15997, section 3',
  ),
  'loss_barrier_status': options.status_field((), 'the barrier'),
}  # fmt: skip


def make(
  objective: Objective,
  *,
  points: int = 11,
  examples: int = 1000,
  chunk_examples: int = 1000,
) -> Measure:
  """Barrier between a checkpoint and the one before it in the schedule.

  Args:
    objective: model and task.
    points: on the line, both ends included; at least 3.
    examples: fixed training examples (a table has no more than its own).
    chunk_examples: examples in one forward pass.
  """
  options.at_least('barrier', 3, points=points)
  options.at_least(
    'barrier', 1, examples=examples, chunk_examples=chunk_examples
  )
  task = objective.task

  def probe(seed):
    key = prng.probe_key(prng.Probe.BARRIER, 0)
    return task.reference(seed, key, examples)

  def measure(params, batch, key, previous):
    del key
    found = loss_barrier(
      objective.loss, previous, params, batch, num_points=points,
      chunk=chunk_examples, weight=objective.num_tokens,
    )  # fmt: skip
    return {
      'loss_barrier': found.barrier,
      'loss_barrier_status': found.status,
    }

  return Measure(
    fields=FIELDS,
    coords={},
    probe=probe,
    probe_per_seed=task.has_table,
    fn=measure,
    pair=True,
  )
