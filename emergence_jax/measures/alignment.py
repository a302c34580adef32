"""Norms of the tasks' gradients, and the angles between them."""

import jax
import jax.numpy as jnp

from emergence_jax import prng
from emergence_jax.measures import options
from emergence_jax.numerics.gram import gradient_gram, scaled
from emergence_jax.objective import Objective
from emergence_jax.types import Field, Measure

_SOURCE = 'arXiv:2602.15997, appendix J'

FIELDS = {
  'task_grad_norm': Field(
    ('task',), 'float32', "norm of the gradient of a task's loss",
    'nat / parameter', _SOURCE,
  ),
  'grad_alignment': Field(
    ('task', 'other_task'), 'float32',
    "cosine of the angle between two tasks' gradients", '1', _SOURCE,
  ),
}  # fmt: skip


def make(
  objective: Objective, *, examples: int = 200, chunk_tasks: int = 0
) -> Measure:
  """Gradients of every task's loss on fixed training examples.

  Args:
    objective: model and task.
    examples: per task, levels pooled.
    chunk_tasks: gradients in memory at once; 0 for all.
  """
  options.at_least('alignment', 1, examples=examples)
  options.at_least('alignment', 0, chunk_tasks=chunk_tasks)
  task = objective.task

  def probe(seed):
    key = prng.probe_key(prng.Probe.ALIGNMENT, 0)
    return task.by_task(seed, key, examples)

  def measure(params, batch, key):
    del key

    @jax.default_matmul_precision('highest')
    def grad(batch):
      return jax.grad(objective.loss)(params, batch)

    grad, power = scaled(grad, batch, 1)
    gram = gradient_gram(grad, batch, chunk=chunk_tasks, at_once=False)[0]
    norm = jnp.sqrt(jnp.diag(gram))
    cosine = gram / (norm[:, None] * norm)
    return {
      'task_grad_norm': norm * power,
      'grad_alignment': jnp.clip(cosine, -1, 1),
    }

  names = list(task.task_names)
  return Measure(
    fields=FIELDS,
    coords={'task': names, 'other_task': names},
    probe=probe,
    probe_per_seed=task.has_table,
    fn=measure,
  )
