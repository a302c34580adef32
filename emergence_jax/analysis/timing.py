"""Does a seed's own early geometry tell when that seed acquires a capability?

And does it tell more than early signals of behaviour do (`baselines`)?

Within a task and level, over seeds: the rank correlation (Kendall's tau-b)
between a feature of the geometry before anything has emerged and the step of
emergence. A seed that never emerges counts as later than all others. Taus of
all events are averaged, and their mean is tested by permuting seeds, the same
way in all events, since what two events of a seed have in common is no
evidence. A positive tau: the larger the feature, the later the capability.

The paper looks over tasks and sizes, of one seed each; this is past it.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from emergence_jax.analysis import (
  baselines,
  emergence,
  precedence,
  series,
  statistics,
)
from emergence_jax.analysis.runs import Run, Runs
from emergence_jax.analysis.taus import DRAWS, pool

# Fewer seeds that emerge say nothing of an event; fewer checkpoints in the
# window nothing of the geometry.
LEAST_SEEDS, LEAST_STEPS = 8, 4
# Where a window ends; what is seen in the later two may be emergence itself,
# since some seeds are above chance there.
WINDOWS = (
  'before any seed leaves chance',
  'before the first emergence',
  'before the median emergence',
)
MEASURE, BASELINE = 'measure', 'baseline'
ADDS, NOT_SHOWN = 'adds', 'not shown'
# Of fewer seeds than baselines, or where some have no value.
UNKNOWN = 'not known'
# What is taken of each baseline as a control: its last value in the window.
_CONTROL = 'value at its end'


def _at(share: float) -> Callable:
  """The value at a share of the window's checkpoints."""
  return lambda step, x: x[round(share * (len(x) - 1))]


# What is made of a series within its window.
FEATURES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
  'lowest value': lambda step, x: x.min(),
  'step of the lowest value': lambda step, x: step[int(np.argmin(x))],
  'step of half the rise after it': lambda step, x: series.half_recovered(
    step, x, int(np.argmin(x))
  ),
  'step of the highest value': lambda step, x: step[int(np.argmax(x))],
  'value at half of the window': _at(0.5),
  'value at its end': _at(1.0),
  'change over its second half': lambda step, x: (
    _at(1.0)(step, x) - _at(0.5)(step, x)
  ),
}


def features(step_C: np.ndarray, x_SC: np.ndarray) -> np.ndarray:
  """Every feature of each seed, [F, S]; nan for one with few values."""
  feature_FxS = np.full((len(FEATURES), len(x_SC)), np.nan)
  for s, x_C in enumerate(x_SC):
    known = np.isfinite(x_C)
    if known.sum() >= LEAST_STEPS:
      feature_FxS[:, s] = [
        feature(step_C[known], x_C[known]) for feature in FEATURES.values()
      ]
  return feature_FxS


class _Events(NamedTuple):
  """Events of a run with seeds enough.

  Attributes:
    places: task and level of each, as indices.
    step_ES: steps of emergence; infinite where it never comes.
    group_S: group of each seed, within which seeds are exchangeable.
  """

  places: list[tuple[int, int]]
  step_ES: np.ndarray
  group_S: Sequence = ()


def _events(run: Run) -> _Events:
  steps = emergence.by_rule(run.data, emergence.RULE_OF_EVENTS).values
  steps = np.where(np.isfinite(steps), steps, np.inf)
  places = [
    (k, j)
    for k in range(steps.shape[1])
    for j in range(steps.shape[2])
    if np.isfinite(steps[:, k, j]).sum() >= LEAST_SEEDS
    and len(set(steps[:, k, j])) > 1
  ]
  return _Events(
    places, np.array([steps[:, k, j] for k, j in places]), run.seed_groups
  )


