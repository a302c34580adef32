"""Norms of the tasks' gradients, and the angles between them."""

import jax
import jax.numpy as jnp

from emergence_jax.base import prng
from emergence_jax.base.types import Field, Measure
from emergence_jax.measures import options
from emergence_jax.models.objective import Objective
from emergence_jax.numerics.gram import gradient_gram, scaled

_SOURCE = 'arXiv:2602.15997, appendix J'

FIELDS = {
  'task_grad_norm': Field(
    ('task',), 'float32', "norm of the gradient of a task's loss",
    'nat / parameter', _SOURCE, label='gradient norm of the task',
    scale='log', tested=False,
  ),
  'grad_alignment': Field(
    ('task', 'other_task'), 'float32',
    "cosine of the angle between two tasks' gradients", '1', _SOURCE,
  ),
}  # fmt: skip


def make(
  objective: Objective, *, examples: int = 200, tasks_at_once: int | None = None
) -> Measure:
  """Gradients of every task's loss on fixed training examples.

  Args:
    objective: model and exams.
    examples: per task, levels pooled.
    tasks_at_once: gradients in memory at once; None for all.
  """
  options.at_least('alignment', 1, examples=examples)
  options.at_least('alignment', 1, tasks_at_once=tasks_at_once)
  exams = objective.exams

  def inputs(seed):
    key = prng.fixed_key(prng.Fixed.ALIGNMENT)
    return exams.by_task(seed, key, examples)

  def measure(params, batch, key):
    del key

    @jax.default_matmul_precision('highest')
    def grad(batch):
      return jax.grad(objective.loss)(params, batch)

    grad, power = scaled(grad, batch, 1)
    gram = gradient_gram(
      grad, batch, items_at_once=tasks_at_once, vmapped=False
    )[0]
    norm = jnp.sqrt(jnp.diag(gram))
    cosine = gram / (norm[:, None] * norm)
    return {
      'task_grad_norm': norm * power,
      'grad_alignment': jnp.clip(cosine, -1, 1),
    }

  names = list(exams.task_names)
  return Measure(
    fields=FIELDS,
    coords={'task': names, 'other_task': names},
    inputs=inputs,
    inputs_per_seed=exams.differ_by_seed,
    fn=measure,
  )
