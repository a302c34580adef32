"""Results in sentences: did geometry move first, and does it tell more?"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from emergence_jax.analysis import align, lengths, precedence, timing
from emergence_jax.analysis.emergence import RULE_OF_EVENTS, WORDS
from emergence_jax.analysis.paper import cadences, peaks
from emergence_jax.analysis.study import Study
from emergence_jax.report import moved


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
  'precedes': 'it precedes {}',
  'depends': 'whether it precedes depends on what is called the change',
  'not shown': 'that it precedes {} is not shown',
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
      f', on average by {row.lead:,.0f}{ends} steps from midpoint to midpoint '
      f'({row.lead_onset:,.0f} from onset to onset, {row.lead_end:,.0f} from '
      f'end to end; its largest change lies at a median step of '
      f'{row.step_of_change:,.0f}, that of accuracy at '
      f'{row.step_of_behaviour:,.0f})'
    )
  tests = ', '.join((
    _p('order', row.p_order), _p('tie over seeds', row.p_seeds),
    _p('tie over tasks', row.p_tasks),
  ))  # fmt: skip
  meaning = _MEANING[row.verdict].format('behaviour')
  if row.verdict == 'depends':
    meaning += f': by its {row.precedes_by} alone it does'
  if row.verdict == 'not shown' and row.p_order < precedence.MAX_P:
    meaning = 'it comes first, as what moves early does, but no tie is shown'
  return (
    f'{row.measure} moved first in {row.first}, together with behaviour in '
    f'{row.together}, after it in {row.after} of {row.events} events that '
    f'emerged ({row.depends} depend on what is called the change, '
    f'{row.unclear} are unclear){lead}; {tests}: {meaning}.'
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
    plain: the same in a sentence without a number that needs explaining; empty
      where nothing can be said.
    more: on the other measures, and where the two axes disagree.
  """

  run: str
  rank: str
  more: tuple[Clause, ...] = ()
  plain: str = ''


_CANNOT = 'Whether geometry moved first cannot be said:'
# Runs that are named where many have nothing to say.
_MOST_NAMED = 3
# More runs than this get one plain sentence each on a terminal.
_MOST_RUNS = 3
# Of the verdict: whether what is early is early together.
_TOGETHER = {
  'precedes': 'and networks in which it changed early learned early',
  'depends': (
    'and whether networks in which it changed early learned early depends on '
    'what is called the change'
  ),
  'not shown': (
    'but it is not shown that networks in which it changed early learned early'
  ),
  'undecided': 'but so few networks cannot show whether the two go together',
}  # fmt: skip


def _cases(count: int, events_of_a_seed: int) -> str:
  """What so many events are called: networks, or networks × tasks."""
  plural = '' if count == 1 else 's'
  if events_of_a_seed == 1:
    return f'network{plural}'
  return f'case{plural} (a network and a task)'


def plain(row, events_of_a_seed: int) -> str:
  """What comes first, and whether it matters, in one plain sentence.

  Args:
    row: of RankMe, of the table `precedence`.
    events_of_a_seed: tasks × levels that are looked at.
  """
  first, count, unclear = int(row.first), int(row.events), int(row.unclear)
  many = f'all {count}' if first == count else f'{first or "none"} of {count}'
  what = _cases(count, events_of_a_seed)
  if first == count == 2:
    many = 'both'
  if first == count == 1:
    many = 'the only'
  lead = ''
  if np.isfinite(row.lead) and row.lead > 0 and 2 * first > count:
    lead = f', by about {float(f"{row.lead:.2g}"):,.0f} steps on average'
  start = f'RankMe changed before accuracy in {many} {what}{lead}'
  if first and 2 * unclear <= count:
    return f'{start}; {_TOGETHER[row.verdict]}.'
  hidden = f'; in {unclear} no change of the two stands out' if unclear else ''
  return f'{start}{hidden}.'


def answers(results: Study) -> list[Answer]:
  """Did representation geometry move first? An answer for each run."""
  leads = results.tables['leads']
  runs = leads.run.unique() if len(leads) else ()
  if not len(runs):
    why = ' '.join(align.too_few(results.changes))
    why = why or 'nothing but behaviour was measured.'
    return [Answer('', f'{_CANNOT} {why}')]
  # Those that have no lead at all are named as well.
  every = dict.fromkeys([*results.tables['emergence'].run, *runs])
  said = [_answer_of(results, run) for run in every]
  if len(said) == 1:
    return said
  return [
    *(
      one._replace(
        rank=f'{one.run}: {one.rank}',
        plain=f'{one.run}: {one.plain}' if one.plain else '',
      )
      for one in said
      if not one.rank.startswith(_CANNOT)
    ),
    *_without(said),
  ]


def _without(said: list[Answer]) -> list[Answer]:
  """Runs of which nothing can be said, those with one reason together."""
  by_reason: dict[str, list[str]] = {}
  for one in said:
    if one.rank.startswith(_CANNOT):
      by_reason.setdefault(one.rank, []).append(one.run)
  together = []
  for reason, runs in by_reason.items():
    named = '; '.join(runs[:_MOST_NAMED])
    left = len(runs) - _MOST_NAMED
    named += f'; and {left} more' if left > 0 else ''
    run = runs[0] if len(runs) == 1 else ''
    together.append(Answer(run, f'{named}: {reason}'))
  return together


