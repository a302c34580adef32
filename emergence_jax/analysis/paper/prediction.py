"""How the floor of RankMe orders emergence: the paper's prediction limits."""

import numpy as np
import pandas as pd
import xarray as xr

from emergence_jax.analysis import emergence, statistics, tables
from emergence_jax.analysis.paper import concordance
from emergence_jax.analysis.runs import Run


def predicted(run: Run, rule: str = emergence.RULE_OF_CLAIMS) -> xr.Dataset:
  """Floor and step of emergence of every event, with the group of its task.

  Args:
    run: the run.
    rule: of emergence.

  Returns:
    `floor` and `step` (seed, event), and `group` (event); an event is a pair
    of task and level.
  """
  step = emergence.by_rule(run.data, rule)
  floor = step.copy(
    data=np.broadcast_to(tables.floors_of(run.data)[..., None], step.shape)
  )
  both = xr.Dataset({'floor': floor, 'step': step})
  both = both.stack(event=('task', 'level')).transpose('seed', 'event')
  kinds = [run.group_of(str(t)) for t in both.task.values]
  return both.assign(group=('event', kinds))


# Halfway from chance to 1, where the paper's 0.1 is passed by constant answers.
BY_OUR_RULE = 'spearman, emergence halfway from chance'
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
  counts = [
    concordance.pairs(f, t, events.group.values, *PAIRS[name])
    for f, t in zip(events.floor.values, events.step.values)
  ]
  agree, disagree, ties = np.array(counts).T
  return agree, agree + disagree, ties


def swaps_of(first: xr.Dataset, second: xr.Dataset):
  """Predicted reversals, and reversals, of seed i of one run and of another.

  Only events that both have; seeds beyond the fewer of both are left out.
  """
  first, second = xr.align(first, second, join='inner', exclude=['seed'])
  seeds = range(min(first.sizes['seed'], second.sizes['seed']))
  counts = [
    concordance.swaps(
      (first.floor.values[s], second.floor.values[s]),
      (first.step.values[s], second.step.values[s]),
    )
    for s in seeds
  ]
  reversals, predicted = np.array(counts).T
  return predicted, reversals


def prediction_table(runs) -> pd.DataFrame:
  """How the floor orders emergence, per run and between runs."""
  rows = []
  ready = {n: predicted(r) for n, r in runs.items() if 'rankme' in r.data}
  for run, events in ready.items():
    rho = statistics.mean_interval(spearman_of(events), bounds=(-1, 1))
    ours = statistics.mean_interval(
      spearman_of(predicted(runs[run], emergence.RULE_OF_EVENTS)),
      bounds=(-1, 1),
    )
    for name, value in (('spearman', rho), (BY_OUR_RULE, ours)):
      rows.append({
        'run': run, 'quantity': name, 'ties': 0, **tables.cells(value),
      })  # fmt: skip
    for name in PAIRS:
      agree, decided, ties = concordance_of(events, name)
      rows.append({
        'run': run, 'quantity': f'concordance {name}', 'ties': int(ties.sum()),
        **tables.cells(statistics.shares_of_seeds([agree], [decided])),
      })  # fmt: skip
  for a, b in zip(ready, list(ready)[1:]):
    hits, total = swaps_of(ready[a], ready[b])
    rows.append({
      'run': f'{a} → {b}', 'quantity': 'swap', 'ties': 0,
      **tables.cells(statistics.shares_of_seeds([hits], [total])),
    })  # fmt: skip
  return pd.DataFrame(rows)
