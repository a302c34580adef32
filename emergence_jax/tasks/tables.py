"""Tables of the package's own: sparse parity, and scanned digits."""

import dataclasses
import functools

import numpy as np

from emergence_jax.base.types import UserError
from emergence_jax.tasks.supervised import Table


def _check_batch(batch_size: int) -> None:
  if batch_size < 0:
    raise UserError(f'config.task.batch_size={batch_size} must not be below 0.')


@dataclasses.dataclass(frozen=True)
class SparseParity(Table):
  """The parity of k of n bits; all others are noise.

  Source: Barak et al., arXiv:2207.08799: the bits are ±1, and the first k
  count.

  Attributes:
    n: bits.
    k: those that count.
    num_train: examples that are trained on.
    num_test: examples that are held out.
    batch_size: examples a step; 0 for all.
    data_seed: by which the bits are drawn, the same for every seed.
  """

  n: int = 30
  k: int = 3
  num_train: int = 1000
  num_test: int = 1000
  batch_size: int = 0
  data_seed: int = 0

  task_names = ('PARITY',)

  def __post_init__(self):
    if not 1 <= self.k <= self.n <= 1000:
      raise UserError(
        f'config.task.k={self.k} must be from 1 to config.task.n={self.n}, and '
        'that at most 1000.'
      )
    for name in ('num_train', 'num_test'):
      if not 1 <= getattr(self, name) <= 1_000_000:
        raise UserError(
          f'config.task.{name}={getattr(self, name)} must be from 1 to '
          '1,000,000.'
        )
    _check_batch(self.batch_size)

  @functools.cached_property
  def inputs(self) -> np.ndarray:
    """float32 [N, n], ±1."""
    rng = np.random.default_rng(self.data_seed)
    count = self.num_train + self.num_test
    return rng.choice(np.array([-1, 1], np.float32), (count, self.n))

  @functools.cached_property
  def answers(self) -> np.ndarray:
    """int [N], 1 where an odd number of the first k bits are -1."""
    return (np.prod(self.inputs[:, : self.k], 1) < 0).astype(np.int32)


@dataclasses.dataclass(frozen=True)
class Digits(Table):
  """Scanned digits, 8 × 8 (scikit-learn's `load_digits`).

  Attributes:
    num_train: examples that are trained on, of 1,797.
    batch_size: examples a step; 0 for all.
    data_seed: by which their order is drawn, the same for every seed.
  """

  num_train: int = 200
  batch_size: int = 0
  data_seed: int = 0

  task_names = ('DIGITS',)

  def __post_init__(self):
    if not 1 <= self.num_train < 1797:
      raise UserError(
        f'config.task.num_train={self.num_train} must be from 1 to 1,796.'
      )
    _check_batch(self.batch_size)

  @functools.cached_property
  def _data(self) -> tuple[np.ndarray, np.ndarray]:
    try:
      from sklearn import datasets
    except ImportError as error:
      raise UserError(
        "config.task.name='digits' needs scikit-learn: pip install "
        "'emergence_jax[digits]'."
      ) from error
    data = datasets.load_digits()
    order = np.random.default_rng(self.data_seed).permutation(len(data.target))
    images = (data.images[order] / 16).astype(np.float32)
    return images, data.target[order].astype(np.int32)

  @property
  def inputs(self) -> np.ndarray:
    """float32 [N, 8, 8], from 0 to 1."""
    return self._data[0]

  @property
  def answers(self) -> np.ndarray:
    """int [N], the digit."""
    return self._data[1]
