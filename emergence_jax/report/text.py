"""Results in tables, for the page and for CSV."""

import pathlib

import numpy as np
import pandas as pd

from emergence_jax.analysis import emergence
from emergence_jax.analysis.paper import peaks
from emergence_jax.analysis.study import Study
from emergence_jax.report import answers
from emergence_jax.store import files


def number(value) -> str:
  """A cell: four digits, – for nan; text as it is.

  Steps have all of theirs; infinity is one that has not come by the end.

  >>> [number(v) for v in (12500.0, 0.00012, 3.14159, 2e9)]
  ['12,500', '0.00012', '3.142', '2e+09']
  """
  if isinstance(value, float | np.floating):
    if np.isnan(value):
      return '–'
    if np.isinf(value):
      return 'not yet'
    return f'{value:,.0f}' if 1e4 <= abs(value) < 1e7 else f'{value:,.4g}'
  if isinstance(value, int | np.integer) and not isinstance(value, bool):
    return f'{value:,}'
  return str(value)


def p_value(value: float) -> str:
  """Two digits; – where a test is not possible.

  >>> [p_value(p) for p in (0.03125, float('nan'))]
  ['0.031', '–']
  """
  return '–' if np.isnan(value) else f'{value:.2g}'


def percent(share: float) -> str:
  """A share without decimals; – where it is not known."""
  return '–' if np.isnan(share) else f'{share:.0%}'


def heading(name) -> str:
  """A column's name as people read it: `p_order` → `p order`."""
  return str(name).replace('_', ' ')


_COUNTS = ('events', 'first', 'together', 'after', 'depends', 'unclear')
_P_VALUES = ('p_order', 'p_seeds', 'p_tasks', 'p_precedes', 'p_holm')


def precedence_summary(results: Study) -> pd.DataFrame:
  """The tests, without what is only for those who compute with them."""
  tests = results.tables['precedence']
  columns = ['run', 'measure', 'tasks', *_COUNTS, 'lead', 'lead_low',
             'lead_high', 'step_of_change', 'step_of_behaviour', *_P_VALUES,
             'verdict', 'precedes_by']  # fmt: skip
  return tests[columns] if len(tests) else tests


def precursors_summary(results: Study) -> pd.DataFrame:
  """The paper's rates at a threshold of 0.3, both axes beside each other."""
  rates = results.tables['precursors']
  if not len(rates):
    return rates
  return rates[rates.threshold == peaks.THRESHOLD].drop(columns='threshold')


def cadences_summary(results: Study, cell=answers.share) -> pd.DataFrame:
  """What is first by how often one looks, a cell for each share.

  Args:
    results: the study.
    cell: (value, low, high) → text.
  """
  table = results.tables['cadences']
  if not len(table):
    return table

  def shares(name):
    columns = answers.with_ends(name)
    return table.apply(lambda row: cell(*row[columns]), axis=1)

  return pd.DataFrame({
    'run': table.run, 'measure': table.measure,
    'looked at': table.one_in.map(
      lambda n: 'every checkpoint' if n == 1 else f'one in {n}'
    ),
    'checkpoints': table.checkpoints,
    'first by the largest change': shares('first'),
    'precursors over checkpoints': shares('over_checkpoints'),
    'precursors over steps': shares('over_steps'),
  })  # fmt: skip


def emergence_summary(results: Study) -> pd.DataFrame:
  """Median steps with intervals, by the rule of events."""
  frame = results.tables['emergence']
  frame = frame[frame.rule == emergence.RULE_OF_EVENTS]
  frame = frame.rename(columns={'value': 'median step'})
  columns = ['run', 'task', 'level', 'emerged', 'seeds', 'median step', 'low',
             'high', 'level_of_interval']  # fmt: skip
  return frame[columns]


def write_tables(results: Study, folder: pathlib.Path) -> list[pathlib.Path]:
  """Writes every table as CSV; returns the files."""
  folder.mkdir(parents=True, exist_ok=True)
  paths = []
  for name, frame in results.tables.items():
    paths.append(folder / f'{name}.csv')
    with files.replacing(paths[-1]) as partial:
      files.as_text(frame).to_csv(partial, index=False, errors='replace')
  return paths
