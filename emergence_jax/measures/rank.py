"""RankMe of every layer's representation, under several conventions."""

import jax
import jax.numpy as jnp
import numpy as np

from emergence_jax.base import prng
from emergence_jax.base.types import Field, Measure
from emergence_jax.measures import options
from emergence_jax.models.objective import Objective
from emergence_jax.numerics.spectrum import rankme
from emergence_jax.tasks import padding
from emergence_jax.tasks.task import pooled_counts

_SOURCE = 'arXiv:2210.02885, eq. 1; arXiv:2602.15997, section 3'
_BY_LAYER = ('task', 'layer')


def _field(dims: tuple[str, ...], what: str, **shown) -> Field:
  text = f'RankMe of block outputs at the `=` position, {what}'
  return Field(dims, 'float32', text, 'dimension', _SOURCE, **shown)


FIELDS = {
  'rankme': _field(
    _BY_LAYER, 'uncentred, levels pooled', label='RankMe', pick={'layer': -1}
  ),
  'rankme_centered': _field(_BY_LAYER, 'centred, levels pooled'),
  'rankme_answer': Field(
    _BY_LAYER, 'float32',
    'RankMe of block outputs at every position that predicts an answer token, '
    'uncentred, levels pooled', 'dimension', _SOURCE,
  ),
  'rankme_mean': Field(
    _BY_LAYER, 'float32',
    'RankMe of block outputs averaged over the tokens of the text, uncentred, '
    'levels pooled', 'dimension', _SOURCE,
  ),
  'rankme_level': _field(('task', 'level', 'layer'), 'uncentred, one level'),
  'rankme_norm': Field(
    ('task',), 'float32',
    'RankMe after the final LayerNorm at the `=` position, uncentred, levels '
    'pooled', 'dimension', _SOURCE,
  ),
}  # fmt: skip


def _together(variants: dict[str, tuple]) -> dict[str, jax.Array]:
  """RankMe of variants that are decomposed at once, which accelerators need.

  Args:
    variants: name → features [..., N, D] of the same N and D, whether they are
      centred, and weights of their rows, or None.

  Returns:
    Name → [...].
  """
  features, centers, weights = [], [], []
  for feature_ND, center, weight_N in variants.values():
    *_, n, d = feature_ND.shape
    features.append(feature_ND.reshape(-1, n, d))
    count = len(features[-1])
    centers.append(jnp.full(count, center))
    if weight_N is None:
      weight_N = jnp.ones(n, bool)
    shape = feature_ND.shape[:-1]
    weights.append(jnp.broadcast_to(weight_N, shape).reshape(count, n))
  ranks = rankme(
    jnp.concatenate(features),
    center=jnp.concatenate(centers),
    weight_N=jnp.concatenate(weights),
  )
  ends = np.cumsum([len(x) for x in features])[:-1]
  parts = jnp.split(ranks, ends)
  return {
    name: part.reshape(feature.shape[:-2])
    for (name, (feature, *_)), part in zip(variants.items(), parts, strict=True)
  }


def _ends(mask_KxLxN: jax.Array) -> np.ndarray:
  """Places up to the last of each task that holds an item, [K]."""
  places = np.arange(1, mask_KxLxN.shape[2] + 1)
  return np.max(np.asarray(mask_KxLxN) * places, (1, 2))


def make(
  objective: Objective, *, examples: int = 200, levels: bool = True
) -> Measure:
  """RankMe of `examples` examples per task, at every layer.

  Each level has `examples` of its own for `rankme_level`; the pooled variants
  take the first of each level, `examples` in all. The paper does not name
  its convention, so the likely ones stand side by side.

  Args:
    objective: model and exams.
    examples: examples per task, at least 2.
    levels: measure `rankme_level`, too. Of three levels it takes three times
      the examples through the model; the other variants are the same without.
  """
  options.at_least('rank', 2, examples=examples)
  exams = objective.exams

  def inputs(seed):
    del seed
    return exams.fresh(prng.key(prng.Stream.FIXED, prng.Fixed.RANK), examples)

  available = jax.eval_shape(inputs, jnp.int32(0)).query.shape[2]
  # Sets of uneven numbers of items say which places hold one.
  masks = exams.mask(examples)
  among = padding.groups(
    exams.length_KxL.max(1),
    np.full(len(exams.task_names), available)
    if masks is None
    else _ends(masks),
  )

  def one_task(params, batch, mask):
    """Fields of one task, from its batch [L, N, ...] and mask [L, N]."""
    num_levels, number = batch.query.shape
    counts = pooled_counts(min(examples, number), num_levels)
    if not levels:
      number = max(counts)
      batch, mask = jax.tree.map(lambda x: x[:, :number], (batch, mask))

    def pool(x):
      """[L, N, ...] → the first examples of each level, [N, ...]."""
      return jnp.concatenate([x[i, :n] for i, n in enumerate(counts)])

    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)
    hidden, final = objective.features(params, flat)
    rows = jnp.arange(num_levels * number)
    # Position t predicts token t + 1.
    predicts = flat.scored[:, 1:]
    inside = jnp.arange(hidden.shape[2]) <= jnp.max(
      jnp.where(predicts, jnp.arange(hidden.shape[2]), 0), 1, keepdims=True
    )
    mean = jnp.einsum('zntd,nt->znd', hidden, inside.astype(hidden.dtype))
    mean = mean / jnp.sum(inside, 1)[:, None]

    def by_level(x):
      return x.reshape(num_levels, number, *x.shape[1:])

    at_query = hidden[:, rows, flat.query]
    pooled = jax.vmap(lambda x: pool(by_level(x)))
    every = pooled(hidden)  # [Λ, N, T - 1, D]
    weight = jnp.broadcast_to(
      pool(by_level(predicts)).reshape(-1),
      (len(every), predicts[0].size * sum(counts)),
    )
    per_level = jax.vmap(by_level)(at_query)
    kept = None
    if mask is not None:
      kept = pool(mask)
      weight = weight & jnp.repeat(kept, predicts.shape[1])
    at_query = pooled(at_query)
    variants = {
      'rankme': (at_query, False, kept),
      'rankme_centered': (at_query, True, kept),
      'rankme_mean': (pooled(mean), False, kept),
      'rankme_norm': (
        pool(by_level(final[rows, flat.query])), False, kept
      ),
    }  # fmt: skip
    if levels:
      variants['rankme_level'] = per_level, False, mask
    ranks = _together(variants)
    if levels:
      ranks['rankme_level'] = ranks['rankme_level'].T
    ranks['rankme_answer'] = rankme(
      every.reshape(len(every), -1, every.shape[-1]), weight_N=weight
    )
    return ranks

  def measure(params, batch, key):
    del key

    def some(tasks, group):
      tasks = jax.tree.map(lambda x: x[:, :, : group.items], tasks)
      # Task by task, so that only one task's hidden states are in memory.
      return jax.lax.map(lambda pair: one_task(params, *pair), tasks)

    return padding.over(some, (batch, masks), among)

  return Measure(
    fields={k: v for k, v in FIELDS.items() if levels or k != 'rankme_level'},
    coords={
      'task': list(exams.task_names),
      'level': list(exams.level_names),
      'layer': np.arange(1, objective.model.num_layers + 1),
    },
    inputs=inputs,
    inputs_per_seed=False,
    fn=measure,
  )
