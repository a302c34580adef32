"""What moved a capability: the arms of a run beside its baseline.

Paired by seed, for every event (task × level): the step of emergence, by
`effects`; the measures of the geometry, at the step at which the interventions
have ended; trends over strengths, and whether a seed whose geometry an arm
moved more emerged later for it.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from emergence_jax.analysis import effects, emergence, series, statistics
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
# Fewer seeds say nothing of a trend, or of what goes together.
_LEAST_SEEDS = 4
ACCURACY = 'accuracy at the end'


@dataclasses.dataclass(frozen=True, eq=False)
class Experiment:
  """The arms of a run, as arrays.

  Attributes:
    run: label.
    arms: in their order.
    data: timeseries with a dimension `arm`.
    events: (task, level).
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
  def placebos(self) -> dict[str, str]:
    """Arm → its placebo."""
    return {arm.name: arm.placebo for arm in self.arms if arm.placebo}

  @functools.cached_property
  def judged(self) -> list[list[effects.Effect]]:
    """What each arm that is no control did, of each event."""
    # Where the loss says that an arm learns, one that emerges late is late.
    known = not np.isnan(self.learned_A).all()
    return [
      effects.effects(
        steps_AS, self.names, baseline=BASELINE, margin=margin,
        placebos=self.placebos, controls=self.controls, stopped=self.stopped,
        least_share=0.0 if known else effects.LEAST_SHARE,
      )
      for steps_AS, margin in zip(self.emergence_EAS, self.margin, strict=True)
    ]  # fmt: skip

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


def _steps(data: xr.Dataset) -> np.ndarray:
  """Steps of emergence [E, A, S]; inf where it did not come."""
  by_arm = [
    emergence.by_rule(data.sel(arm=arm), emergence.RULE_OF_EVENTS).values
    for arm in data.arm.values
  ]
  steps_ASE = np.stack([x.reshape(len(x), -1) for x in by_arm])
  steps_EAS = np.moveaxis(steps_ASE, 2, 0)
  return np.where(np.isnan(steps_EAS), np.inf, steps_EAS)


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
  steps_EAS = _steps(data)
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
    run.label, arms, data,
    [(t, level) for t in run.tasks for level in map(str, data.level.values)],
    steps_EAS, margin, _look(data, ends, steps_EAS), learned_A,
    [arm.name for arm, x in zip(arms, learned_A, strict=True) if x < least],
    run.config,
  )  # fmt: skip


def experiments(runs: Runs) -> dict[str, Experiment]:
  """Label → arms, of the runs that have any."""
  made = {name: experiment(run) for name, run in runs.items()}
  return {name: item for name, item in made.items() if item is not None}


def _shift_columns(name: str, shift: effects.Shift | None) -> dict[str, float]:
  if shift is None:
    return {name: np.nan, f'{name}_low': np.nan, f'{name}_high': np.nan}
  return {
    name: shift.estimate, f'{name}_low': shift.low, f'{name}_high': shift.high
  }  # fmt: skip


def effects_table(items: Mapping[str, Experiment]) -> pd.DataFrame:
  """A row for each arm that is no control, and event."""
  rows = []
  for label, item in items.items():
    for e, (task, level) in enumerate(item.events):
      for one in item.judged[e]:
        place = item.names.index(one.arm)
        rows.append({
          'run': label, 'task': task, 'level': level, 'arm': one.arm,
          **_shift_columns('shift', one.shift),
          **_shift_columns('beyond_placebo', one.beyond),
          'p_holm': one.p, 'emerged': one.emerged[0], 'seeds': one.emerged[1],
          'learned': item.learned_A[place], 'margin': item.margin[e],
          'verdict': one.verdict,
        })  # fmt: skip
  return pd.DataFrame(rows)


def controls_table(items: Mapping[str, Experiment]) -> pd.DataFrame:
  """Shams and placebos beside the baseline, of each event; not judged."""
  rows = []
  for label, item in items.items():
    for e, (task, level) in enumerate(item.events):
      for name, shift in item.of_controls[e].items():
        place = item.names.index(name)
        steps_AS = item.emergence_EAS[e]
        rows.append({
          'run': label, 'task': task, 'level': level, 'control': name,
          **_shift_columns('shift', shift), 'p': shift.p,
          'emerged': int(np.isfinite(steps_AS[place]).sum()),
          'seeds': shift.seeds, 'learned': item.learned_A[place],
        })  # fmt: skip
  return pd.DataFrame(rows)


