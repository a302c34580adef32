"""Supervised learning on a finite table: any inputs, classes or numbers.

An example is a row of the table. Its text has two tokens, the number of the
row and the number of its class, so that all that is asked of sequences is
asked of it as well; the model looks the inputs up (`models.network`).
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from emergence_jax.base.types import Batch, PyTree, UserError
from emergence_jax.tasks import task as task_lib

# (outputs [B, V], answers [B, ...]) → the loss of each [B].
Loss = Callable[[jax.Array, jax.Array], jax.Array]
CLASSES, NUMBERS = 'cross_entropy', 'squared'


class Table(task_lib.Task):
  """A table of inputs and answers, whose first rows are trained on.

  Attributes:
    inputs: pytree of arrays [N, ...], anything that the model takes.
    answers: int [N], classes from 0; or float [N, ...], numbers.
    num_train: rows that are trained on; the others are held out.
    batch_size: rows a step, drawn with replacement; 0 for all.
    loss: `cross_entropy`, `squared` (half the mean squared error), or a
      function (outputs [B, V], answers [B, ...]) → [B].
    tolerance: of numbers, the largest error of an answer that is right.
  """

  length = 2
  num_scored = 1
  level_names = ('1',)
  includes_training = True
  target_names = ('answer',)
  loss: str | Loss = CLASSES
  tolerance: float = 0.1
  num_train: int
  inputs: PyTree
  answers: np.ndarray

  @property
  def has_classes(self) -> bool:
    """Whether answers are classes."""
    return np.issubdtype(self.answers.dtype, np.integer)

  @property
  def vocab_size(self) -> int:
    """Classes, or numbers of an answer."""
    if self.has_classes:
      return int(self.answers.max()) + 1
    return int(np.prod(self.answers.shape[1:]))

  @property
  def chance_KxL(self) -> np.ndarray:
    """Of the best constant answer on what is held out."""
    held_out = self.answers[self.num_train :]
    if self.has_classes:
      best = np.bincount(held_out).max() / held_out.size
    else:
      near = np.abs(held_out - np.median(held_out, 0)) <= self.tolerance
      best = near.reshape(len(near), -1).all(1).mean()
    return np.array([[best]])

  @property
  def epoch_steps(self) -> int:
    """Steps of one pass over what is trained on."""
    return max(1, self.num_train // (self.batch_size or self.num_train))

  def look_up(self, row: jax.Array) -> PyTree:
    """Inputs of rows [...], each leaf [..., ...]."""
    return jax.tree.map(lambda x: jnp.asarray(x)[row], self.inputs)

  def losses(
    self, outputs: jax.Array, batch: Batch
  ) -> tuple[jax.Array, jax.Array]:
    """Loss of each example of a batch [B], and whether it is right.

    Args:
      outputs: of the model, [B, 1, V].
      batch: the examples.

    Returns:
      float [B, 1] and bool [B, 1].
    """
    out = outputs[:, 0].astype(jnp.float32)
    answer = jnp.asarray(self.answers)[batch.tokens[:, 0]]
    if self.has_classes:
      right = jnp.argmax(out, -1) == answer
    else:
      error = jnp.abs(out - answer.reshape(out.shape))
      right = jnp.all(error <= self.tolerance, -1)
    if callable(self.loss):
      value = self.loss(out, answer)
    elif self.loss == CLASSES:
      log_prob = jax.nn.log_softmax(out)
      value = -jnp.take_along_axis(log_prob, answer[:, None], 1)[:, 0]
    else:
      value = 0.5 * jnp.mean((out - answer.reshape(out.shape)) ** 2, -1)
    return value[:, None], right[:, None]

  def examples(self, row: jax.Array) -> Batch:
    """Rows of the table by their numbers [...]."""
    zero = jnp.zeros_like(row, jnp.int32)
    classes = zero
    if self.has_classes:
      classes = jnp.asarray(self.answers, jnp.int32)[row]
    tokens = jnp.stack([row.astype(jnp.int32), classes], -1)
    scored = jnp.broadcast_to(jnp.array([False, True]), tokens.shape)
    return Batch(tokens, scored, query=zero, task=zero, level=zero)

  def train_batch(self, prepared, key):
    """All rows that are trained on, or `batch_size` of them."""
    del prepared
    if not self.batch_size:
      return self.examples(jnp.arange(self.num_train))
    return self.draw(jnp.int32(0), key, self.batch_size)

  def draw(self, seed, key, count):
    """`count` rows that are trained on, drawn with replacement."""
    del seed
    return self.examples(jax.random.randint(key, (count,), 0, self.num_train))

  def training_examples(self, seed, key, count):
    """`count` distinct rows that are trained on, or all of them."""
    del seed
    return self.examples(jax.random.permutation(key, self.num_train)[:count])

  def by_task(self, seed, key, count):
    """The same, [1, N, ...]."""
    batch = self.training_examples(seed, key, count)
    return jax.tree.map(lambda x: x[None], batch)

  def fresh(self, key, count):
    """`count` distinct rows that are held out, or all of them, [1, 1, N]."""
    others = jax.random.permutation(key, len(self.answers) - self.num_train)
    return self.examples((self.num_train + others[:count])[None, None])

  def labelled(self, key, count):
    """The same, [1, N, ...]."""
    return jax.tree.map(lambda x: x[:, 0], self.fresh(key, count))

  def targets(self, batch):
    """The class, [..., 1]."""
    return batch.tokens[..., 1:]

  def exam(self, seed, count):
    """`count` rows that are held out and as many that are trained on."""
    del seed
    held_out = len(self.answers) - self.num_train
    rows = np.concatenate(
      [
        np.arange(min(count, self.num_train)),
        self.num_train + np.arange(min(count, held_out)),
      ]
    )
    trained = jnp.asarray(rows < self.num_train)
    return self.examples(jnp.asarray(rows)[None, None]), trained[None, None]


@dataclasses.dataclass(frozen=True, eq=False)
class Supervised(Table):
  """A table of one's own, see `Table`.

  >>> table = Supervised(np.eye(4), np.array([0, 1, 0, 1]), num_train=2)
  >>> table.vocab_size, table.chance_KxL.item()
  (2, 0.5)
  """

  inputs: PyTree
  answers: np.ndarray
  num_train: int
  batch_size: int = 0
  loss: str | Loss = ''
  tolerance: float = 0.1
  name: str = 'task'

  def __post_init__(self):
    answers = np.asarray(self.answers)
    if not np.issubdtype(answers.dtype, np.integer):
      answers = answers.astype(np.float32)
    inputs = jax.tree.map(_plain, self.inputs)
    object.__setattr__(self, 'answers', answers)
    object.__setattr__(self, 'inputs', inputs)
    default = CLASSES if self.has_classes else NUMBERS
    object.__setattr__(self, 'loss', self.loss or default)
    for leaf in jax.tree.leaves(inputs):
      if leaf.shape[:1] != answers.shape[:1]:
        raise UserError(
          f'inputs have the shape {leaf.shape} and answers {answers.shape}; '
          'both must have a row for each example.'
        )
    if not 0 < self.num_train < len(answers):
      raise UserError(
        f'num_train={self.num_train} must leave some of {len(answers)} rows to '
        'train on and some to hold out.'
      )
    if not 0 <= self.batch_size:
      raise UserError(f'batch_size={self.batch_size} must not be below 0.')
    if self.has_classes and answers.min() < 0:
      raise UserError('answers are classes, whose numbers begin with 0.')
    if not callable(self.loss) and self.loss not in (CLASSES, NUMBERS):
      raise UserError(
        f'loss={self.loss!r} is unknown; give {CLASSES!r}, {NUMBERS!r} or a '
        'function (outputs, answers) → losses.'
      )
    if self.loss == CLASSES and not self.has_classes:
      raise UserError(
        f'loss={CLASSES!r} takes whole numbers as answers, and these are '
        f'{answers.dtype}.'
      )

  @property
  def task_names(self) -> tuple[str, ...]:
    """The one task."""
    return (self.name,)


def _plain(leaf) -> np.ndarray:
  leaf = np.asarray(leaf)
  return leaf.astype(np.float32) if leaf.dtype == np.float64 else leaf
