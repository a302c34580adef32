"""What moved a capability: the arms of a run beside its baseline.

Paired by seed, for every event (task × level): the step of emergence, by
`effects`. Of a run with several capabilities the first event is that a network
has half of them. The tables are in `moved_tables`.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from emergence_jax.analysis import effects, emergence, statistics
from emergence_jax.analysis.runs import Run, Runs
from emergence_jax.base.arms import (
  BASELINE,
  LEAST_LEARNED,
  PLACEBO,
  SHAM,
  Arm,
  share_of_fall,
)
from emergence_jax.store import history

# A shift within this share of the baseline's step of emergence counts as none,
# where `config.arms.margin` says nothing.
_MARGIN = 0.1
# Of the capabilities, where it is asked when a network has them.
_SHARES = (0.25, 0.5, 0.75)
# In the place of a task: all of them.
ALL = 'all'


@dataclasses.dataclass(frozen=True, eq=False)
class Experiment:
  """The arms of a run, as arrays.

  Attributes:
    run: label.
    arms: in their order.
    data: timeseries with a dimension `arm`.
    events: (task, level); the first of several is (`ALL`, how many count), the
      step at which half of the capabilities that count have emerged.
    counted: places of the events that emerge in half of the baseline's seeds.
    emergence_EAS: step of emergence of each event; inf for not within the run.
    margin: a shift within it counts as none, in steps; of each event.
    step: at which the geometry is looked at.
    learned_A: share of the baseline's fall in training loss; nan if unknown.
    stopped: names of arms that learned too little.
    config: of the run.
  """

  run: str
  arms: Sequence[Arm]
  data: xr.Dataset
  events: Sequence[tuple[str, str]]
  counted: Sequence[int]
  emergence_EAS: np.ndarray
  margin: Sequence[float]
  step: int
  learned_A: np.ndarray
  stopped: Sequence[str]
  config: Mapping[str, Any]

  @property
  def names(self) -> list[str]:
    """Names of the arms."""
    return [arm.name for arm in self.arms]

  @property
  def foremost(self) -> list[int]:
    """Places of the events that stand for all: one, where there is such a one.

    Else those of which something can be said; one at least.
    """
    return [0] if self.events[0][0] == ALL else list(self.counted) or [0]

  @property
  def shown(self) -> list[int]:
    """Places of the events that are drawn, the foremost first."""
    return list(dict.fromkeys([*self.foremost, *self.counted]))

  def title(self, event: int) -> str:
    """An event in words."""
    task, level = self.events[event]
    if task == ALL:
      return f'half of {level} capabilities'
    return f'{task}, level {level}'

  @property
  def placebos(self) -> dict[str, str]:
    """Arm → its placebo."""
    return {arm.name: arm.placebo for arm in self.arms if arm.placebo}

  def judge(self, steps_AS: np.ndarray, margin: float) -> list[effects.Effect]:
    """What each arm that is no control did to steps of emergence."""
    # Where the loss says that an arm learns, one that emerges late is late.
    known = not np.isnan(self.learned_A).all()
    return effects.effects(
      steps_AS, self.names, baseline=BASELINE, margin=margin,
      placebos=self.placebos, controls=self.controls, stopped=self.stopped,
      least_share=0.0 if known else effects.LEAST_SHARE,
    )  # fmt: skip

  @functools.cached_property
  def judged(self) -> list[list[effects.Effect]]:
    """The same of each event."""
    return list(map(self.judge, self.emergence_EAS, self.margin))

  @functools.cached_property
  def of_controls(self) -> list[dict[str, effects.Shift]]:
    """Sham or placebo → its shift from the baseline, of each event."""
    return [
      {
        name: effects.shift(steps_AS[self.names.index(name)], steps_AS[0])
        for name in self.controls
      }
      for steps_AS in self.emergence_EAS
    ]

  def value_of(self, key: str) -> float:
    """A number of the configuration, in arms that leave it alone."""
    group, _, name = key.partition('.')
    return float((self.config.get(group) or {}).get(name, np.nan))

  @property
  def controls(self) -> list[str]:
    """Names of shams and placebos."""
    return [a.name for a in self.arms if a.control in (SHAM, PLACEBO)]


def _steps(
  data: xr.Dataset, rule: str = emergence.RULE_OF_EVENTS
) -> np.ndarray:
  """Steps of emergence [E, A, S]; inf where it did not come."""
  by_arm = [
    emergence.by_rule(data.sel(arm=arm), rule).values for arm in data.arm.values
  ]
  steps_ASE = np.stack([x.reshape(len(x), -1) for x in by_arm])
  steps_EAS = np.moveaxis(steps_ASE, 2, 0)
  return np.where(np.isnan(steps_EAS), np.inf, steps_EAS)


def _counted(steps_EAS: np.ndarray) -> np.ndarray:
  """Places of the events that come in half of the baseline's seeds."""
  return np.flatnonzero(np.isfinite(steps_EAS[:, 0]).mean(1) >= 0.5)


