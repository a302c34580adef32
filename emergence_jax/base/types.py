"""Values that the rooms of the package exchange."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:  # reading a run needs no JAX
  import jax

PyTree = Any


class Batch(NamedTuple):
  """Token sequences with their answers marked.

  Leading axes are free (one example, a batch, or task × level × item).

  Attributes:
    tokens: int32 [..., T], prompt and answer, then padding.
    scored: bool [..., T], the tokens that the loss scores.
    query: int32 [...], position of `=`, whose output predicts the first
      scored token.
    task: int32 [...], index into the task names.
    level: int32 [...], index into the level names.
  """

  tokens: jax.Array
  scored: jax.Array
  query: jax.Array
  task: jax.Array
  level: jax.Array


class Population(NamedTuple):
  """The training state of S seeds; every leaf has a leading axis S.

  Attributes:
    step: int32 [S], updates made so far (the same for all seeds).
    seed: int32 [S], the seeds' numbers.
    params: model parameters.
    opt_state: optimiser state.
  """

  step: jax.Array
  seed: jax.Array
  params: PyTree
  opt_state: PyTree

  def now(self) -> int:
    """The step of all seeds, also where other processes hold some of them."""
    # Copied and then indexed: a program would wait for those that run.
    return int(np.asarray(self.step.addressable_data(0))[0])


SCALES = ('linear', 'log', 'symlog')


@dataclasses.dataclass(frozen=True)
class Field:
  """Description of one variable of the timeseries.

  A variable with a `label` has a panel in figures and page, and what moves
  first is asked of it: its attributes go into the file, and whoever reads that
  needs no list of measures.

  Attributes:
    dims: dimension names; a measure's fields name theirs without `seed` and
      `step`, which the timeseries puts in front.
    dtype: NumPy dtype name.
    description: what it is, in words.
    units: for example `nat`, `1`, `dimension`.
    source: paper and section or equation.
    label: short name of its scalar series; none if empty.
    pick: dimension → index at which the series is taken; all dimensions but
      `task` need one.
    scale: one of `SCALES`; on another than the first it is the logarithm whose
      changes count.
    error: variable of its standard error.
    status: variable with the status of every estimate.
    tested: whether its largest change is tested against behaviour's.
    place: of its panel among the others; set by where the measure is listed.
  """

  dims: tuple[str, ...]
  dtype: str
  description: str
  units: str
  source: str = ''
  label: str = ''
  pick: Mapping[str, int] = dataclasses.field(default_factory=dict)
  scale: str = 'linear'
  error: str = ''
  status: str = ''
  tested: bool = True
  place: int = 0

  def __post_init__(self):
    left = set(self.dims) - {'seed', 'step', 'task', *self.pick}
    if self.label and left:
      raise ValueError(
        f'the field {self.label!r} has dimensions {sorted(left)} without an '
        'index in `pick`, by which a scalar series is taken.'
      )
    if self.scale not in SCALES:
      raise ValueError(f'scale={self.scale!r} must be one of {SCALES}.')


@dataclasses.dataclass(frozen=True)
class Measure:
  """A pure function of one seed's parameters, and what it declares.

  Attributes:
    fields: name → `Field`, exactly the keys that `fn` returns.
    coords: coordinate values of dimensions that the fields name.
    inputs: seed → fixed inputs (pytree), pure; its result is the `batch`.
    inputs_per_seed: whether `inputs` depends on the seed.
    fn: (params, batch, key) → dict of arrays, for one seed.
    pair: whether `fn` takes the parameters at the checkpoint before as well,
      as a fourth argument; it is not due at the first checkpoint.
  """

  fields: Mapping[str, Field]
  coords: Mapping[str, Any]
  inputs: Callable[[jax.Array], PyTree]
  inputs_per_seed: bool
  fn: Callable[..., dict[str, jax.Array]]
  pair: bool = False


@dataclasses.dataclass(frozen=True)
class MeasureSpec:
  """When and how the loop runs a measure.

  Attributes:
    every: run at every `every`-th checkpoint.
    from_step: and not before this step; before training, for example, there is
      no minimum for a local learning coefficient.
    seeds_at_once: seeds measured at once on a device; None takes
      `seeds.at_once`.
    options: keyword arguments of the measure's `make`.
  """

  every: int = 1
  seeds_at_once: int | None = None
  options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  from_step: int = 0

  def is_due(self, row: int, step: int) -> bool:
    """Whether it runs at the checkpoint of a row (counted from 0) and step."""
    return row % self.every == 0 and step >= self.from_step

  def due(self, steps: Iterable[int]) -> list[int]:
    """The steps of a schedule at which it runs."""
    return [int(s) for row, s in enumerate(steps) if self.is_due(row, s)]


class Status(enum.IntEnum):
  """Status of a row or an estimate; only OK is to be used.

  One list of words and numbers for both, so that none means two things.
  """

  # A row of the timeseries that a run has not come to, or an estimate that was
  # not due.
  NOT_REACHED = -1
  OK = 0
  # The iteration or the chains have not come to rest.
  NOT_CONVERGED = 1
  NOT_MIXED = 2
  # A known error, of the step size or of saturated float32, is not small.
  BIASED = 3
  UNTRUSTED = 4
  # Below zero where it cannot be.
  NEGATIVE = 5
  # Nothing to measure: one class, all gradients equal.
  DEGENERATE = 6
  NON_FINITE = 7
  # The gradient at the point is not small enough for what is estimated there.
  NOT_A_MINIMUM = 8
  # A row of whose files one is damaged; what that held is blank.
  DAMAGED = 9
  # A released checkpoint whose weights, or a part of them, another step has.
  REPEATED = 10
  # One that is not there, or that cannot be read.
  MISSING = 11

  @property
  def words(self) -> str:
    """The name for people, for example `not mixed`."""
    return self.name.lower().replace('non_', 'non-').replace('_', ' ')


# What a row can be that was reached and is not ok.
BAD_ROWS = (
  Status.NON_FINITE, Status.DAMAGED, Status.REPEATED, Status.MISSING
)  # fmt: skip


class UserError(Exception):
  """An error that the user can fix; its text is shown without a traceback."""