def _ends(run: Run, events: _Events) -> dict[str, np.ndarray]:
  """Window → the step that it ends before, of each event [E]."""
  emerged = [step_S[np.isfinite(step_S)] for step_S in events.step_ES]
  leaving = baselines.leaves_chance(run.data).values
  ends = (
    np.array([leaving[place] for place in events.places]),
    np.array([step.min() for step in emerged]),
    np.array([np.median(step) for step in emerged]),
  )
  return dict(zip(WINDOWS, ends))


def _features(
  run: Run, array: xr.DataArray, events: _Events, end_E: np.ndarray
) -> np.ndarray:
  """Features [F, E, S] of a series in a window.

  Of the checkpoints at which every seed was measured, since what is missing may
  go with emergence; nan for a seed that was not measured in some window.
  """
  known = {d: run.data[d] for d in ('task', 'level') if d not in array.dims}
  array = array.expand_dims(known).transpose('seed', 'task', 'level', 'step')
  step_C = run.data.step.values.astype(float)
  rows = []
  for (k, j), end in zip(events.places, end_E):
    values_SC = array.values[:, k, j][:, step_C < end]
    known_SC = np.isfinite(values_SC)
    every_C = known_SC[known_SC.any(1)].all(0)
    rows.append(features(step_C[step_C < end][every_C], values_SC[:, every_C]))
  feature_FES = np.stack(rows, 1)
  absent_S = np.isnan(feature_FES).all(0).any(0)
  return np.where(absent_S, np.nan, feature_FES)


def _measures(run: Run) -> dict[str, xr.DataArray]:
  """Measure → its series."""
  scaled = {
    label: series.scaled(run.data, item)
    for label, item in series.tested(run.data).items()
  }
  return {label: array for label, array in scaled.items() if array is not None}


def _windows(
  runs: Runs, least_seeds: int = 0
) -> Iterator[tuple[dict, _Events, dict[str, dict[str, np.ndarray]]]]:
  """Labels, events, and kind → series → features, of every run and window."""
  for name, run in runs.items():
    events = _events(run)
    if not events.places or events.step_ES.shape[1] < least_seeds:
      continue
    of_kind = {MEASURE: _measures(run), BASELINE: baselines.of(run.data)}
    for window, end_E in _ends(run, events).items():
      head = {
        'run': name, 'window': window, 'events': len(events.places),
        'seeds': events.step_ES.shape[1],
      }  # fmt: skip
      yield (
        head,
        events,
        {
          kind: {m: _features(run, x, events, end_E) for m, x in arrays.items()}
          for kind, arrays in of_kind.items()
        },
      )


class Told(NamedTuple):
  """A feature of the seeds of a run, beside when they emerged.

  Attributes:
    events: `task level` of each of E events.
    feature_ES: values; nan where unknown.
    step_ES: steps of emergence; infinite where it never comes.
  """

  events: list[str]
  feature_ES: np.ndarray
  step_ES: np.ndarray


def told(run: Run, window: str, measure: str, feature: str) -> Told:
  """The values behind a row of `timing_table`."""
  events = _events(run)
  array = {**baselines.of(run.data), **_measures(run)}[measure]
  values_FES = _features(run, array, events, _ends(run, events)[window])
  names = run.data.task.values, run.data.level.values
  return Told(
    [f'{names[0][k]} {names[1][j]}' for k, j in events.places],
    values_FES[list(FEATURES).index(feature)],
    events.step_ES,
  )


def telling(table: pd.DataFrame, count: int) -> pd.DataFrame:
  """The rows with the least p, and of equal ones those of the largest tau."""
  order = np.lexsort((-table.tau.abs(), table.p))
  return table.iloc[order[:count]]


_COLUMNS = (
  'run', 'window', 'kind', 'measure', 'feature', 'events', 'seeds', 'tau', 'p',
  'p_holm', 'verdict', 'partial', 'p_partial', 'p_partial_holm', 'beyond',
)  # fmt: skip


