"""The values that travel between the floors of the package."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

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


@dataclasses.dataclass(frozen=True)
class Field:
  """One variable of the timeseries.

  Attributes:
    dims: dimension names; a measure's fields name theirs without `seed` and
      `step`, which the loop puts in front.
    dtype: NumPy dtype name.
    description: what it is, in words.
    units: for example `nat`, `1`, `dimension`.
    source: paper and section or equation.
  """

  dims: tuple[str, ...]
  dtype: str
  description: str
  units: str
  source: str = ''


@dataclasses.dataclass(frozen=True)
class Measure:
  """A pure function of one seed's parameters, and what it declares.

  Attributes:
    fields: name → `Field`, exactly the keys that `fn` returns.
    coords: coordinate values of dimensions that the fields name.
    probe: seed → fixed inputs (pytree), pure; its result is the `batch`.
    probe_per_seed: whether `probe` depends on the seed.
    fn: (params, batch, key) → dict of arrays, for one seed.
    pair: whether `fn` takes the parameters at the checkpoint before as well,
      as a fourth argument; it is not due at the first checkpoint.
  """

  fields: Mapping[str, Field]
  coords: Mapping[str, Any]
  probe: Callable[[jax.Array], PyTree]
  probe_per_seed: bool
  fn: Callable[..., dict[str, jax.Array]]
  pair: bool = False


@dataclasses.dataclass(frozen=True)
class MeasureSpec:
  """When and how the loop runs a measure.

  Attributes:
    every: run at every `every`-th checkpoint.
    from_step: and not before this step; before training, for example, there is
      no minimum for a local learning coefficient.
    chunk: seeds measured at once on a device; 0 takes `seeds.chunk`.
    options: keyword arguments of the measure's `make`.
  """

  every: int = 1
  chunk: int = 0
  options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  from_step: int = 0

  def is_due(self, row: int, step: int) -> bool:
    """Whether it runs at the checkpoint of a row (counted from 0) and step."""
    return row % self.every == 0 and step >= self.from_step

  def due(self, steps: Sequence[int]) -> list[int]:
    """Those of a schedule's steps at which it runs."""
    return [int(s) for row, s in enumerate(steps) if self.is_due(row, s)]


class Status(enum.IntEnum):
  """What a row or an estimate says about itself; only OK is to be taken.

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
  """A problem that the user can mend; its text is all they need to see."""
