"""Which continuation a model prefers: accuracy and margin on probe sets."""

import jax
import jax.numpy as jnp
import numpy as np

from emergence_jax.base.types import Field, Measure
from emergence_jax.measures import options
from emergence_jax.models.objective import Objective
from emergence_jax.tasks import padding
from emergence_jax.tasks.probe_sets import ends

_PER_LEVEL = ('task', 'level')
_SOURCE = 'arXiv:2602.15997, section on Pythia'

FIELDS = {
  'accuracy': Field(
    _PER_LEVEL, 'float32',
    'share of items whose right continuation is likelier than every wrong one; '
    'where there are none, whose every token is the likeliest',
    '1', _SOURCE, label='accuracy', pick={'level': -1}, tested=False,
  ),
  'log_prob': Field(
    _PER_LEVEL, 'float32', 'mean log-probability of the right continuation',
    'nat', _SOURCE,
  ),
  'margin': Field(
    _PER_LEVEL, 'float32',
    'mean log-probability of the right continuation over that of the best '
    'wrong one, if there is one',
    'nat', _SOURCE,
  ),
  'loss': Field(
    _PER_LEVEL, 'float32',
    'mean cross-entropy of a token of the right continuation', 'nat', _SOURCE,
  ),
  'correct': Field(
    (*_PER_LEVEL, 'item'), 'int8',
    'whether the item counts in accuracy (1) or not (0); -1 where there is '
    'none', '1', _SOURCE,
  ),
}  # fmt: skip


def _mean(values, weight):
  """Mean over the items that count; nan where none does."""
  total = jnp.sum(jnp.where(weight, values, 0), -1)
  return total / jnp.sum(weight, -1)


def make(objective: Objective, *, examples_at_once: int = 8) -> Measure:
  """Log-probabilities of every item's continuations.

  Args:
    objective: model and probe sets.
    examples_at_once: sequences in one forward pass, which bounds the memory.
  """
  options.at_least('choice', 1, examples_at_once=examples_at_once)
  sets = options.needs('choice', objective.exams, 'wrong')

  def inputs(seed):
    del seed
    return jax.tree.map(jnp.asarray, (sets.right, sets.wrong))

  is_item, has_wrong = jnp.asarray(sets.is_item), jnp.asarray(sets.has_wrong)
  # Which sequences there are is known beforehand, and no others are computed.
  used = sets.is_item, sets.has_wrong
  places = [np.nonzero(x) for x in used]
  among = padding.groups(
    np.concatenate([ends(sets.right)[places[0]], ends(sets.wrong)[places[1]]])
  )

  def answers(params, batches):
    """`Answers` of right and wrong sequences; 0 where there is none."""
    flat = jax.tree.map(
      lambda *x: jnp.concatenate([x[0][places[0]], x[1][places[1]]]), *batches
    )
    results = padding.over(
      lambda rows, _: objective.answers(params, rows, examples_at_once),
      flat,
      among,
    )

    def back(x, used, places):
      return jnp.zeros(used.shape, x.dtype).at[places].set(x)

    count = len(places[0][0])
    return (
      jax.tree.map(lambda x: back(x[:count], used[0], places[0]), results),
      jax.tree.map(lambda x: back(x[count:], used[1], places[1]), results),
    )

  def measure(params, batch, key):
    del key
    right, wrong = answers(params, batch)
    log_prob, tokens, exact = right.log_prob, right.tokens, right.correct
    others = wrong.log_prob
    choice = has_wrong.any(-1)
    best = jnp.max(jnp.where(has_wrong, others, -jnp.inf), -1)
    best = jnp.where(choice, best, 0)
    good = jnp.where(choice, jnp.isfinite(log_prob) & (log_prob > best), exact)
    return {
      'accuracy': _mean(good.astype(jnp.float32), is_item),
      'log_prob': _mean(log_prob, is_item),
      'margin': _mean(log_prob - best, is_item),
      'loss': -jnp.sum(jnp.where(is_item, log_prob, 0), -1)
      / jnp.sum(jnp.where(is_item, tokens, 0), -1),
      'correct': jnp.where(is_item, good, -1).astype(jnp.int8),
    }

  return Measure(
    fields=FIELDS,
    coords={
      'task': list(sets.task_names),
      'level': list(sets.level_names),
      'item': np.arange(sets.is_item.shape[2]),
    },
    inputs=inputs,
    inputs_per_seed=False,
    fn=measure,
  )
