"""Interfaces of exams and tasks."""

import abc
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from emergence_jax.base.types import Batch, PyTree


class Exams(abc.ABC):
  """What a model is examined on; frozen, and all its methods are pure.

  Most measures need only these methods. Some need more
  (`measures.options.needs`): `exam`, for what is right and wrong of a single
  answer; `labelled` and `targets`, for linear probes; `wrong`, for a choice.

  Attributes:
    vocab_size: number of tokens.
    length: tokens in every sequence, padding included.
    num_scored: if not None, only so many last positions of the model's output
      are ever scored, and the last block may skip the others.
    task_names: K names.
    level_names: L names.
    chance_KxL: accuracy of the best constant answer.
    differ_by_seed: whether what a seed is trained on, and so its training
      examples, are its own, as a split of a finite table is.
  """

  vocab_size: int
  length: int
  num_scored: int | None = None
  task_names: Sequence[str]
  level_names: Sequence[str]
  chance_KxL: np.ndarray
  differ_by_seed: bool = False

  @property
  def length_KxL(self) -> np.ndarray:
    """Tokens of the longest text of each task × level.

    What is behind them is padding, which measures may leave out. With
    `num_scored` all are of the whole length.
    """
    shape = len(self.task_names), len(self.level_names)
    return np.full(shape, self.length)

  @abc.abstractmethod
  def draw(self, seed: jax.Array, key: jax.Array, count: int) -> Batch:
    """`count` independent draws from what is trained on, [count, ...]."""

  @abc.abstractmethod
  def training_examples(
    self, seed: jax.Array, key: jax.Array, count: int
  ) -> Batch:
    """A fixed sample of what a seed trains on, [N, ...].

    N is `count`, or as many as there are where that is less.
    """

  @abc.abstractmethod
  def by_task(self, seed: jax.Array, key: jax.Array, count: int) -> Batch:
    """The same of each task, its levels pooled and mixed, [K, N, ...]."""

  @abc.abstractmethod
  def fresh(self, key: jax.Array, count: int) -> Batch:
    """`count` examples of every task × level, [K, L, count, ...]."""

  def mask(self, count: int) -> jax.Array | None:
    """Which places of `fresh` hold examples, bool [K, L, N]; None if all."""
    del count
    return None


class Task(Exams):
  """Exams that a model can also be trained on.

  Attributes:
    batch_size: examples of a training step; 0 for all of a finite table.
    includes_training: whether an exam holds what was trained on, marked, so
      that there is a training accuracy beside the held-out one.
    target_names: R names of what linear probes decode; the answer first.
    epoch_steps: steps of one pass over a finite table; None without one.
  """

  batch_size: int = 0
  includes_training: bool = False
  epoch_steps: int | None = None
  target_names: Sequence[str] = ('answer', 'operand_1', 'operand_2')

  def prepare(self, seed: jax.Array) -> PyTree:
    """What training needs of this seed beyond the key of a step."""
    del seed
    return ()

  @abc.abstractmethod
  def train_batch(self, prepared: PyTree, key: jax.Array) -> Batch:
    """The examples of one training step, [B, ...]."""

  @abc.abstractmethod
  def targets(self, batch: Batch) -> jax.Array:
    """Tokens that linear probes decode at the query, int32 [..., R]."""

  def labelled(self, key: jax.Array, count: int) -> Batch:
    """Examples for linear probes, the same for every seed, [K, N, ...]."""
    return self.by_task(jnp.int32(0), key, count)

  @abc.abstractmethod
  def exam(self, seed: jax.Array, count: int) -> tuple[Batch, jax.Array]:
    """Fixed examples to examine a model on.

    Args:
      seed: number of the seed; only a table's split depends on it.
      count: examples per task × level, where the number is free.

    Returns:
      Batch [K, L, N, ...], and bool [K, L, N]: trained on by this seed.
    """


def pooled_counts(examples: int, levels: int) -> list[int]:
  """How many of `examples` each level gives: as equal as can be."""
  return [(examples + i) // levels for i in reversed(range(levels))]


def ragged_concat(
  pieces: Sequence[tuple[jax.Array, jax.Array]], width: int, pad: int
) -> tuple[jax.Array, jax.Array]:
  """Joins pieces of varying length, row by row.

  Args:
    pieces: pairs of tokens [B, W] (left-aligned) and lengths [B].
    width: columns of the result.
    pad: token that fills the rest.

  Returns:
    tokens [B, width] and lengths [B].
  """
  out = jnp.full((pieces[0][0].shape[0], width), pad, jnp.int32)
  end_B = jnp.zeros(out.shape[0], jnp.int32)
  for tokens_BxW, length_B in pieces:
    index = jnp.arange(width) - end_B[:, None]
    taken = jnp.take_along_axis(
      tokens_BxW, jnp.clip(index, 0, tokens_BxW.shape[1] - 1), axis=1
    )
    out = jnp.where((index >= 0) & (index < length_B[:, None]), taken, out)
    end_B = end_B + length_B
  return out, end_B
