"""A study in words and tables, for a terminal and for CSV."""

import io
import pathlib

import numpy as np
import pandas as pd
from rich import box
from rich import console as rich_console
from rich import table as rich_table

from emergence_jax.analysis import precedence
from emergence_jax.analysis.study import Study

_THRESHOLD = 0.3


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


def answer(found: Study) -> str:
  """One sentence: did representation geometry move first?"""
  rates = found.tables['precedence']
  if not len(rates):
    return 'Whether geometry moved first cannot be said: it was not measured.'
  rates = rates[
    (rates.measure == 'RankMe') & (rates.axis == 'uniform')
    & (rates.tasks == 'all') & (rates.threshold == _THRESHOLD)
  ]  # fmt: skip
  if not len(rates) or not rates.total.sum():
    return (
      'Whether geometry moved first cannot be said: RankMe or behaviour did '
      'not change.'
    )
  hits, total = int(rates.hits.sum()), int(rates.total.sum())
  share = hits / total
  null = np.average(rates.false_alarm, weights=rates.total)
  beaten = int((rates.p_value < 0.05).sum())
  if beaten == len(rates) and share > 0.5:
    word = 'Yes, mostly'
  elif beaten:
    word = 'Sometimes'
  else:
    word = 'Not beyond chance'
  return (
    f'{word}: RankMe moved before behaviour in {hits} of {total} events '
    f'({share:.0%}); shifted series, which have no tie to behaviour, would '
    f'give {null:.0%} (p < 0.05 in {beaten} of {len(rates)} runs).'
  )


def precedence_summary(found: Study) -> pd.DataFrame:
  """Rates at a threshold of 0.3, both axes beside each other."""
  rates = found.tables['precedence']
  if not len(rates):
    return rates
  rates = rates[rates.threshold == _THRESHOLD]
  columns = ['run', 'measure', 'tasks', 'axis', 'rate', 'low', 'high',
             'total', 'false_alarm', 'p_value']  # fmt: skip
  return rates[columns]


def emergence_summary(found: Study) -> pd.DataFrame:
  """Median steps with intervals, by the chance-corrected rule."""
  frame = found.tables['emergence']
  frame = frame[frame.rule == 'chance-corrected']
  frame = frame.rename(columns={'value': 'median step'})
  columns = ['run', 'task', 'level', 'emerged', 'seeds', 'median step', 'low',
             'high']  # fmt: skip
  return frame[columns]


def study(found: Study) -> str:
  """The tables that people look at first, as plain text."""
  out = io.StringIO()
  console = rich_console.Console(file=out, width=150)
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
      f'Precursors: |r| > {_THRESHOLD} with the measure first',
      precedence_summary(found),
      f'null: {precedence.MAX_LAG} checkpoints either way, circular shifts; '
      'false_alarm is its mean rate',
    )
  )
  columns = ['claim', 'paper v1', 'v3/v4', 'ours [95%] (count)', 'seeds',
             'p against null', 'range', 'verdict']  # fmt: skip
  console.print(_table('Claims', found.tables['claims'][columns]))
  return out.getvalue()


def write_tables(found: Study, folder: pathlib.Path) -> list[pathlib.Path]:
  """Writes every table as CSV; returns the files."""
  folder.mkdir(parents=True, exist_ok=True)
  paths = []
  for name, frame in found.tables.items():
    paths.append(folder / f'{name}.csv')
    frame.to_csv(paths[-1], index=False)
  return paths
