"""Results in tables, for a terminal and for CSV."""

import io
import pathlib

import numpy as np
import pandas as pd
from rich import box, markup
from rich import console as rich_console
from rich import table as rich_table

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


def heading(name) -> str:
  """A column's name as people read it: `p_order` → `p order`."""
  return str(name).replace('_', ' ')


def _table(title: str, frame: pd.DataFrame, caption: str = ''):
  # Names are shown as they are, brackets and all.
  out = rich_table.Table(
    title=title, box=box.SIMPLE_HEAD, title_justify='left', caption=caption,
    caption_justify='left',
  )  # fmt: skip
  for name, column in frame.items():
    is_text = column.map(lambda v: isinstance(v, str)).all()
    out.add_column(heading(name), justify='left' if is_text else 'right')
  for row in frame.itertuples(index=False):
    out.add_row(*(markup.escape(number(cell)) for cell in row))
  return out


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


def study(results: Study, width: int = 170) -> str:
  """The tables that people look at first, as plain text of a width."""
  out = io.StringIO()
  console = rich_console.Console(file=out, width=width)
  console.print(answers.answer(results), highlight=False, markup=False)
  for note in results.notes:
    console.print(f'note: {note}', highlight=False, markup=False)
  console.print(
    _table(
      f'Emergence: first step {emergence.WORDS[emergence.RULE_OF_EVENTS]}, for '
      f'{emergence.PERSISTENCE} checkpoints',
      emergence_summary(results),
      'median and interval over seeds, with the level that so many seeds allow;'
      ' not yet: not within the run',
    )  # fmt: skip
  )
  if results.experiments:
    console.print(
      _table(
        'What moved it: shifts of emergence, paired by seed',
        results.tables['effects'],
        'steps, with 95% intervals, beside the baseline and beside the '
        'placebo; learned: share of the fall of the training loss',
      )
    )
  tests = precedence_summary(results)
  if len(tests):
    tests = tests[tests.tasks == 'all'].drop(columns='tasks')
  console.print(
    _table(
      'What moves first: largest changes of measures against those of accuracy',
      tests,
      'events that emerged: first and after by onset and midpoint, each by two '
      'checkpoints or more; lead in steps from midpoint to midpoint with its '
      '95% interval over seeds; '
      'p order: first rather than after; p seeds, p tasks: tied to the own '
      'seed, task; p holm: order and a tie, corrected for all measures',
    )
  )
  rates = precursors_summary(results)
  if len(rates):
    console.print(
      _table(
        f"Precursors, the paper's way: |r| > {peaks.THRESHOLD} with the "
        'measure first',
        rates.drop(columns=['low', 'high']),
        'shares of the events that emerged; they describe, and prove nothing: '
        'unrelated series that move early have high ones too',
      )
    )
  table = results.tables['claims']
  if not len(table):
    console.print('No run is set beside a study (config.reference.name).')
    return out.getvalue()
  if (table.verdict == 'not measured').all():
    console.print('Nothing was measured that decides a claim of the study.')
    return out.getvalue()
  columns = ['claim', 'paper v1', 'v3/v4', 'ours [95%] (count)', 'seeds',
             'p of precedence', 'range', 'verdict', 'why']  # fmt: skip
  console.print(_table('Claims', table[columns]))
  return out.getvalue()


def write_tables(results: Study, folder: pathlib.Path) -> list[pathlib.Path]:
  """Writes every table as CSV; returns the files."""
  folder.mkdir(parents=True, exist_ok=True)
  paths = []
  for name, frame in results.tables.items():
    paths.append(folder / f'{name}.csv')
    with files.replacing(paths[-1]) as partial:
      files.as_text(frame).to_csv(partial, index=False, errors='replace')
  return paths
