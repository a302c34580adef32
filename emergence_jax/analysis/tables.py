"""Tables of what the timeseries of one or several runs show."""

import numpy as np
import pandas as pd
import xarray as xr

from emergence_jax.analysis import (
  collapse,
  concordance,
  emergence,
  groups,
  precedence,
  series,
  statistics,
)

GROUPS = ('all', 'easy', 'hard')
# Points of the uniform grid, about as many as there are checkpoints.
_GRID = 200
RULE = 'paper'


def _cells(estimate: statistics.Estimate) -> dict:
  return {
    'value': estimate.value, 'low': estimate.low, 'high': estimate.high,
    'count': estimate.count,
  }  # fmt: skip


def emergence_tables(runs) -> dict[str, pd.DataFrame]:
  """Steps of emergence by every rule: over seeds, and seed by seed."""
  summary, each = [], []
  for run, data in runs.items():
    for rule in emergence.RULES:
      steps = emergence.by_rule(data, rule)
      for k, task in enumerate(data.task.values):
        for j, level in enumerate(data.level.values):
          one = steps.values[:, k, j]
          head = dict(run=run, task=str(task), level=str(level), rule=rule)
          summary.append({
            **head, 'emerged': int(np.isfinite(one).sum()), 'seeds': one.size,
            **_cells(statistics.median_time(one)),
          })  # fmt: skip
          each += [
            {**head, 'seed': int(seed), 'step': step}
            for seed, step in zip(data.seed.values, one)
          ]
  return {
    'emergence': pd.DataFrame(summary),
    'emergence_by_seed': pd.DataFrame(each),
  }


def select(found: precedence.Precedence, tasks, group: str):
  """The events of a group of tasks."""
  if group == 'all':
    return found
  keep = [i for i, t in enumerate(tasks) if groups.group(str(t)) == group]
  return precedence.Precedence(*(x[:, keep] for x in found))


def per_seed(found: precedence.Precedence, threshold: float = 0.3):
  """Precursor rate of each seed, [S]."""
  usable = np.isfinite(found.correlation)
  first = precedence.classify(found.lag, found.correlation, threshold)
  hits = ((first == precedence.PRECURSOR) & usable).sum((1, 2))
  total = usable.sum((1, 2))
  return np.divide(
    hits, total, out=np.full(len(total), np.nan), where=total > 0
  )


def precedence_tables(runs, draws: int):
  """Precursor rates beside their null, and every event's lead."""
  rates, leads, peaks = [], [], {}
  for i, (run, data) in enumerate(runs.items()):
    peaks[run] = {}
    for name in series.SERIES:
      taken = series.take(data, series.SERIES, name)
      if taken is None:
        continue
      step, x, y = taken
      grid, grid_x = precedence.uniform_grid(step, x, _GRID)
      _, grid_y = precedence.uniform_grid(step, y, _GRID)
      found = {
        'checkpoints': precedence.precedence(x, y, draws=draws, seed=i),
        'uniform': precedence.precedence(grid_x, grid_y, draws=draws, seed=i),
      }
      peaks[run][name] = found['checkpoints']
      for axis, one in found.items():
        rates += _rate_rows(run, name, axis, one, data.task.values)
      leads += _lead_rows(
        run, name, data, found['uniform'], grid[1] - grid[0],
        found['checkpoints'],
      )  # fmt: skip
  return (
    {'precedence': pd.DataFrame(rates), 'leads': pd.DataFrame(leads)}, peaks
  )  # fmt: skip


def _rate_rows(run, name, axis, found, tasks):
  rows = []
  for group in GROUPS:
    one = select(found, tasks, group)
    if not one.lag.size:
      continue
    for threshold in precedence.THRESHOLDS:
      rate = precedence.rate(one, threshold)
      over_seeds = statistics.bootstrap(per_seed(one, threshold))
      rows.append({
        'run': run, 'measure': name, 'axis': axis, 'tasks': group,
        'threshold': threshold, **rate._asdict(), 'low': over_seeds.low,
        'high': over_seeds.high,
      })  # fmt: skip
  return rows


