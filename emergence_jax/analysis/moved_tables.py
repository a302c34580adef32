"""Tables of runs with arms.

For every event: shifts of its step; the measures of the geometry, at the step
at which the interventions have ended; trends over strengths, and whether a seed
whose geometry an arm moved more emerged later for it.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
import xarray as xr

from emergence_jax.analysis import (
  effects,
  emergence,
  moved,
  series,
  statistics,
)
from emergence_jax.analysis.moved import ALL, Experiment
from emergence_jax.base.arms import PLACEBO

# Fewer seeds say nothing of a trend, or of what goes together.
_LEAST_SEEDS = 4
_ACCURACY = 'accuracy at the end'


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


def rules_table(items: Mapping[str, Experiment]) -> pd.DataFrame:
  """What arms did to when a network has its capabilities, by every rule.

  Not corrected for the number of rules; an effect that one of them alone shows
  is one of the rule.
  """
  rows = []
  for label, item in items.items():
    for rule, words in emergence.WORDS.items():
      if emergence.RULES[rule][0] not in item.data:
        continue
      count, by_share = moved.steps_by_rule(item.data, rule)
      for share, steps_AS in by_share.items():
        for one in item.judge(steps_AS, item.margin[0]):
          tests = [x.p for x in (one.shift, one.beyond) if x is not None]
          rows.append({
            'run': label, 'rule': words, 'capabilities': count, 'share': share,
            'arm': one.arm, 'baseline': statistics.lower_median(steps_AS[0]),
            **_shift_columns('shift', one.shift),
            **_shift_columns('beyond_placebo', one.beyond),
            'p': max(tests),
          })  # fmt: skip
  return pd.DataFrame(rows)


def _of_task(array: xr.DataArray, task: str) -> xr.DataArray:
  """Values of a task, or their mean over all."""
  if 'task' not in array.dims:
    return array
  return array.mean('task') if task == ALL else array.sel(task=task)


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
      own = _of_task(at, task)
      value_AS = own.transpose('arm', 'seed').values
      if np.isfinite(value_AS).any():
        yield name, task, value_AS
  final = item.data.accuracy.isel(step=-1)
  for task in dict.fromkeys(task for task, _ in item.events):
    own = _of_task(final, task).mean('level').transpose('arm', 'seed')
    yield _ACCURACY, task, own.values


def geometry_table(items: Mapping[str, Experiment]) -> pd.DataFrame:
  """How far each arm moved each measure: paired shifts from the baseline."""
  rows = []
  for label, item in items.items():
    for name, task, value_AS in features(item):
      at_end = name == _ACCURACY
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
    values = [f for f in features(item) if f[0] != _ACCURACY]
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
