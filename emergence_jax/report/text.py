"""Results in words and tables, for a terminal and for CSV."""

import io
import pathlib
from typing import NamedTuple

import numpy as np
import pandas as pd
from rich import box, markup
from rich import console as rich_console
from rich import table as rich_table

from emergence_jax.analysis import align, emergence, lengths, precedence, timing
from emergence_jax.analysis.paper import cadences, peaks
from emergence_jax.analysis.study import Study
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


def _tests(results: Study, **where) -> pd.DataFrame:
  """Rows of the tests of what moves first."""
  tests = results.tables['precedence']
  for column, value in where.items():
    tests = tests[tests[column] == value] if len(tests) else tests
  return tests


def _p(name: str, value: float) -> str:
  """A p-value in words, or that it is not possible."""
  if np.isnan(value):
    return f'{name} not possible'
  return f'{name} p {value:.2g}'


_MEANING = {
  'precedes': 'it precedes behaviour',
  'not shown': 'that it precedes behaviour is not shown',
  'undecided': 'undecided, for lack of seeds, tasks or clear changes',
}


def sentence(row) -> str:
  """One measure of one run: counts, lead, tests and verdict.

  Args:
    row: of the table `precedence`.
  """
  lead = ''
  if np.isfinite(row.lead):
    ends = (
      '' if np.isnan(row.lead_low)
      else f' [{row.lead_low:,.0f}, {row.lead_high:,.0f}]'
    )  # fmt: skip
    lead = (
      f', on average by {row.lead:,.0f}{ends} steps (its largest change lies '
      f'at a median step of {row.step_of_change:,.0f}, that of accuracy at '
      f'{row.step_of_behaviour:,.0f})'
    )
  tests = ', '.join((
    _p('order', row.p_order), _p('tie over seeds', row.p_seeds),
    _p('tie over tasks', row.p_tasks),
  ))  # fmt: skip
  meaning = _MEANING[row.verdict]
  if row.verdict == 'not shown' and row.p_order < precedence.MAX_P:
    meaning = 'it comes first, as what moves early does, but no tie is shown'
  return (
    f'{row.measure} moved first in {row.first}, together with behaviour in '
    f'{row.together}, after it in {row.after} of {row.events} events that '
    f'emerged ({row.unclear} unclear){lead}; {tests}: {meaning}.'
  )


class Clause(NamedTuple):
  """A further sentence, and where a reader finds what it rests on."""

  words: str
  place: str


class Answer(NamedTuple):
  """The answer for one run.

  Attributes:
    run: its label; empty if nothing can be said of any.
    rank: on RankMe, which is what the study is about.
    more: on the other measures, and where the two axes disagree.
  """

  run: str
  rank: str
  more: tuple[Clause, ...] = ()


def answers(results: Study) -> list[Answer]:
  """Did representation geometry move first? An answer for each run."""
  leads = results.tables['leads']
  runs = leads.run.unique() if len(leads) else ()
  if not len(runs):
    why = ' '.join(align.too_few(results.changes))
    why = why or 'nothing but behaviour was measured.'
    return [Answer('', f'Whether geometry moved first cannot be said: {why}')]
  said = [_answer_of(results, run) for run in runs]
  if len(said) == 1:
    return said
  return [a._replace(rank=f'{a.run}: {a.rank}') for a in said]


def answer(results: Study) -> str:
  """The answers in one line, for a terminal."""
  return ' '.join(
    ' '.join([sentence.rank, *(clause.words for clause in sentence.more)])
    for sentence in answers(results)
  )


def _answer_of(results: Study, run: str) -> Answer:
  leads = results.tables['leads']
  leads = leads[(leads.run == run)]
  lead = leads[leads.measure == leads.measure.iloc[0]]
  if not lead.emerged.any():
    return Answer(run, (
      'Whether geometry moved first cannot be said: no capability emerged in '
      f'{len(lead)} events.'
    ))  # fmt: skip
  rows = _tests(results, run=run, tasks='all')
  rank = [sentence(row) for row in rows[rows.measure == 'RankMe'].itertuples()]
  if not rank:
    few = results.changes.get(run, {}).get('RankMe')
    why = align.too_few({run: {'RankMe': few}}) or ['it was not measured.']
    rank = [f'Whether RankMe moved first cannot be said: {why[0]}']
  more = (
    *_lengths(results, run), *_others(rows[rows.measure != 'RankMe']),
    *_axes(results, run), *_cadences(results, run),
  )  # fmt: skip
  return Answer(run, ' '.join([*_timing(results, run), *rank]), more)


def _others(rows: pd.DataFrame) -> list[Clause]:
  """The measures but RankMe that precede, or that none does."""
  if not len(rows):
    return []
  ahead = ', '.join(
    f'{row.measure} (by {row.lead:,.0f} steps)'
    for row in rows[rows.verdict == 'precedes'].itertuples()
  )
  if len(rows) == 1:
    first = rows.iloc[0]
    ending = f'precedes, by {first.lead:,.0f} steps' if ahead else (
      'is not shown to precede'
    )  # fmt: skip
    words = f'One other measure, {first.measure}, was compared; it {ending}.'
  elif ahead:
    words = f'Of {len(rows)} other measures these precede: {ahead}.'
  else:
    words = f'None of {len(rows)} other measures is shown to precede.'
  return [Clause(words, 'leads')]