def _lead_rows(run, name, data, uniform, stride, checkpoints):
  rows = []
  kind = precedence.classify(checkpoints.lag, checkpoints.correlation)
  for s, k, j in np.ndindex(*uniform.lag.shape):
    known = np.isfinite(uniform.correlation[s, k, j])
    rows.append({
      'run': run, 'measure': name, 'seed': int(data.seed.values[s]),
      'task': str(data.task.values[k]), 'level': str(data.level.values[j]),
      'lead_steps': uniform.lag[s, k, j] * stride if known else np.nan,
      'correlation': uniform.correlation[s, k, j],
      'lag_checkpoints': int(checkpoints.lag[s, k, j]),
      'correlation_checkpoints': checkpoints.correlation[s, k, j],
      'class': precedence.CLASSES[kind[s, k, j]],
    })  # fmt: skip
  return rows


def collapse_table(runs) -> pd.DataFrame:
  """Floor, its step, recovery and the rest, per run × task × layer."""
  rows = []
  for run, data in runs.items():
    if 'rankme' not in data:
      continue
    rank = data.rankme.transpose('seed', 'task', 'layer', 'step')
    found = collapse.collapse(data.step.values, rank.values)
    for k, task in enumerate(data.task.values):
      for i, layer in enumerate(data.layer.values):
        for quantity, values in found._asdict().items():
          is_time = quantity == 'half_step'
          estimate = (
            statistics.median_time(values[:, k, i])
            if is_time
            else statistics.bootstrap(values[:, k, i])
          )
          rows.append({
            'run': run, 'task': str(task), 'layer': int(layer),
            'quantity': quantity, **_cells(estimate),
          })  # fmt: skip
  return pd.DataFrame(rows)


def top_down_table(runs) -> pd.DataFrame:
  """Depth gradient and order in time, per run."""
  rows = []
  for run, data in runs.items():
    if 'rankme' not in data or data.sizes['layer'] < 2:
      continue
    rank = data.rankme.transpose('seed', 'task', 'layer', 'step').values
    found = collapse.depth(data.step.values, rank)
    for name, values in found._asdict().items():
      values = np.asarray(values, float)
      if name == 'order':
        known = np.isfinite(values)
        total = np.where(known, values, 0).sum(1)
        mean = np.full(len(total), np.nan)
        np.divide(total, known.sum(1), out=mean, where=known.any(1))
        estimate = statistics.bootstrap(mean)
      else:
        known = np.isfinite(values)
        estimate = statistics.share(int(values[known].sum()), int(known.sum()))
      rows.append({'run': run, 'test': name, **_cells(estimate)})
  return pd.DataFrame(rows)


def floors_of(data: xr.Dataset) -> np.ndarray:
  """Minimum of the last layer's RankMe [S, K]."""
  last = data.rankme.isel(layer=-1).transpose('seed', 'task', 'step')
  return collapse.collapse(data.step.values, last.values).floor


def invariance_table(runs) -> pd.DataFrame:
  """Floors of each task over the runs that have it."""
  floors: dict[str, dict[str, np.ndarray]] = {}
  for run, data in runs.items():
    if 'rankme' in data:
      for k, task in enumerate(data.task.values):
        floors.setdefault(str(task), {})[run] = floors_of(data)[:, k]
  rows = []
  for task, by_run in floors.items():
    found = collapse.invariance(list(by_run.values()))
    rows.append({
      'task': task, 'runs': len(by_run), 'mean': found.mean, 'std': found.std,
      'variation': found.variation, 'spread_between_seeds': found.spread,
      'p_value': found.p_value,
      'floors': ', '.join(f'{n} {v:.3g}' for n, v in zip(by_run, found.floors)),
    })  # fmt: skip
  return pd.DataFrame(rows)