def answer(results: Study) -> str:
  """The answers for a terminal: a line for each run."""
  every = answers(results)
  lines = [' '.join(moved.sentences(results))]
  for one in every:
    words = [one.plain, one.rank, *(clause.words for clause in one.more)]
    if len(every) > _MOST_RUNS:
      words = [one.plain or one.rank]
    lines.append(' '.join(filter(None, words)))
  return '\n'.join(filter(None, lines))


def _answer_of(results: Study, run: str) -> Answer:
  leads = results.tables['leads']
  leads = leads[(leads.run == run)] if len(leads) else leads
  if not len(leads):
    why = ' '.join(align.too_few({run: results.changes.get(run, {})}))
    return Answer(
      run, f'{_CANNOT} {why or "nothing but behaviour was measured."}'
    )
  lead = leads[leads.measure == leads.measure.iloc[0]]
  if not lead.emerged.any():
    what = _cases(len(lead), _events_of_a_seed(results, run))
    why = (
      f'accuracy was {WORDS[RULE_OF_EVENTS]}, for five checkpoints, in none of '
      f'{len(lead)} {what}.'
    )
    return Answer(run, f'{_CANNOT} {why}')
  rows = _tests(results, run=run, tasks='all')
  of_rank = list(rows[rows.measure == 'RankMe'].itertuples())
  rank = [sentence(row) for row in of_rank]
  events = _events_of_a_seed(results, run)
  words = [plain(row, events) for row in of_rank if row.events]
  if not rank:
    few = results.changes.get(run, {}).get('RankMe')
    reasons = align.too_few({run: {'RankMe': few}})
    why = reasons[0] if reasons else 'it was not measured.'
    rank = [f'Whether RankMe moved first cannot be said: {why}']
  more = (
    *_memorisation(results, run), *_lengths(results, run),
    *_others(rows[rows.measure != 'RankMe']),
    *_axes(results, run), *_cadences(results, run),
  )  # fmt: skip
  said = ' '.join([*rank, *_timing(results, run)])
  return Answer(run, said, more, ' '.join(words))


def _events_of_a_seed(results: Study, run: str) -> int:
  """Tasks × levels of a run."""
  table = results.tables['emergence']
  return len(table[table.run == run][['task', 'level']].drop_duplicates())


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


def _memorisation(results: Study, run: str) -> list[Clause]:
  """Where RankMe's change lies beside that of the accuracy in training."""
  table = results.tables['memorisation']
  if not len(table):
    return []
  rows = table[(table.run == run) & (table.measure == 'RankMe')]
  if not len(rows) or not np.isfinite(rows.iloc[0].lead):
    return []
  row = rows.iloc[0]
  words = (
    'Against the accuracy on what was trained on, which changes at a median '
    f'step of {row.step_of_behaviour:,.0f}, RankMe is first in {row["first"]}, '
    f'after in {row.after} of {row.events} events, on average by '
    f'{row.lead:,.0f} steps: {_MEANING[row.verdict].format("memorisation")}.'
  )
  return [Clause(words, 'leads')]


def _lengths(results: Study, run: str) -> list[Clause]:
  """That what is first depends on how long one looks, where it does."""
  row = lengths.disagreement(results.tables['lengths'], run, 'RankMe')
  if row is None:
    return []
  then = share(row.first_then, row.low, row.high)
  end = share(row.first_at_the_end, row.low_at_the_end, row.high_at_the_end)
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
    return [f'{words}; baselines that do: {baselines or "none"}.']
  words = f'{before}{measures} tells when a seed gets there'
  beyond = f'{adds} adds to the baselines' if adds else (
    f'nothing of it adds to the baselines ({baselines or "none tells"})'
  )  # fmt: skip
  return [f'{words}; {beyond}.']


def share(value: float, low: float, high: float) -> str:
  """A share with its interval: `95% [89%, 99%]`; – where there is none."""
  if np.isnan(value):
    return '–'
  ends = '' if np.isnan(low) else f' [{low:.0%}, {high:.0%}]'
  return f'{value:.0%}{ends}'


def with_ends(name: str) -> list[str]:
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
    f'{share(row.rate, row.low, row.high)} over {axis}'
    for axis, row in rates.iterrows()
  )
  words = f"The paper's own way depends on the axis: RankMe is first in {said}."
  return [Clause(words, 'precursors')]


def _cadences(results: Study, run: str) -> list[Clause]:
  """The paper's own rate of RankMe where it depends on the schedule."""
  rows = cadences.disagreement(results.tables['cadences'], run, 'RankMe')
  if rows is None:
    return []
  columns = with_ends('over_checkpoints')
  often, seldom = (share(*row[columns]) for row in rows)
  words = (
    f"By the paper's own way RankMe is first in {often} over all "
    f'{rows[0].checkpoints} checkpoints, and in {seldom} over one in '
    f'{rows[1].one_in} of them.'
  )
  return [Clause(words, 'cadences')]