def timing_table(runs: Runs, *, draws: int = DRAWS) -> pd.DataFrame:
  """Pooled taus of every run, window, measure and feature, beside baselines.

  p-values of a run and window are corrected by Holm over all features of the
  measures, and over those of the baselines. `partial` is the rank correlation
  beyond the last values of all baselines in the window; a measure that tells
  *adds* if that holds, too.
  """
  rows = []
  for head, events, values in _windows(runs):
    for kind, by_measure in values.items():
      found = _pooled(by_measure, events, draws)
      if kind == MEASURE:
        controls = _controls(values[BASELINE])
        found = _beyond(found, by_measure, controls, events, draws)
      rows += [{**head, 'kind': kind, **row} for row in found]
  return pd.DataFrame(rows, columns=list(_COLUMNS))


def _controls(by_baseline: Mapping[str, np.ndarray]) -> np.ndarray:
  """The last value [B, E, S] of each baseline that is known of every seed."""
  place = list(FEATURES).index(_CONTROL)
  last = [values[place] for values in by_baseline.values()]
  return np.array([x for x in last if np.isfinite(x).all()])


def _pooled(by_measure, events: _Events, draws: int) -> list[dict]:
  """A row for each feature that is known."""
  if not by_measure:
    return []
  stacked = np.concatenate(list(by_measure.values()))
  pooled = pool(stacked, events.step_ES, events.group_S, draws=draws)
  labels = itertools.product(by_measure, FEATURES)
  return [
    {
      'measure': measure, 'feature': feature, 'tau': tau, 'p': p,
      'p_holm': p_holm,
      'verdict': 'tells' if p_holm < precedence.MAX_P else NOT_SHOWN,
    }
    for (measure, feature), tau, p, p_holm in zip(
      labels, pooled.tau_F, pooled.p_F, statistics.holm(pooled.p_F)
    )
    if np.isfinite(p)
  ]  # fmt: skip


def _beyond(rows, by_measure, control_BES, events: _Events, draws: int):
  """The same rows, with what measures say beyond the baselines."""
  places = [list(FEATURES).index(row['feature']) for row in rows]
  feature_FES = np.array(
    [by_measure[row['measure']][place] for row, place in zip(rows, places)]
  ).reshape(len(rows), *events.step_ES.shape)
  found = baselines.partial(
    feature_FES, control_BES, events.step_ES, events.group_S, draws=draws
  )
  columns = found.rho_F, found.p_F, statistics.holm(found.p_F)
  for row, rho, p, p_holm in zip(rows, *columns):
    adds = row['verdict'] == 'tells' and p_holm < precedence.MAX_P
    word = ADDS if adds else NOT_SHOWN if np.isfinite(p) else UNKNOWN
    row |= {
      'partial': rho, 'p_partial': p, 'p_partial_holm': p_holm, 'beyond': word,
    }  # fmt: skip
  return rows


_FORETOLD = (
  'run', 'window', 'measure', 'events', 'seeds', 'baselines alone',
  'with the measure', 'difference', 'low', 'high', 'beyond',
)  # fmt: skip


def foretelling_table(runs: Runs) -> pd.DataFrame:
  """How well left-out seeds are ordered by baselines, with and without."""
  rows = []
  for head, events, values in _windows(runs, baselines.LEAST_SEEDS):
    if len(set(events.group_S)) > 1:
      continue  # a left-out seed would be told by its group
    every = [x for x in values[BASELINE].values() if np.isfinite(x).any()]
    for measure, feature_FES in values[MEASURE].items() if every else ():
      if not np.isfinite(feature_FES).any():
        continue
      found = baselines.out_of_sample(
        feature_FES, np.concatenate(every), events.step_ES
      )
      rows.append({
        **head, 'measure': measure,
        'baselines alone': found.alone, 'with the measure': found.with_it,
        'difference': found.with_it - found.alone, 'low': found.low,
        'high': found.high,
        'beyond': ADDS if found.low > 0 else NOT_SHOWN,
      })  # fmt: skip
  return pd.DataFrame(rows, columns=list(_FORETOLD))