def steps_by_rule(
  data: xr.Dataset, rule: str
) -> tuple[int, dict[float, np.ndarray]]:
  """When networks have their capabilities, by another rule of emergence.

  Args:
    data: timeseries with a dimension `arm`, the baseline first.
    rule: of `emergence.RULES`.

  Returns:
    The number of capabilities that count; and share of them → the step at which
    a network has as many [A, S], inf for not within the run.
  """
  steps_EAS = _steps(data, rule)
  sorted_EAS = np.sort(steps_EAS[_counted(steps_EAS)], axis=0)
  count = len(sorted_EAS)
  shares = _SHARES if count > 1 else (1.0,)[:count]
  return count, {x: sorted_EAS[math.ceil(x * count) - 1] for x in shares}


def _with_half(events, steps_EAS):
  """Events, which of them count, and steps; first of several: half of them."""
  counted = _counted(steps_EAS)
  if len(events) == 1 or not counted.size:
    return events, list(counted), steps_EAS
  half_AS = statistics.lower_median(np.moveaxis(steps_EAS[counted], 0, -1))
  first = (ALL, str(counted.size))
  steps_EAS = np.concatenate([half_AS[None], steps_EAS])
  return [first, *events], list(counted + 1), steps_EAS


def _windows(config: Mapping[str, Any], last: int) -> dict[str, int]:
  """Label of an intervention → the step at which it has ended."""
  groups = config.get('interventions') or {}
  return {
    label: int(own.get('stop') or last)
    for label, own in groups.items()
    if isinstance(own, Mapping)
  }


def _look(data: xr.Dataset, ends, steps_EAS) -> int:
  """The checkpoint at which the geometry is compared.

  The first at which all interventions that end before the run have ended; if
  there is none, the last before any seed of the baseline emerges.
  """
  steps = data.step.values
  inside = [end for end in ends.values() if end < steps[-1]]
  if inside:
    return int(steps[steps >= max(inside)][0])
  first = steps_EAS[:, 0].min()
  before = steps[steps < first]
  return int(before[-1]) if before.size else int(steps[0])


def _learned(data: xr.Dataset, arms: Sequence[Arm], ends) -> np.ndarray:
  """Share of the baseline's fall in training loss that each arm has made.

  Medians over seeds; of the updates before the end of its window, or of the
  run where an arm differs in all of it.
  """
  loss = history.loss_between(data)
  if loss is None:
    return np.full(len(arms), np.nan)
  loss_AC = loss.median('seed').transpose('arm', 'step').values
  steps = data.step.values
  shares = []
  for i, arm in enumerate(arms):
    end = ends.get(arm.intervention, int(steps[-1]))
    place = int(np.flatnonzero(steps <= end)[-1])
    shares.append(
      share_of_fall(loss_AC[0, 0], loss_AC[i, place], loss_AC[0, place])
    )
  return np.array(shares)


def experiment(run: Run) -> Experiment | None:
  """The arms of a run; None if it has none."""
  data = run.arms_data
  if data is None:
    return None
  arms = run.arms
  options = run.config.get('arms') or {}
  events, counted, steps_EAS = _with_half(
    [(t, level) for t in run.tasks for level in map(str, data.level.values)],
    _steps(data),
  )
  last = int(data.step.values[-1])
  ends = _windows(run.config, last)
  learned_A = _learned(data, arms, ends)
  least = options.get('least_learned', LEAST_LEARNED)
  margin = []
  for steps_AS in steps_EAS:
    middle = float(statistics.lower_median(steps_AS[0]))
    middle = middle if np.isfinite(middle) else last
    margin.append(options.get('margin') or max(_MARGIN * middle, 1.0))
  return Experiment(
    run.label, arms, data, events, counted, steps_EAS, margin,
    _look(data, ends, steps_EAS), learned_A,
    [arm.name for arm, x in zip(arms, learned_A, strict=True) if x < least],
    run.config,
  )  # fmt: skip


def experiments(runs: Runs) -> dict[str, Experiment]:
  """Label → arms, of the runs that have any."""
  made = {name: experiment(run) for name, run in runs.items()}
  return {name: item for name, item in made.items() if item is not None}
