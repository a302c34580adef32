"""Groups of keys of a run's configuration, and the checks of their values."""

import dataclasses

import numpy as np

from emergence_jax.base import checks, names
from emergence_jax.base.types import UserError
from emergence_jax.config.precision import PRECISIONS


@dataclasses.dataclass(frozen=True)
class SeedsConfig:
  """The seeds, and how they share the devices.

  Attributes:
    count: number of seeds.
    first: number of the first one; the others follow it.
    devices: devices to spread them over; None takes what fits.
    at_once: seeds, of all arms, at once on a device; None is one on a CPU, and
      all on accelerators.
    devices_per_seed: devices that share each seed, where one has too little
      memory for it; None is one.
  """

  count: int = 8
  first: int = 0
  devices: int | None = None
  at_once: int | None = None
  devices_per_seed: int | None = None

  def __post_init__(self):
    last = checks.LARGEST_INT
    checks.in_range('config.seeds.count', self.count, 1, last)
    checks.in_range('config.seeds.first', self.first, 0, last)
    for name in ('devices', 'at_once', 'devices_per_seed'):
      value = getattr(self, name)
      if value is not None:
        checks.in_range(f'config.seeds.{name}', value, 1, last)
    if self.first + self.count > last:
      raise UserError(
        f'config.seeds.first={self.first} and count={self.count} run past the '
        f'largest number of a seed, {last:,}.'
      )


@dataclasses.dataclass(frozen=True)
class TrainConfig:
  """Length and number format of training.

  Attributes:
    steps: number of updates.
    precision: `float32`; or for speed in training `tensorfloat32`: of the
      products alone, on a GPU that has it (ten bits of a mantissa); or
      `bfloat16`: of the products and the residual stream, with float32
      parameters, optimiser, softmax, norms and loss. Measures are in float32
      either way.
  """

  steps: int = 100_000
  precision: str = 'float32'

  def __post_init__(self):
    names.choose('config.train.precision', self.precision, PRECISIONS)
    checks.in_range('config.train.steps', self.steps, 1, checks.MOST_STEPS)


@dataclasses.dataclass(frozen=True)
class CheckpointsConfig:
  """When to measure and save, and what to keep.

  Attributes:
    schedule: parts `STRIDE:UNTIL`, with commas between them; the last may be a
      stride alone, to the end of the run. Steps are whole numbers, shares of
      the run (`10%`) or epochs (`3epochs`). Step 0 and the last are always
      there.
    save_every: save the population at every n-th of its steps. A kill costs
      what lies behind the newest, which is computed again to the same bits; so
      does a signal if measures compare a checkpoint with the one before.
    keep: newest saved populations to keep; 0 keeps all.
    keep_period: also save and keep those of steps that are multiples of it;
      0: none.
  """

  schedule: str = '20:1000,100:10000,500:50000,2000'
  save_every: int = 1
  keep: int = 3
  keep_period: int = 0

  def __post_init__(self):
    checks.in_range('config.checkpoints.save_every', self.save_every, 1)
    for name in ('keep', 'keep_period'):
      checks.in_range(f'config.checkpoints.{name}', getattr(self, name), 0)

  def saved(self, steps: np.ndarray) -> list[int]:
    """At which of the schedule's steps, increasing, the population is saved.

    At the last one always.
    """
    is_saved = np.arange(len(steps)) % self.save_every == 0
    if self.keep_period:
      is_saved |= steps % self.keep_period == 0
    is_saved[-1:] = True
    return steps[is_saved].tolist()


@dataclasses.dataclass(frozen=True)
class ReferenceConfig:
  """The published study that a run is compared with.

  Attributes:
    name: of `studies.REFERENCES`, or `module.path:Name`; none if empty.
  """

  name: str = ''