def _events(data: xr.Dataset):
  """Floor, emergence step [S, N] and group [N] of every task × level."""
  steps = emergence.by_rule(data, RULE).values
  shape = steps.shape
  floors = np.broadcast_to(floors_of(data)[..., None], shape)
  kinds = np.repeat([groups.group(str(t)) for t in data.task.values], shape[2])
  return floors.reshape(shape[0], -1), steps.reshape(shape[0], -1), kinds


PAIRS = {
  'easy': ('easy', 'easy'),
  'hard': ('hard', 'hard'),
  'across': ('easy', 'hard'),
}


def prediction_table(runs) -> pd.DataFrame:
  """How the floor orders emergence, per run and between runs."""
  rows = []
  ready = {n: _events(d) for n, d in runs.items() if 'rankme' in d}
  for run, (floor, step, kinds) in ready.items():
    values = [concordance.spearman(f, t) for f, t in zip(floor, step)]
    rows.append({
      'run': run, 'quantity': 'spearman', 'ties': 0,
      **_cells(statistics.bootstrap(np.array(values))),
    })  # fmt: skip
    for name, (a, b) in PAIRS.items():
      found = [
        concordance.pairs(f, t, kinds, a, b) for f, t in zip(floor, step)
      ]
      shares = np.array([c.share for c in found])
      rows.append({
        'run': run, 'quantity': f'concordance {name}',
        'ties': sum(c.ties for c in found),
        **_cells(statistics.bootstrap(shares)),
      })  # fmt: skip
  names = list(ready)
  for a, b in zip(names, names[1:]):
    if ready[a][1].shape[1] != ready[b][1].shape[1]:
      continue
    seeds = min(len(ready[a][0]), len(ready[b][0]))
    shares = [
      concordance.swaps(
        (ready[a][0][s], ready[b][0][s]), (ready[a][1][s], ready[b][1][s])
      ).share
      for s in range(seeds)
    ]
    rows.append({
      'run': f'{a} → {b}', 'quantity': 'swap', 'ties': 0,
      **_cells(statistics.bootstrap(np.array(shares))),
    })  # fmt: skip
  return pd.DataFrame(rows)


_NO_EVENTS = dict(rate=np.nan, total=0, false_alarm=np.nan, p_value=np.nan)


def events_table(runs, draws: int) -> pd.DataFrame:
  """Precursor rate of each of the 13 event metrics, per run and group."""
  rows = []
  for run, data in runs.items():
    step_of = emergence.by_rule(data, RULE).values
    kinds = np.array([groups.group(str(t)) for t in data.task.values])
    for name in series.EVENT_METRICS:
      rate_of = _event_rates(data, name, step_of, draws)
      for group in GROUPS:
        keep = np.flatnonzero((kinds == group) | (group == 'all'))
        if keep.size:
          row = {'run': run, 'metric': name, 'tasks': group}
          rows.append(row | rate_of(keep))
  return pd.DataFrame(rows)


def _event_rates(data, name, step_of, draws):
  """Tasks' indices → rate of one metric among them.

  By cross-correlation for a series, by which came earlier for an event.
  """
  if name in series.EVENT_TIMES:
    times = series.event_times(data, name)

    def earlier(keep):
      emerged = step_of[:, keep]
      total = int(np.isfinite(emerged).sum())
      if times is None or not total:
        return _NO_EVENTS
      first = times[:, keep, None] < emerged
      return _NO_EVENTS | {'rate': first.sum() / total, 'total': total}

    return earlier
  taken = series.take(data, series.EVENT_SERIES, name)
  if taken is None:
    return lambda keep: _NO_EVENTS
  found = precedence.precedence(*taken[1:], draws=draws)

  def correlated(keep):
    one = precedence.Precedence(*(x[:, keep] for x in found))
    rate = precedence.rate(one)
    return {k: getattr(rate, k) for k in _NO_EVENTS}

  return correlated