def _lengths(results: Study, run: str) -> list[Clause]:
  """That what is first depends on how long one looks, where it does."""
  row = lengths.disagreement(results.tables['lengths'], run, 'RankMe')
  if row is None:
    return []
  then = _share(row.first_then, row.low, row.high)
  end = _share(row.first_at_the_end, row.low_at_the_end, row.high_at_the_end)
  words = (
    'Which of its changes is the largest depends on how long one looks: of '
    f'{row.events} events that had emerged by step {row.up_to_step:,} RankMe '
    f'is first in {then} if one stops there, and in {end} to the end.'
  )
  return [Clause(words, 'lengths')]


def _timing(results: Study, run: str) -> list[str]:
  """Whether geometry tells when a seed emerges, and more than baselines do."""
  table = results.tables['timing']
  table = table[(table.run == run) & (table.window == timing.WINDOWS[0])]
  if not len(table):
    return []
  told = table[table.verdict == 'tells']
  measures, baselines = (
    ', '.join(dict.fromkeys(told[told.kind == kind].measure))
    for kind in (timing.MEASURE, timing.BASELINE)
  )
  adds = ', '.join(dict.fromkeys(told[told.beyond == timing.ADDS].measure))
  before = 'Before any seed is above chance '
  if not measures:
    words = f'{before}no measure of geometry tells when a seed gets there'
    return [f'{words}; of the baselines {baselines or "none"} tell.']
  words = f'{before}{measures} tells when a seed gets there'
  beyond = f'{adds} adds to the baselines' if adds else (
    f'nothing of it adds to the baselines ({baselines or "none tells"})'
  )  # fmt: skip
  return [f'{words}; {beyond}.']


def _share(value: float, low: float, high: float) -> str:
  """A share with its interval: `95% [89%, 99%]`; – where there is none."""
  if np.isnan(value):
    return '–'
  ends = '' if np.isnan(low) else f' [{low:.0%}, {high:.0%}]'
  return f'{value:.0%}{ends}'


def _with_ends(name: str) -> list[str]:
  """The columns of a share and of the ends of its interval."""
  return [name, f'{name}_low', f'{name}_high']


def _axes(results: Study, run: str) -> list[Clause]:
  """The paper's own rates of RankMe where its two axes disagree."""
  rates = results.tables['precursors']
  if not len(rates):
    return []
  rates = rates[
    (rates.run == run) & (rates.measure == 'RankMe') & (rates.tasks == 'all')
    & (rates.threshold == peaks.THRESHOLD)
  ].set_index('axis').reindex(['checkpoints', 'steps'])  # fmt: skip
  # Also where there is no interval, of one seed.
  if not rates.low.max(skipna=False) > rates.high.min(skipna=False):
    return []
  said = ' and '.join(
    f'{_share(row.rate, row.low, row.high)} over {axis}'
    for axis, row in rates.iterrows()
  )
  words = f"The paper's own way depends on the axis: RankMe is first in {said}."
  return [Clause(words, 'precursors')]


def _cadences(results: Study, run: str) -> list[Clause]:
  """The paper's own rate of RankMe where it depends on the schedule."""
  rows = cadences.disagreement(results.tables['cadences'], run, 'RankMe')
  if rows is None:
    return []
  columns = _with_ends('over_checkpoints')
  often, seldom = (_share(*row[columns]) for row in rows)
  words = (
    f"By the paper's own way RankMe is first in {often} over all "
    f'{rows[0].checkpoints} checkpoints, and in {seldom} over one in '
    f'{rows[1].one_in} of them.'
  )
  return [Clause(words, 'cadences')]


_COUNTS = ('events', 'first', 'together', 'after', 'unclear')
_P_VALUES = ('p_order', 'p_seeds', 'p_tasks', 'p_precedes', 'p_holm')


def precedence_summary(results: Study) -> pd.DataFrame:
  """The tests, without what is only for those who compute with them."""
  tests = results.tables['precedence']
  columns = ['run', 'measure', 'tasks', *_COUNTS, 'lead', 'lead_low',
             'lead_high', 'step_of_change', 'step_of_behaviour', *_P_VALUES,
             'verdict']  # fmt: skip
  return tests[columns] if len(tests) else tests


def precursors_summary(results: Study) -> pd.DataFrame:
  """The paper's rates at a threshold of 0.3, both axes beside each other."""
  rates = results.tables['precursors']
  if not len(rates):
    return rates
  return rates[rates.threshold == peaks.THRESHOLD].drop(columns='threshold')


def cadences_summary(results: Study, cell=_share) -> pd.DataFrame:
  """What is first by how often one looks, a cell for each share.

  Args:
    results: the study.
    cell: (value, low, high) → text.
  """
  table = results.tables['cadences']
  if not len(table):
    return table

  def shares(name):
    columns = _with_ends(name)
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
  console.print(answer(results), highlight=False, markup=False)
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
  tests = precedence_summary(results)
  if len(tests):
    tests = tests[tests.tasks == 'all'].drop(columns='tasks')
  console.print(
    _table(
      'What moves first: largest changes of measures against those of accuracy',
      tests,
      'events that emerged; lead in steps with its 95% interval over seeds; '
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
      frame.to_csv(partial, index=False, errors='replace')
  return paths
