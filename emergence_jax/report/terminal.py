"""What people look at first of an analysis, for a terminal of 80 columns.

Every number is in the CSV tables, which `text.write_tables` writes.
"""

import io
from collections.abc import Sequence

import numpy as np
import pandas as pd
from rich import box, markup
from rich import console as rich_console
from rich import table as rich_table

from emergence_jax.analysis import emergence, statistics
from emergence_jax.analysis.paper import peaks
from emergence_jax.analysis.study import Study
from emergence_jax.report import answers, text

NARROWEST = 80
# Columns whose words may go on in the next line; numbers may not.
_WRAPPED = (
  'run',
  'measure',
  'arm',
  'claim',
  'paper',
  'ours',
  'verdict',
  'over',
)
# A longer word than this is divided; names of runs can be of any length.
_LONGEST, _LONGEST_OF_RUNS = 16, 8


def _longest_word(cells: pd.Series) -> int:
  """Characters that a column must be wide, so that no word is divided."""
  words = [w for cell in cells.astype(str) for w in cell.split()]
  return max(map(len, words), default=0)


def _table(title: str, frame: pd.DataFrame, caption: str) -> rich_table.Table:
  """A frame of text as a table."""
  out = rich_table.Table(
    title=title, title_justify='left', caption=caption, caption_justify='left',
    box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0),
  )  # fmt: skip
  for name, column in frame.items():
    wrapped = name in _WRAPPED
    longest = _LONGEST_OF_RUNS if name == 'run' else _LONGEST
    out.add_column(
      str(name), justify='left' if wrapped or name == 'task' else 'right',
      no_wrap=not wrapped, overflow='fold',
      min_width=min(_longest_word(column), longest) if wrapped else None,
    )  # fmt: skip
  for row in frame.itertuples(index=False):
    out.add_row(*(markup.escape(str(cell)) for cell in row))
  return out


def _varying(frame: pd.DataFrame, keys: Sequence[str]) -> dict[str, pd.Series]:
  """The columns among `keys` that are not the same in all rows."""
  return {k: frame[k].astype(str) for k in keys if frame[k].nunique() > 1}


def _steps(value: float, never: str) -> str:
  return f'{value:,.0f}' if np.isfinite(value) else never


def _interval(frame, name: str, never: str) -> pd.Series:
  """An estimate with its interval below it, in steps."""

  def cell(row):
    value, low, high = row[answers.with_ends(name)]
    if np.isnan(value):
      return '–'
    if np.isnan([low, high]).any():
      return _steps(value, never)
    low, high = statistics.shown_ends(low, high)
    ends = f'[{_steps(low, never)}, {_steps(high, never)}]'
    return f'{_steps(value, never)}\n{ends}'

  return frame.apply(cell, axis=1)


def _of(frame: pd.DataFrame, count: str, total: str) -> pd.Series:
  return frame[count].astype(str) + '/' + frame[total].astype(str)


def _of_all_tasks(frame: pd.DataFrame) -> pd.DataFrame:
  """Without the rows of easy and of hard ones; a frame may be empty."""
  return frame[frame.tasks == 'all'] if len(frame) else frame


def _emergence(results: Study) -> rich_table.Table:
  frame = text.emergence_summary(results)
  never = 'not yet'
  shown = pd.DataFrame({
    **_varying(frame, ['run']), 'task': frame.task, 'level': frame.level,
    'seeds': _of(frame, 'emerged', 'seeds'),
    'median': frame['median step'].map(lambda x: _steps(x, never)),
    'low': frame.low.map(lambda x: _steps(x, never)),
    'high': frame.high.map(lambda x: _steps(x, never)),
    'of level': frame.level_of_interval.map(text.percent),
  })  # fmt: skip
  words = emergence.WORDS[emergence.RULE_OF_EVENTS]
  return _table(
    f'Emergence: first step {words}, for {emergence.PERSISTENCE} checkpoints',
    shown,
    'median over seeds, and an interval of the level that so many seeds allow',
  )


