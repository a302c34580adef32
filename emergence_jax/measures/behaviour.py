"""What a model gets right: accuracy and answer probability on an exam."""

import jax
import jax.numpy as jnp
import numpy as np

from emergence_jax.base.types import Field, Measure
from emergence_jax.measures import options
from emergence_jax.models.objective import Objective
from emergence_jax.tasks import padding

_PER_LEVEL = ('task', 'level')
_SOURCE = 'arXiv:2602.15997, section 3'


def _fields(with_training: bool) -> dict[str, Field]:
  which = 'held-out' if with_training else 'fresh'
  fields = {
    'accuracy': Field(
      _PER_LEVEL,
      'float32',
      f'exact-match accuracy on {which} examples',
      '1',
      _SOURCE,
      label='accuracy',
      pick={'level': -1},
      tested=False,
    ),
    'log_prob': Field(
      _PER_LEVEL,
      'float32',
      f'mean log-probability of the whole answer, {which} examples',
      'nat',
      _SOURCE,
    ),
    'loss': Field(
      _PER_LEVEL,
      'float32',
      f'mean cross-entropy of an answer token, {which} examples',
      'nat',
      _SOURCE,
    ),
    'correct': Field(
      (*_PER_LEVEL, 'item'),
      'int8',
      'whether the item was answered exactly (1) or not (0)',
      '1',
      _SOURCE,
    ),
  }
  if with_training:
    fields['train_accuracy'] = Field(
      _PER_LEVEL,
      'float32',
      'exact-match accuracy on the training table',
      '1',
      'arXiv:2201.02177',
    )
    fields['trained_on'] = Field(
      (*_PER_LEVEL, 'item'),
      'int8',
      'whether the item is one that the seed trains on',
      '1',
    )
  return fields


FIELDS = _fields(with_training=False)


def make(
  objective: Objective, *, examples: int = 1000, examples_at_once: int = 100
) -> Measure:
  """Exact match, answer probability and per-item flags on fixed examples.

  Args:
    objective: model and exams.
    examples: per task × level; a task with a finite table uses all of it.
    examples_at_once: examples in one forward pass, which bounds the memory.
  """
  exams = options.needs('behaviour', objective.exams, 'exam')
  options.at_least(
    'behaviour', 1, examples=examples, examples_at_once=examples_at_once
  )

  def inputs(seed):
    return exams.exam(seed, examples)

  exam, _ = jax.eval_shape(inputs, jax.ShapeDtypeStruct((), jnp.int32))
  shape = exam.query.shape
  # Rows are of one task and level.
  among = padding.groups(exams.length_KxL.ravel())

  def mean(values, weights):
    """Weighted mean over the items; nan where none has weight."""
    return jnp.sum(values * weights, -1) / jnp.sum(weights, -1)

  def measure(params, batch, key):
    del key
    exam, trained = batch

    def some(rows, _):
      flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), rows)
      answers = objective.answers(params, flat, examples_at_once)
      return jax.tree.map(lambda x: x.reshape(rows.query.shape), answers)

    rows = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), exam)
    answers = padding.over(some, rows, among)
    answers = jax.tree.map(lambda x: x.reshape(shape), answers)
    held_out = (~trained).astype(jnp.float32)
    log_prob = mean(answers.log_prob, held_out)
    result = {
      'accuracy': mean(answers.correct, held_out),
      'log_prob': log_prob,
      'loss': -log_prob / mean(answers.tokens, held_out),
      'correct': answers.correct.astype(jnp.int8),
    }
    if exams.includes_training:
      result['train_accuracy'] = mean(answers.correct, trained)
      result['trained_on'] = trained.astype(jnp.int8)
    return result

  return Measure(
    fields=_fields(exams.includes_training),
    coords={
      'task': list(exams.task_names),
      'level': list(exams.level_names),
      'item': np.arange(shape[2]),
    },
    inputs=inputs,
    inputs_per_seed=exams.differ_by_seed,
    fn=measure,
  )