def features(item: Experiment) -> Iterator[tuple[str, str, np.ndarray]]:
  """Measure, task and its value [A, S] at the step that is looked at.

  On the scale on which its changes count: the logarithm of what grows by
  factors.
  """
  for name, one in series.tested(item.data).items():
    array = series.scaled(item.data, one)
    if array is None:
      continue
    at = array.sel(step=item.step)
    for task in dict.fromkeys(task for task, _ in item.events):
      own = at.sel(task=task) if 'task' in at.dims else at
      value_AS = own.transpose('arm', 'seed').values
      if np.isfinite(value_AS).any():
        yield name, task, value_AS
  final = item.data.accuracy.isel(step=-1)
  for task in dict.fromkeys(task for task, _ in item.events):
    own = final.sel(task=task).mean('level').transpose('arm', 'seed')
    yield ACCURACY, task, own.values


def geometry_table(items: Mapping[str, Experiment]) -> pd.DataFrame:
  """How far each arm moved each measure: paired shifts from the baseline."""
  rows = []
  for label, item in items.items():
    for name, task, value_AS in features(item):
      at_end = name == ACCURACY
      step = int(item.data.step.values[-1]) if at_end else item.step
      for arm, value_S in zip(item.arms[1:], value_AS[1:], strict=True):
        shift = effects.shift(value_S, value_AS[0])
        rows.append({
          'run': label, 'task': task, 'measure': name, 'step': step,
          'arm': arm.name, 'baseline': np.nanmedian(value_AS[0]),
          'median': np.nanmedian(value_S), **_shift_columns('shift', shift),
          'p': shift.p, 'seeds': shift.seeds,
        })  # fmt: skip
  return pd.DataFrame(rows)


def _families(item: Experiment) -> Iterator[tuple[str, str, list[int]]]:
  """Intervention, which of its arms, and their places.

  All of its own; those that went on learning, where some did not; placebos.
  """
  for label in dict.fromkeys(a.intervention for a in item.arms):
    of_label = [
      i for i, a in enumerate(item.arms) if label and a.intervention == label
    ]
    own = [i for i in of_label if not item.arms[i].control]
    learned = [i for i in own if item.arms[i].name not in item.stopped]
    placebos = [i for i in of_label if item.arms[i].control == PLACEBO]
    kinds = {'own': own, PLACEBO: placebos}
    if len(learned) < len(own):
      kinds['own that learned'] = learned
    for kind, places in kinds.items():
      if len(places) > 1:
        yield label, kind, places


def trends_table(items: Mapping[str, Experiment]) -> pd.DataFrame:
  """Whether emergence goes with the strength of an intervention."""
  rows = []
  for label, item in items.items():
    if item.data.sizes['seed'] < _LEAST_SEEDS:
      continue
    for e, (task, level) in enumerate(item.events):
      for name, kind, places in _families(item):
        strengths = [item.arms[i].strength for i in places]
        tau, p = effects.trend(item.emergence_EAS[e][places], strengths)
        rows.append({
          'run': label, 'task': task, 'level': level, 'intervention': name,
          'arms': kind, 'strengths': ', '.join(f'{s:g}' for s in strengths),
          'correlation': tau, 'p': p,
        })  # fmt: skip
  return pd.DataFrame(rows)


def mediation_table(items: Mapping[str, Experiment]) -> pd.DataFrame:
  """Whether a seed whose geometry an arm moved more emerged later for it."""
  rows = []
  for label, item in items.items():
    if item.data.sizes['seed'] < _LEAST_SEEDS:
      continue
    values = [f for f in features(item) if f[0] != ACCURACY]
    for e, (task, level) in enumerate(item.events):
      for name, kind, places in _families(item):
        for measure, of_task, value_AS in values:
          if of_task != task:
            continue
          chosen = [0, *places]
          r, p = effects.mediation(
            item.emergence_EAS[e][chosen], value_AS[chosen], draws=2000
          )
          rows.append({
            'run': label, 'task': task, 'level': level, 'measure': measure,
            'intervention': name, 'arms': kind, 'correlation': r, 'p': p,
          })  # fmt: skip
  return pd.DataFrame(rows)


def phase_table(items: Mapping[str, Experiment]) -> pd.DataFrame:
  """Share of seeds that emerged, and their median step, of every arm."""
  rows = []
  for label, item in items.items():
    varied = sorted({key for arm in item.arms for key in arm.numbers})
    for e, (task, level) in enumerate(item.events):
      for arm, step_S in zip(item.arms, item.emergence_EAS[e], strict=True):
        middle = float(statistics.lower_median(step_S))
        rows.append({
          'run': label, 'task': task, 'level': level, 'arm': arm.name,
          'emerged': float(np.isfinite(step_S).mean()),
          'median_step': middle if np.isfinite(middle) else np.nan,
          **{
            key: arm.numbers.get(key, item.value_of(key)) for key in varied
            if not arm.intervention
          },
        })  # fmt: skip
  return pd.DataFrame(rows)
