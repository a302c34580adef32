"""Tables of what the timeseries of one or several runs show."""

import itertools
from collections.abc import Collection

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from emergence_jax.analysis import (
  align,
  collapse,
  emergence,
  statistics,
)


def cells(estimate: statistics.Estimate) -> dict:
  """The columns of an estimate."""
  return {
    'value': estimate.value, 'low': estimate.low, 'high': estimate.high,
    'count': estimate.count, 'events': estimate.events,
    'level_of_interval': estimate.level,
  }  # fmt: skip


def emergence_tables(runs) -> dict[str, pd.DataFrame]:
  """Steps of emergence by every rule: over seeds, and seed by seed."""
  summary, each = [], []
  for label, run in runs.items():
    data = run.data
    for rule, (variable, _) in emergence.RULES.items():
      if variable not in data:
        continue
      steps = emergence.by_rule(data, rule)
      for k, task in enumerate(data.task.values):
        for j, level in enumerate(data.level.values):
          step_S = steps.values[:, k, j]
          head = dict(run=label, task=str(task), level=str(level), rule=rule)
          summary.append({
            **head, 'emerged': int(np.isfinite(step_S).sum()),
            'seeds': step_S.size, **cells(statistics.median_time(step_S)),
          })  # fmt: skip
          each += [
            {**head, 'seed': int(seed), 'step': step}
            for seed, step in zip(data.seed.values, step_S)
          ]
  return {
    'emergence': pd.DataFrame(summary),
    'emergence_by_seed': pd.DataFrame(each),
  }


def collapse_table(runs) -> pd.DataFrame:
  """Floor, its step, recovery and the rest, per run × task × layer."""
  rows = []
  for label, run in runs.items():
    data = run.data
    if 'rankme' not in data:
      continue
    rank = data.rankme.transpose('seed', 'task', 'layer', 'step')
    collapsed = collapse.collapse(data.step.values, rank.values)
    for k, task in enumerate(data.task.values):
      for i, layer in enumerate(data.layer.values):
        for quantity, values in collapsed._asdict().items():
          if quantity == 'is_over':
            continue
          is_time = quantity == 'half_step'
          estimate = (
            statistics.median_time(values[:, k, i])
            if is_time
            else statistics.mean_interval(values[:, k, i])
          )
          rows.append({
            'run': label, 'task': str(task), 'layer': int(layer),
            'quantity': quantity, **cells(estimate),
          })  # fmt: skip
  return pd.DataFrame(rows)


def depth_of(data: xr.Dataset) -> collapse.Depth:
  """Top-down tests [S, K]."""
  rank = data.rankme.transpose('seed', 'task', 'layer', 'step').values
  return collapse.depth(data.step.values, rank)


def hits_of(values_SK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Ones, and known values, of each seed: [S] and [S]."""
  known = np.isfinite(values_SK)
  return np.where(known, values_SK, 0).sum(1), known.sum(1)


def top_down_table(runs) -> pd.DataFrame:
  """Depth gradient and order in time, per run."""
  rows = []
  for label, run in runs.items():
    data = run.data
    if 'rankme' not in data or data.sizes['layer'] < 2:
      continue
    for name, values in depth_of(data)._asdict().items():
      hits, known = hits_of(values)
      if name == 'order':
        mean = np.full(len(hits), np.nan)
        np.divide(hits, known, out=mean, where=known > 0)
        estimate = statistics.mean_interval(mean, bounds=(-1, 1))
      else:
        estimate = statistics.shares([hits], [known])
      rows.append({'run': label, 'test': name, **cells(estimate)})
  return pd.DataFrame(rows)


def collapse_of(data: xr.Dataset) -> collapse.Collapse:
  """Of the last layer's RankMe; each field is [S, K]."""
  last = data.rankme.isel(layer=-1).transpose('seed', 'task', 'step')
  return collapse.collapse(data.step.values, last.values)


def floors_of(data: xr.Dataset) -> np.ndarray:
  """Floor of the last layer's RankMe [S, K]."""
  return collapse_of(data).floor


def have_ended(data: xr.Dataset, tasks: Collection[str]) -> bool:
  """Whether the collapse of these tasks, where it has them, is over.

  In every seed, so that more training changes nothing about it.
  """
  inside = [str(task) in tasks for task in data.task.values]
  return bool(np.all(collapse_of(data).is_over[:, inside] == 1))


def have_emerged(data: xr.Dataset) -> bool:
  """Whether all seeds have had all events, by the rule of the claims."""
  steps = emergence.by_rule(data, emergence.RULE_OF_CLAIMS)
  return bool(np.isfinite(steps.values).all())


def floors_by_task(
  runs, quantity: str = 'floor'
) -> dict[str, dict[str, np.ndarray]]:
  """Task → run → floors [S], of the runs that have one of the task.

  Args:
    runs: label → run.
    quantity: a field of `collapse.Collapse`.
  """
  floors: dict[str, dict[str, np.ndarray]] = {}
  for label, run in runs.items():
    data = run.data
    if 'rankme' in data:
      values_SK = getattr(collapse_of(data), quantity)
      for task, column in zip(data.task.values, values_SK.T):
        if np.isfinite(column).any():
          floors.setdefault(str(task), {})[label] = column
  return floors


def neighbours_table(runs) -> pd.DataFrame:
  """Floors of each run and of the next larger one, task by task.

  Welch's test on logarithms, for variances that differ, corrected by Holm over
  all rows; and the ratio of floors as parts of the value at step 0, which says
  whether the collapse is shallower. A collapse that is not over in every seed
  may still go lower.
  """
  rows = []
  for (a, run), (b, other) in itertools.pairwise(runs.items()):
    floors, first = (
      floors_by_task({a: run, b: other}, name) for name in ('floor', 'initial')
    )
    for task, by_run in floors.items():
      pair = [by_run.get(label) for label in (a, b)]
      if any(x is None or np.isfinite(x).sum() < 2 for x in pair):
        continue
      logs = [np.log(x[np.isfinite(x)]) for x in pair]
      parts = [
        np.nanmean(by_run[label] / first[task][label]) for label in (a, b)
      ]
      rows.append({
        'from': a, 'to': b, 'task': task,
        'floors': ' → '.join(f'{np.nanmean(x):.3g}' for x in pair),
        'of step 0': ' → '.join(f'{x:.0%}' for x in parts),
        'p_value': float(stats.ttest_ind(*logs, equal_var=False).pvalue),
        'over': have_ended(run.data, [task]) and have_ended(other.data, [task]),
      })  # fmt: skip
  for row, p_holm in zip(rows, statistics.holm([r['p_value'] for r in rows])):
    row['p_holm'] = float(p_holm)
  return pd.DataFrame(rows)


def invariance_table(runs) -> pd.DataFrame:
  """Floors of each task over the runs that have it.

  At the checkpoints of each run, and at those that all have, if these are
  others: a sparser schedule may miss a floor.
  """
  rows = []
  ways = {'own': runs}
  if align.schedules_differ(runs):
    ways['shared'] = align.at_shared_steps(runs)
  for way, those in ways.items():
    for task, by_run in floors_by_task(those).items():
      spread = collapse.invariance(list(by_run.values()))
      shown = zip(by_run, spread.floors)
      rows.append({
        'task': task, 'checkpoints': way, 'runs': len(by_run),
        'mean': spread.mean, 'std': spread.std, 'variation': spread.variation,
        'spread_between_seeds': spread.spread, 'p_value': spread.p_value,
        'floors': ', '.join(f'{n} {v:.3g}' for n, v in shown),
      })  # fmt: skip
  return pd.DataFrame(rows)
