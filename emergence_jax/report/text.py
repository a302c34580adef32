"""A study in words and tables, for a terminal and for CSV."""

import io
import pathlib

import numpy as np
import pandas as pd
from rich import box
from rich import console as rich_console
from rich import table as rich_table

from emergence_jax.analysis import claims, precedence
from emergence_jax.analysis.study import Study

# Events under which a share says little.
_FEW = 5


def number(value) -> str:
  """A cell: four digits, – for nan, never for infinity; text as it is."""
  if isinstance(value, float | np.floating):
    if np.isnan(value):
      return '–'
    return 'never' if np.isinf(value) else f'{value:,.4g}'
  return str(value)


def _table(title: str, frame: pd.DataFrame, caption: str = ''):
  out = rich_table.Table(
    title=title, box=box.SIMPLE_HEAD, title_justify='left', caption=caption,
    caption_justify='left',
  )  # fmt: skip
  for name, column in frame.items():
    is_text = column.map(lambda v: isinstance(v, str)).all()
    out.add_column(str(name), justify='left' if is_text else 'right')
  for row in frame.itertuples(index=False):
    out.add_row(*map(number, row))
  return out


def _rates(found: Study, **where) -> pd.DataFrame:
  """Rows of the rates at `precedence.THRESHOLD`, of events that emerge."""
  rates = found.tables['precedence']
  where = {'events': 'emerged', 'threshold': precedence.THRESHOLD, **where}
  for column, value in where.items():
    rates = rates[rates[column] == value] if len(rates) else rates
  return rates[rates.total > 0] if len(rates) else rates


def answer(found: Study) -> str:
  """One sentence: did representation geometry move first?"""
  cannot = 'Whether geometry moved first cannot be said: '
  leads = found.tables['leads']
  leads = leads[leads.measure == 'RankMe'] if len(leads) else leads
  if not len(leads):
    return f'{cannot}RankMe was not measured, or at too few checkpoints.'
  if not leads.emerged.any():
    return f'{cannot}no capability emerged in {len(leads)} events.'
  rates = _rates(found, measure='RankMe', axis='uniform', tasks='all')
  if not len(rates):
    return f'{cannot}RankMe did not change.'
  hits, total = int(rates.hits.sum()), int(rates.total.sum())
  null = np.average(rates.false_alarm, weights=rates.total)
  beaten = int((rates.p_value < claims.MAX_P).sum())
  if beaten == len(rates) and hits / total > 0.5:
    word = 'Yes, mostly'
  elif beaten:
    word = 'Sometimes'
  else:
    word = 'Not beyond chance'
  few = '' if total >= _FEW else ' These are few events.'
  others = _others(found)
  return (
    f'{word}: RankMe moved before behaviour in {hits} of {total} events that '
    f'emerged, of {len(leads)} ({hits / total:.0%}); shifted series, which '
    f'have no tie to behaviour, would give {null:.0%} (p < 0.05 in {beaten} '
    f'of {len(rates)} runs).{few}{others}'
  )


def _others(found: Study) -> str:
  """Names the measures whose mean lead in steps is beyond its null.

  p-values are multiplied by the number of measures of a run (Bonferroni).
  """
  rates = _rates(found, axis='uniform', tasks='all')
  tests = rates.groupby('run').measure.transform('count')
  ahead = rates[(rates.lead > 0) & (rates.lead_p_value * tests < claims.MAX_P)]
  if not len(ahead):
    return ' On average no measure led by more than its null.'
  several = rates.run.nunique() > 1
  names = ', '.join(
    f'{row.measure} by {row.lead:,.0f} steps'
    + (f' ({row.run})' if several else '')
    for row in ahead.itertuples()
  )
  return f' On average led by more than their null: {names}.'


def precedence_summary(found: Study) -> pd.DataFrame:
  """Rates at a threshold of 0.3, both axes beside each other."""
  rates = _rates(found)
  columns = ['run', 'measure', 'tasks', 'axis', 'rate', 'low', 'high',
             'total', 'false_alarm', 'p_value', 'lead', 'lead_null_low',
             'lead_null_high', 'lead_p_value']  # fmt: skip
  return rates[columns] if len(rates) else rates


def emergence_summary(found: Study) -> pd.DataFrame:
  """Median steps with intervals, by the chance-corrected rule."""
  frame = found.tables['emergence']
  frame = frame[frame.rule == 'chance-corrected']
  frame = frame.rename(columns={'value': 'median step'})
  columns = ['run', 'task', 'level', 'emerged', 'seeds', 'median step', 'low',
             'high']  # fmt: skip
  return frame[columns]


def study(found: Study, width: int = 170) -> str:
  """The tables that people look at first, as plain text of a width."""
  out = io.StringIO()
  console = rich_console.Console(file=out, width=width)
  console.print(answer(found), highlight=False)
  for note in found.notes:
    console.print(f'note: {note}', highlight=False)
  console.print(
    _table(
      'Emergence: first step above chance + 10% of the rest, for five '
      'checkpoints',
      emergence_summary(found),
      'median and 95% interval over seeds; never: not within the run',
    )  # fmt: skip
  )
  console.print(
    _table(
      f'Precursors: |r| > {precedence.THRESHOLD} with the measure first, of '
      'the events that emerge',
      precedence_summary(found),
      f'null: {precedence.MAX_LAG} checkpoints either way, circular shifts; '
      'false_alarm is its mean rate',
    )
  )
  table = found.tables['claims']
  if (table.verdict == 'not measured').all():
    console.print('No claim of the paper is about these runs.')
    return out.getvalue()
  columns = ['claim', 'paper v1', 'v3/v4', 'ours [95%] (count)', 'seeds',
             'p against null', 'range', 'verdict', 'why']  # fmt: skip
  console.print(_table('Claims', table[columns]))
  return out.getvalue()


def write_tables(found: Study, folder: pathlib.Path) -> list[pathlib.Path]:
  """Writes every table as CSV; returns the files."""
  folder.mkdir(parents=True, exist_ok=True)
  paths = []
  for name, frame in found.tables.items():
    paths.append(folder / f'{name}.csv')
    frame.to_csv(paths[-1], index=False)
  return paths
