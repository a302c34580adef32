"""Does a seed's own early geometry tell when that seed acquires a capability?

Within a task and level, over seeds: the rank correlation (Kendall's tau-b)
between a feature of the geometry before anything has emerged and the step of
emergence. A seed that never emerges counts as later than all others. Taus of
all events are averaged, and their mean is tested by permuting seeds, the same
way in all events, since what two events of a seed have in common is no
evidence. A positive tau: the larger the feature, the later the capability.

The paper looks over tasks and sizes, of one seed each; this is past it.
"""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from emergence_jax.analysis import emergence, precedence, series
from emergence_jax.analysis.runs import Run, Runs

# Fewer seeds that emerge say nothing of an event; fewer checkpoints in the
# window nothing of the geometry.
LEAST_SEEDS, LEAST_STEPS = 8, 4
DRAWS = 10_000
# Window → the step that it ends before, of the steps of emergence.
WINDOWS: dict[str, Callable] = {
  'before the first emergence': np.min,
  'before the median emergence': np.median,
}
_BATCH = 250


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


def _signs(x_S: np.ndarray) -> np.ndarray:
  """Order of every pair of seeds, [S, S], of norm 1; 0 of what is unknown."""
  with np.errstate(invalid='ignore'):  # two that never emerge are tied
    signs = np.sign(x_S[:, None] - x_S)
  signs = np.nan_to_num(signs)
  norm = np.sqrt((signs**2).sum())
  return signs / norm if norm else signs


class Pooled(NamedTuple):
  """Attributes: mean taus [F] over the events, and their p-values [F]."""

  tau_F: np.ndarray
  p_F: np.ndarray


def _permutations(seeds: int, draws: int, rng) -> tuple[np.ndarray, bool]:
  """All permutations if these are no more than wanted, or so many drawn."""
  if math.factorial(seeds) <= draws:
    return np.array(list(itertools.permutations(range(seeds)))), True
  return rng.permuted(np.tile(np.arange(seeds), (draws, 1)), axis=1), False


def pool(
  feature_FES: np.ndarray,
  step_ES: np.ndarray,
  *,
  draws: int = DRAWS,
  seed: int = 0,
) -> Pooled:
  """Mean taus of features over events, tested by permuting seeds.

  Args:
    feature_FES: F features in E events of S seeds; nan where unknown.
    step_ES: steps of emergence; infinite where it never comes.
    draws: permutations, where not all are tried.
    seed: of those that are drawn.
  """
  count, events, seeds = feature_FES.shape
  ours = np.array(
    [[_signs(x) for x in feature_ES] for feature_ES in feature_FES]
  )
  theirs = np.array([_signs(x) for x in step_ES])
  ours = ours.reshape(count, -1) / events
  observed = ours @ theirs.ravel()
  order, exact = _permutations(seeds, draws, np.random.default_rng(seed))
  as_large = np.zeros(count)
  for start in range(0, len(order), _BATCH):
    some = order[start : start + _BATCH]
    # [D, E, S, S]: seeds trade their steps, in all events alike.
    moved = theirs[:, some[:, :, None], some[:, None, :]].swapaxes(0, 1)
    null = ours @ moved.reshape(len(some), -1).T
    as_large += (np.abs(null) >= np.abs(observed)[:, None] - 1e-12).sum(1)
  drawn = len(order)
  p = as_large / drawn if exact else (1 + as_large) / (1 + drawn)
  known = (ours != 0).any(1)
  return Pooled(np.where(known, observed, np.nan), np.where(known, p, np.nan))


class _Events(NamedTuple):
  """Events of a run with seeds enough.

  Attributes:
    places: task and level of each, as indices.
    step_ES: steps of emergence; infinite where it never comes.
  """

  places: list[tuple[int, int]]
  step_ES: np.ndarray


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
  return _Events(places, np.array([steps[:, k, j] for k, j in places]))


def _of_measure(run: Run, item: series.Series, events: _Events, end: Callable):
  """Features [F, E, S] of a measure in a window; None if not measured."""
  array = series.scaled(run.data, item)
  if array is None:
    return None
  if 'task' not in array.dims:
    array = array.expand_dims(task=run.data.task)
  array = array.transpose('seed', 'task', 'step')
  step_C = run.data.step.values.astype(float)
  rows = []
  for (k, _), step_S in zip(events.places, events.step_ES):
    inside = step_C < end(step_S[np.isfinite(step_S)])
    rows.append(features(step_C[inside], array.values[:, k][:, inside]))
  return np.stack(rows, 1)


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
  item = series.tested(run.data)[measure]
  values_FES = _of_measure(run, item, events, WINDOWS[window])
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


def timing_table(runs: Runs, *, draws: int = DRAWS) -> pd.DataFrame:
  """Pooled taus of every run, window, measure and feature.

  p-values of a run and window are corrected by Holm over all of them.
  """
  rows = []
  for name, run in runs.items():
    events = _events(run)
    for window, end in WINDOWS.items() if events.places else ():
      rows += _window(name, run, events, window, end, draws)
  columns = [
    'run', 'window', 'measure', 'feature', 'events', 'seeds', 'tau', 'p',
    'p_holm', 'verdict',
  ]  # fmt: skip
  return pd.DataFrame(rows, columns=columns)


def _window(name, run, events, window, end, draws) -> list[dict]:
  labels, pool_of = [], []
  for label, item in series.tested(run.data).items():
    features_FES = _of_measure(run, item, events, end)
    if features_FES is not None:
      labels += [(label, feature) for feature in FEATURES]
      pool_of.append(features_FES)
  if not pool_of:
    return []
  pooled = pool(np.concatenate(pool_of), events.step_ES, draws=draws)
  known = np.isfinite(pooled.p_F)
  holm = np.full(known.shape, np.nan)
  holm[known] = precedence.holm(pooled.p_F[known])
  return [
    {
      'run': name, 'window': window, 'measure': measure, 'feature': feature,
      'events': len(events.places), 'seeds': events.step_ES.shape[1],
      'tau': tau, 'p': p, 'p_holm': p_holm,
      'verdict': 'tells' if p_holm < precedence.MAX_P else 'not shown',
    }
    for (measure, feature), tau, p, p_holm in zip(
      labels, pooled.tau_F, pooled.p_F, holm
    )
    if np.isfinite(p)
  ]  # fmt: skip
