"""What a study says of a kind of run, as data: groups, protocol, claims."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple


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
  """

  title: str
  claims: Sequence[Claim]
  findings: str
  groups: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
  measures: Sequence[str] = ()
  interpolation: str = 'linear'
  deviations: Callable[[Mapping[str, Any]], list[str]] = _no_deviations

  def group(self, task: str) -> str:
    """The group of a task, or `other`."""
    inside = (name for name, tasks in self.groups.items() if task in tasks)
    return next(inside, 'other')
