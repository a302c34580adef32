"""Modular addition on its finite table of p² pairs, for grokking.

Source: Power et al., arXiv:2201.02177; Nanda et al., arXiv:2301.05217.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from emergence_jax.base import prng
from emergence_jax.base.types import Batch, UserError
from emergence_jax.tasks import task as task_lib


@dataclasses.dataclass(frozen=True)
class ModularAddition(task_lib.Task):
  """Tokens `a b = c` with c = a + b mod p; the numbers are tokens 0..p-1.

  Attributes:
    p: the modulus, 3 to 1,000; it need not be prime.
    train_fraction: share of the table that is trained on, in (0, 1).
    symmetric: keep (a, b) and (b, a) on the same side of the split. Without
      it, a model that knows that addition commutes knows the answer to
      `train_fraction` of the held-out pairs.
    batch_size: examples a step, drawn with replacement; 0 for the full batch.
  """

  p: int = 113
  train_fraction: float = 0.3
  symmetric: bool = True
  batch_size: int = 0

  length = 4
  num_scored = 1
  task_names = ('MODADD',)
  level_names = ('1',)
  differ_by_seed = True
  includes_training = True

  def __post_init__(self):
    if not 3 <= self.p <= 1000:
      raise UserError(f'config.task.p={self.p} must be from 3 to 1000.')
    if not 0 < self.train_fraction < 1:
      raise UserError(
        f'config.task.train_fraction={self.train_fraction} must lie between '
        '0 and 1, both excluded; the published setting is 0.3.'
      )
    if not 0 < self.num_train < self.p**2:
      raise UserError(
        f'config.task.train_fraction={self.train_fraction} leaves '
        f'{self.num_train} of {self.p**2} pairs to train on; both sides of '
        'the split need one.'
      )
    if not 0 <= self.batch_size <= self.num_train:
      raise UserError(
        f'config.task.batch_size={self.batch_size} must be from 0 (full batch) '
        f'to the {self.num_train} training pairs.'
      )

  @property
  def vocab_size(self) -> int:
    """The p numbers and `=`."""
    return self.p + 1

  @property
  def chance_KxL(self) -> np.ndarray:
    """Every sum is equally frequent."""
    return np.array([[1 / self.p]])

  @property
  def _num_diagonal(self) -> int:
    return round(self.train_fraction * self.p)

  @property
  def _num_unordered(self) -> int:
    return round(self.train_fraction * self.p * (self.p - 1) / 2)

  @property
  def num_train(self) -> int:
    """Ordered pairs trained on, the same for every seed."""
    if self.symmetric:
      return self._num_diagonal + 2 * self._num_unordered
    return int(self.train_fraction * self.p**2)

  @property
  def epoch_steps(self) -> int:
    """Steps of one pass over the training pairs."""
    return max(1, self.num_train // (self.batch_size or self.num_train))

  def examples(self, index: jax.Array) -> Batch:
    """Table entries number a·p + b, of any shape [...]."""
    a, b = index // self.p, index % self.p
    equals = jnp.full_like(index, self.p)
    tokens = jnp.stack([a, b, equals, (a + b) % self.p], -1)
    zero = jnp.zeros_like(index)
    return Batch(
      tokens=tokens.astype(jnp.int32),
      scored=jnp.broadcast_to(jnp.arange(4) == 3, tokens.shape),
      query=zero + 2,
      task=zero,
      level=zero,
    )

  @functools.cached_property
  def _triangle(self) -> tuple[np.ndarray, np.ndarray]:
    """Table numbers of the pairs a < b, and of their mirror images."""
    a, b = np.triu_indices(self.p, 1)
    return a * self.p + b, b * self.p + a

  def prepare(self, seed):
    """Table numbers of the seed's training pairs, int32 [num_train]."""
    key_off, key_diagonal = jax.random.split(prng.key(prng.Stream.SPLIT, seed))
    if not self.symmetric:
      order = jax.random.permutation(key_off, self.p**2)
      return order[: self.num_train]
    upper, lower = map(jnp.asarray, self._triangle)
    pick = jax.random.permutation(key_off, len(upper))[: self._num_unordered]
    diagonal = jax.random.permutation(key_diagonal, self.p)
    diagonal = diagonal[: self._num_diagonal] * (self.p + 1)
    return jnp.concatenate([upper[pick], lower[pick], diagonal])

  def train_batch(self, prepared, key):
    """All training pairs, or `batch_size` of them drawn with replacement."""
    if not self.batch_size:
      return self.examples(prepared)
    return self._draw(prepared, key, self.batch_size)

  def _draw(self, prepared, key, count):
    pick = jax.random.randint(key, (count,), 0, self.num_train)
    return self.examples(prepared[pick])

  def draw(self, seed, key, count):
    """`count` training pairs, drawn with replacement."""
    return self._draw(self.prepare(seed), key, count)

  def training_examples(self, seed, key, count):
    """`count` distinct training pairs, or all, in random order."""
    pairs = jax.random.permutation(key, self.prepare(seed))
    return self.examples(pairs[:count])

  def by_task(self, seed, key, count):
    """The same, [1, N, ...]."""
    batch = self.training_examples(seed, key, count)
    return jax.tree.map(lambda x: x[None], batch)

  def labelled(self, key, count):
    """`count` distinct pairs, trained on or not, [1, N, ...]."""
    return jax.tree.map(lambda x: x[:, 0], self.fresh(key, count))

  def targets(self, batch):
    """The sum and the two summands, [..., 3]."""
    return batch.tokens[..., jnp.array([3, 0, 1])]

  def fresh(self, key, count):
    """`count` distinct pairs of the table (all, if it has no more)."""
    index = jax.random.permutation(key, self.p**2)[: min(count, self.p**2)]
    return self.examples(index[None, None])

  def exam(self, seed, count):
    """The whole table, whatever `count`, and the seed's training pairs."""
    del count
    batch = self.examples(jnp.arange(self.p**2)[None, None])
    trained = jnp.zeros(self.p**2, bool).at[self.prepare(seed)].set(True)
    return batch, trained[None, None]
