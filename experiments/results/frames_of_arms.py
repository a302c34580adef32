"""The tables of RESULTS.md that are of runs with arms."""

import numpy as np
import pandas as pd

from emergence_jax.analysis.moved import ALL
from experiments.results import cells


def _shift(row, name: str) -> str:
  """A paired shift with its interval; beyond the run where half are."""
  if np.isinf(row[name]):
    return 'beyond the run'
  return cells.estimate(row[name], row[f'{name}_low'], row[f'{name}_high'])


def _rank_shifts(study, table: pd.DataFrame, arms: str) -> list[str]:
  """How far each row's arm moved RankMe of its task by the windows' end."""
  geometry = study.tables['moved_geometry']
  rank = geometry[geometry.measure == 'RankMe']
  rank = rank.set_index(['run', 'task', 'arm'])
  keys = table[['run', 'task', arms]].itertuples(index=False, name=None)
  return [_shift(rank.loc[key], 'shift') for key in keys]


def _shifts(table: pd.DataFrame, name: str) -> list[str]:
  return [_shift(row, name) for _, row in table.iterrows()]


def _event(table: pd.DataFrame) -> pd.DataFrame:
  """The columns that say which run and capability, where there are several."""
  names = table[['run', 'task', 'level']]
  return names.loc[:, names.nunique() > 1]


def _by_event(table: pd.DataFrame) -> pd.DataFrame:
  return _event(table).join(table.drop(columns=['run', 'task', 'level']))


def effects(loaded, study) -> pd.DataFrame:
  """What each arm did to emergence, and to RankMe at the windows' end."""
  del loaded
  table = study.tables['effects']
  return pd.DataFrame({
    **_event(table),
    'arm': table.arm,
    'RankMe': _rank_shifts(study, table, 'arm'),
    'emergence, steps': _shifts(table, 'shift'),
    'beyond its placebo': _shifts(table, 'beyond_placebo'),
    'p, by Holm': table.p_holm,
    'emerged': table.emerged.map(str) + '/' + table.seeds.map(str),
    'learned': table.learned.map(lambda x: f'{x:.0%}'),
    'verdict': table.verdict,
  })  # fmt: skip


def effects_on_half(loaded, study) -> pd.DataFrame:
  """The same, of the step at which a network has half of its capabilities."""
  table = effects(loaded, study)
  return table[table.task == ALL].drop(columns=['task', 'level'])


def effects_by_rule(loaded, study) -> pd.DataFrame:
  """The same for shares of the capabilities, by every rule of emergence."""
  del loaded
  table = study.tables['effects_by_rule']
  return pd.DataFrame({
    'rule': table.rule, 'capabilities': table.capabilities,
    'share of them': table.share.map(lambda x: f'{x:.0%}'), 'arm': table.arm,
    'in the baseline, step': table.baseline,
    'shift, steps': _shifts(table, 'shift'),
    'beyond its placebo': _shifts(table, 'beyond_placebo'), 'p': table.p,
  })  # fmt: skip


def controls(loaded, study) -> pd.DataFrame:
  """Shams and placebos beside the baseline."""
  del loaded
  table = study.tables['effects_of_controls']
  return pd.DataFrame({
    **_event(table),
    'control': table.control,
    'RankMe': _rank_shifts(study, table, 'control'),
    'emergence, steps': _shifts(table, 'shift'),
    'p': table.p,
    'emerged': table.emerged.map(str) + '/' + table.seeds.map(str),
  })  # fmt: skip


def trends(loaded, study) -> pd.DataFrame:
  """Emergence over the strengths of an intervention, and of its placebos."""
  del loaded
  return _by_event(study.tables['trends'])


def mediation(loaded, study) -> pd.DataFrame:
  """Whether a seed whose geometry was moved more emerged later for it."""
  del loaded
  return _by_event(study.tables['mediation'])
