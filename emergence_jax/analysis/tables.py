"""Tables of what the timeseries of one or several runs show."""

from collections.abc import Collection

import numpy as np
import pandas as pd
import xarray as xr

from emergence_jax.analysis import align, collapse, emergence, statistics
from emergence_jax.analysis.paper import ALGORITHMIC, claims, concordance
from emergence_jax.analysis.paper import algorithmic as paper
from emergence_jax.analysis.runs import Run


def _cells(estimate: statistics.Estimate) -> dict:
  return {
    'value': estimate.value, 'low': estimate.low, 'high': estimate.high,
    'count': estimate.count, 'level_of_interval': estimate.level,
  }  # fmt: skip


def emergence_tables(runs) -> dict[str, pd.DataFrame]:
  """Steps of emergence by every rule: over seeds, and seed by seed."""
  summary, each = [], []
  for run, one_run in runs.items():
    data = one_run.data
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


def collapse_table(runs) -> pd.DataFrame:
  """Floor, its step, recovery and the rest, per run × task × layer."""
  rows = []
  for run, one_run in runs.items():
    data = one_run.data
    if 'rankme' not in data:
      continue
    rank = data.rankme.transpose('seed', 'task', 'layer', 'step')
    found = collapse.collapse(data.step.values, rank.values)
    for k, task in enumerate(data.task.values):
      for i, layer in enumerate(data.layer.values):
        for quantity, values in found._asdict().items():
          if quantity == 'is_over':
            continue
          is_time = quantity == 'half_step'
          estimate = (
            statistics.median_time(values[:, k, i])
            if is_time
            else statistics.mean_interval(values[:, k, i])
          )
          rows.append({
            'run': run, 'task': str(task), 'layer': int(layer),
            'quantity': quantity, **_cells(estimate),
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
  for run, one_run in runs.items():
    data = one_run.data
    if 'rankme' not in data or data.sizes['layer'] < 2:
      continue
    for name, values in depth_of(data)._asdict().items():
      hits, known = hits_of(values)
      if name == 'order':
        mean = np.full(len(hits), np.nan)
        np.divide(hits, known, out=mean, where=known > 0)
        estimate = statistics.mean_interval(mean).within(-1, 1)
      else:
        estimate = statistics.shares([hits], [known])
      rows.append({'run': run, 'test': name, **_cells(estimate)})
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


def floors_by_task(runs) -> dict[str, dict[str, np.ndarray]]:
  """Task → run → floors [S], of the runs that have one of the task."""
  floors: dict[str, dict[str, np.ndarray]] = {}
  for run, one_run in runs.items():
    data = one_run.data
    if 'rankme' in data:
      for task, column in zip(data.task.values, floors_of(data).T):
        if np.isfinite(column).any():
          floors.setdefault(str(task), {})[run] = column
  return floors


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
      found = collapse.invariance(list(by_run.values()))
      shown = zip(by_run, found.floors)
      rows.append({
        'task': task, 'checkpoints': way, 'runs': len(by_run),
        'mean': found.mean, 'std': found.std, 'variation': found.variation,
        'spread_between_seeds': found.spread, 'p_value': found.p_value,
        'floors': ', '.join(f'{n} {v:.3g}' for n, v in shown),
      })  # fmt: skip
  return pd.DataFrame(rows)


def predicted(run: Run) -> xr.Dataset:
  """Floor and step of emergence of every event, with the group of its task.

  Returns:
    `floor` and `step` (seed, event), and `group` (event); an event is a pair
    of task and level.
  """
  step = emergence.by_rule(run.data, emergence.RULE_OF_CLAIMS)
  floor = step.copy(
    data=np.broadcast_to(floors_of(run.data)[..., None], step.shape)
  )
  both = xr.Dataset({'floor': floor, 'step': step})
  both = both.stack(event=('task', 'level')).transpose('seed', 'event')
  kinds = [run.group_of(str(t)) for t in both.task.values]
  return both.assign(group=('event', kinds))


PAIRS = {
  'easy': ('easy', 'easy'),
  'hard': ('hard', 'hard'),
  'across': ('easy', 'hard'),
}


def spearman_of(events: xr.Dataset) -> np.ndarray:
  """Rank correlation of floor and step of emergence for each seed, [S]."""
  return np.array([
    concordance.spearman(f, t)
    for f, t in zip(events.floor.values, events.step.values)
  ])  # fmt: skip


def concordance_of(events: xr.Dataset, name: str):
  """Agreeing, decided and tied pairs of each seed, [S] each."""
  found = [
    concordance.pairs(f, t, events.group.values, *PAIRS[name])
    for f, t in zip(events.floor.values, events.step.values)
  ]
  agree, disagree, ties = np.array(found).T
  return agree, agree + disagree, ties


def swaps_of(one: xr.Dataset, other: xr.Dataset):
  """Predicted reversals, and reversals, of seed i of one run and of another.

  Only events that both have; seeds beyond the fewer of both are left out.
  """
  one, other = xr.align(one, other, join='inner', exclude=['seed'])
  seeds = range(min(one.sizes['seed'], other.sizes['seed']))
  found = [
    concordance.swaps(
      (one.floor.values[s], other.floor.values[s]),
      (one.step.values[s], other.step.values[s]),
    )
    for s in seeds
  ]
  reversals, predicted = np.array(found).T
  return predicted, reversals


def prediction_table(runs) -> pd.DataFrame:
  """How the floor orders emergence, per run and between runs."""
  rows = []
  ready = {n: predicted(r) for n, r in runs.items() if 'rankme' in r.data}
  for run, events in ready.items():
    rows.append({
      'run': run, 'quantity': 'spearman', 'ties': 0,
      **_cells(statistics.mean_interval(spearman_of(events)).within(-1, 1)),
    })  # fmt: skip
    for name in PAIRS:
      agree, decided, ties = concordance_of(events, name)
      rows.append({
        'run': run, 'quantity': f'concordance {name}', 'ties': int(ties.sum()),
        **_cells(statistics.shares([agree], [decided])),
      })  # fmt: skip
  for a, b in zip(ready, list(ready)[1:]):
    hits, total = swaps_of(ready[a], ready[b])
    rows.append({
      'run': f'{a} → {b}', 'quantity': 'swap', 'ties': 0,
      **_cells(statistics.shares([hits], [total])),
    })  # fmt: skip
  return pd.DataFrame(rows)


def numbers_table(runs) -> pd.DataFrame:
  """Every number that the paper gives for a size, beside ours."""
  rows = []
  for run, one_run in runs.items():
    data, size = one_run.data, one_run.size
    if one_run.reference is not ALGORITHMIC or size not in paper.SIZES:
      continue
    place = paper.SIZES.index(size)
    for (
      quantity, task, level, theirs, half, ours_S, is_final
    ) in _numbers(data, place):  # fmt: skip
      is_step = quantity == 'emergence'
      estimate = (
        statistics.median_time(ours_S) if is_step
        else statistics.mean_interval(ours_S)
      )  # fmt: skip
      slack = (paper.spacing(theirs), 0) if is_step else (half, half)
      ends = statistics.prediction(ours_S)
      word, why = claims.number_verdict(
        ends, (theirs - slack[0], theirs + slack[1]),
        align.caveat(one_run, is_final),
      )  # fmt: skip
      rows.append({
        'run': run, 'quantity': quantity, 'task': task, 'level': level,
        'paper': float(theirs), 'ours': estimate.value, 'low': estimate.low,
        'high': estimate.high, 'seeds': estimate.count,
        'one more seed, low': ends[0], 'one more seed, high': ends[1],
        'verdict': word, 'why': why,
      })  # fmt: skip
  return pd.DataFrame(rows)


def _numbers(data: xr.Dataset, place: int):
  """Quantity, task, level, paper's, half its last digit, ours [S].

  And whether more training would leave ours as it is.
  """
  if 'rankme' in data:
    found = collapse_of(data)
    for quantity, ours, theirs, half, is_final in (
      ('RankMe at step 0', found.initial, paper.INITIAL, 0.05,
       np.ones_like(found.is_over)),
      ('floor of RankMe', found.floor, paper.FLOORS, 0.005, found.is_over),
    ):  # fmt: skip
      for k, task in enumerate(map(str, data.task.values)):
        if task in theirs:
          yield (
            quantity, task, '', theirs[task][place], half, ours[:, k],
            bool(np.all(is_final[:, k])),
          )  # fmt: skip
  steps = emergence.by_rule(data, emergence.RULE_OF_CLAIMS)
  for task, levels in paper.EMERGENCE.items():
    for level, theirs in levels.items():
      if task in steps.task and level in steps.level:
        ours = steps.sel(task=task, level=level).values
        # A step is as fine as the checkpoints before it.
        is_final = bool(np.isfinite(ours).all())
        yield 'emergence', task, level, theirs[place], 0, ours, is_final
