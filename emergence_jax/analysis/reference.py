"""A published study as data: groups of tasks, protocol, numbers, claims."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

# Quantities of which a study may publish a number for one size and one task.
INITIAL_RANK = 'RankMe at step 0'
FLOOR = 'floor of RankMe'
EMERGENCE = 'emergence'


class Claim(NamedTuple):
  """One claim.

  Attributes:
    key: under which `findings` has our value.
    text: what is claimed.
    v1: the number of the first version.
    later: of versions 3 and 4; empty where they give none.
    low: lower end of the range that reproduces the claim.
    high: upper end.
    how: how ours is computed.
    needs_test: whether the tests of what moves first must hold as well.
  """

  key: str
  text: str
  v1: str
  later: str
  low: float
  high: float
  how: str
  needs_test: bool = False


class Number(NamedTuple):
  """One published number.

  Attributes:
    quantity: `INITIAL_RANK`, `FLOOR` or `EMERGENCE`.
    task: name of the task.
    level: name of the level; empty where levels are pooled.
    value: the number, in dimensions or steps.
    below: by how much the unrounded value may be smaller.
    above: by how much it may be larger.
  """

  quantity: str
  task: str
  level: str
  value: float
  below: float
  above: float


class Curve(NamedTuple):
  """A published accuracy over training, of seed 0.

  Attributes:
    step_C: steps.
    value_C: accuracies.
    stderr_C: their standard errors.
    chance: accuracy of the best constant answer.
  """

  step_C: np.ndarray
  value_C: np.ndarray
  stderr_C: np.ndarray
  chance: float


def _no_numbers(config: Mapping[str, Any]) -> Sequence[Number]:
  del config
  return ()


def _no_curves(config: Mapping[str, Any]) -> Mapping[str, Curve]:
  del config
  return {}


def _no_deviations(config: Mapping[str, Any]) -> list[str]:
  del config
  return []


@dataclasses.dataclass(frozen=True, eq=False)
class Reference:
  """A study that a run is set beside.

  Attributes:
    title: for people.
    claims: what it says, and when that is reproduced.
    findings: `module:function` that has our value of each claim, see
      `analysis.findings`.
    groups: group → names of its tasks; "all" is always there.
    measures: labels of the measures that its claims are about.
    interpolation: of its lags to even steps, `linear` or `matern`.
    deviations: a run's configuration → where it leaves the protocol, a text
      each; a run that does decides nothing.
    numbers: a run's configuration → what the study publishes for that size.
    curves: a run's configuration → published accuracies of that model, by
      benchmark.
  """

  title: str
  claims: Sequence[Claim]
  findings: str
  groups: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
  measures: Sequence[str] = ()
  interpolation: str = 'linear'
  deviations: Callable[[Mapping[str, Any]], list[str]] = _no_deviations
  numbers: Callable[[Mapping[str, Any]], Sequence[Number]] = _no_numbers
  curves: Callable[[Mapping[str, Any]], Mapping[str, Curve]] = _no_curves

  def group(self, task: str) -> str:
    """The group of a task, or `other`."""
    inside = (name for name, tasks in self.groups.items() if task in tasks)
    return next(inside, 'other')