def _moved(results: Study) -> rich_table.Table:
  """Of each run with arms: half of its capabilities, or the only one."""
  frame = results.tables['effects']
  kept = [
    (label, *item.events[e])
    for label, item in results.experiments.items()
    for e in item.foremost
  ]
  events = zip(frame.run, frame.task, frame.level, strict=True)
  frame = frame[[event in kept for event in events]]
  never = 'never'
  shown = pd.DataFrame({
    **_varying(frame, ['run', 'task', 'level']), 'arm': frame.arm,
    'seeds': _of(frame, 'emerged', 'seeds'),
    'beside baseline': _interval(frame, 'shift', never),
    'beside placebo': _interval(frame, 'beyond_placebo', never),
    'Holm': frame.p_holm.map(text.p_value),
    'learned': frame.learned.map(text.percent), 'verdict': frame.verdict,
  })  # fmt: skip
  return _table(
    'What moved it: shifts of emergence, paired by seed',
    shown,
    'steps with 95% intervals; never: beyond the run; Holm: p of both '
    'differences, corrected for all arms; learned: share of the fall of the '
    'training loss',
  )


def _first(results: Study) -> rich_table.Table:
  frame = _of_all_tasks(results.tables['precedence'])
  if not len(frame):
    return _table('What moves first: nothing can be tested', frame, '')
  shown = pd.DataFrame({
    **_varying(frame, ['run']), 'measure': frame.measure,
    'first': _of(frame, 'first', 'events'), 'after': frame['after'],
    'lead': _interval(frame, 'lead', 'never'),
    'p: order\nties': (
      frame.p_order.map(text.p_value)
      + '\n' + frame.p_seeds.map(text.p_value)
      + ', ' + frame.p_tasks.map(text.p_value)
    ),
    'Holm': frame.p_holm.map(text.p_value),
    'verdict': frame.verdict + frame.precedes_by.map(
      lambda by: f' ({by})' if by else ''
    ),
  })  # fmt: skip
  return _table(
    'What moves first: largest changes of measures and of accuracy',
    shown,
    'events that emerged: first and after by onset and midpoint, each by two '
    'checkpoints or more; lead in steps from midpoint to midpoint; p of order: '
    'first rather than after; of ties: with the own seed, with the own task; '
    'Holm: order and a tie, corrected for all measures',
  )


def _precursors(results: Study) -> rich_table.Table | None:
  frame = _of_all_tasks(text.precursors_summary(results))
  if not len(frame):
    return None
  shown = pd.DataFrame({
    **_varying(frame, ['run']), 'measure': frame.measure, 'over': frame['axis'],
    'first': _of(frame, 'hits', 'total'), 'rate': frame.rate.map(text.percent),
    'at once': frame.synchronous.map(text.percent),
    'lagging': frame.lagging.map(text.percent),
    'none': frame['none'].map(text.percent),
  })  # fmt: skip
  return _table(
    f"Precursors, the paper's way: |r| > {peaks.THRESHOLD} with the measure "
    'first',
    shown,
    'shares of the events that emerged; they describe, and prove nothing: '
    'unrelated series that move early have high ones too',
  )


def _claims(results: Study) -> rich_table.Table | str:
  frame = results.tables['claims']
  if not len(frame):
    return 'No run is set beside a study (config.reference.name).'
  measured = frame[frame.verdict != 'not measured']
  if not len(measured):
    return 'Nothing was measured that decides a claim of the study.'
  later = frame['v3/v4'].where(frame['v3/v4'] != '', frame['paper v1'])
  left = len(frame) - len(measured)
  shown = pd.DataFrame({
    'claim': measured.claim, 'paper': later[measured.index],
    'ours': measured['ours [95%] (count)'],
    'verdict': measured.verdict + measured.why.map(
      lambda why: f': {why}' if why else ''
    ),
  })  # fmt: skip
  return _table(
    "The study's claims",
    shown,
    f'{left} more were not measured; CSV and page have all.' if left else '',
  )


def study(results: Study, width: int = NARROWEST) -> str:
  """Answer and tables as plain text.

  Args:
    results: the study.
    width: of the terminal, in characters.
  """
  out = io.StringIO()
  console = rich_console.Console(file=out, width=max(width, NARROWEST))
  console.print(answers.answer(results), highlight=False, markup=False)
  for note in results.notes:
    console.print(f'note: {note}', highlight=False, markup=False)
  tables = [
    _emergence(results),
    _moved(results) if results.experiments else None,
    _first(results), _precursors(results), _claims(results),
  ]  # fmt: skip
  for table in tables:
    if table is not None:
      console.print()
      console.print(table, highlight=False)
  return out.getvalue()
