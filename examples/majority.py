"""A task of one's own: which bit is more frequent among seven?

python -m experiments.run --config=examples/own_config.py
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

import emergence_jax as ej

BITS, EQUALS = 7, 2


def examples(key, count):
  """`count` sequences: seven bits, `=` and the answer."""
  bits = jax.random.bernoulli(key, shape=(count, BITS)).astype(jnp.int32)
  answer = (bits.sum(1) > BITS // 2).astype(jnp.int32)
  equals = jnp.full((count, 1), EQUALS)
  tokens = jnp.concatenate([bits, equals, answer[:, None]], 1)
  scored = jnp.broadcast_to(jnp.arange(BITS + 2) == BITS + 1, tokens.shape)
  zero = jnp.zeros(count, jnp.int32)
  return ej.Batch(tokens, scored, zero + BITS, zero, zero)


@dataclasses.dataclass(frozen=True)
class Majority(ej.Task):
  """Random bits; nothing is held out, as fresh ones are drawn."""

  batch_size: int = 32

  vocab_size, length, num_scored = 3, BITS + 2, 1
  task_names, level_names = ('MAJORITY',), ('1',)
  target_names = ('answer', 'first_bit')
  chance_KxL = np.array([[0.5]])

  def train_batch(self, prepared, key):
    return examples(key, self.batch_size)

  def draw(self, seed, key, count):
    return examples(key, count)

  def training_examples(self, seed, key, count):
    return examples(key, count)

  def by_task(self, seed, key, count):
    return jax.tree.map(lambda x: x[None], examples(key, count))

  def fresh(self, key, count):
    return jax.tree.map(lambda x: x[None, None], examples(key, count))

  def exam(self, seed, count):
    batch = self.fresh(jax.random.key(1), count)
    return batch, jnp.zeros((1, 1, count), bool)

  def targets(self, batch):
    return jnp.stack([batch.tokens[..., -1], batch.tokens[..., 0]], -1)
