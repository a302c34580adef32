"""Runs every analysis on the timeseries of one or several runs."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence

import pandas as pd

from emergence_jax.analysis import (
  align,
  claims,
  lengths,
  moved,
  moved_tables,
  order,
  precedence,
  published,
  series,
  tables,
  timing,
  variants,
)
from emergence_jax.analysis import runs as runs_lib
from emergence_jax.analysis.claims import Finding
from emergence_jax.analysis.paper import cadences, phases, prediction, rates
from emergence_jax.analysis.reference import Claim, Reference
from emergence_jax.analysis.runs import Runs
from emergence_jax.base import names

_COLUMNS = (
  'claim', 'paper v1', 'v3/v4', 'ours [95%] (count)', 'seeds',
  'p of precedence', 'range', 'verdict', 'why', 'how',
)  # fmt: skip


@dataclasses.dataclass
class Study:
  """Results of an analysis.

  Attributes:
    tables: name → table, for people and for CSV.
    findings: key of a claim → our value.
    notes: what was left out, and why.
    changes: run → measure → what `order.events_of` found: events, or the
      number of checkpoints where these are too few.
    experiments: run → its arms, of those that have any.
  """

  tables: dict[str, pd.DataFrame]
  findings: dict[str, Finding]
  notes: list[str]
  changes: order.Changes
  experiments: Mapping[str, moved.Experiment]


def references(runs: Runs) -> list[Reference]:
  """The studies that runs are set beside, each once."""
  named = [run.reference for run in runs.values() if run.reference]
  return list(dict.fromkeys(named))


def findings_of(
  reference: Reference, runs: Runs, changes, precursors, draws: int
) -> dict[str, Finding]:
  """Our value of each claim of a reference, from the runs that name it."""
  theirs = {n: run for n, run in runs.items() if run.reference is reference}
  find = names.find('the findings of a reference', reference.findings, {})
  return find(theirs, changes, precursors, draws=draws)


def _end(value: float) -> str:
  """An end of a range: steps are whole numbers."""
  return f'{value:,.0f}' if abs(value) >= 1000 else f'{value:.3g}'


def claims_table(
  claimed: Iterable[Claim], findings: Mapping[str, Finding]
) -> pd.DataFrame:
  """The numbers of a study, ours, and verdicts."""
  rows = []
  for claim in claimed:
    finding = findings.get(claim.key, Finding())
    verdict, why = claims.verdict(claim, finding)
    span = ' … '.join(map(_end, (claim.low, claim.high)))
    rows.append({
      'claim': claim.text, 'paper v1': claim.v1, 'v3/v4': claim.later,
      'ours [95%] (count)': finding.estimate.text(),
      'seeds': finding.seeds,
      'p of precedence': finding.p_value,
      'range': span,
      'verdict': verdict, 'why': why, 'how': claim.how,
    })  # fmt: skip
  return pd.DataFrame(rows, columns=_COLUMNS)


def stages(runs: Runs) -> int:
  """Number of stages that `study` logs."""
  return sum(len(series.tested(run.data)) for run in runs.values()) + 7


def study(
  runs: Runs,
  *,
  draws: int = precedence.DRAWS,
  interpolation: str = '',
  log: Callable[[str], None] = lambda label: None,
) -> Study:
  """Analyses runs together.

  Args:
    runs: label (a size, for example) → run.
    draws: permutations and flips of the tests, where not all are tried.
    interpolation: of the paper's lags to even steps, one of
      `rates.INTERPOLATIONS`; if empty, that of the study beside a run.
    log: told what comes next, for a person who waits.
  """
  log('emergence')
  frames = tables.emergence_tables(runs)
  changes = order.find(runs, log)
  frames['precedence'] = order.tests_table(runs, changes, draws=draws)
  frames['leads'] = order.leads_table(runs, changes)
  frames['memorisation'] = order.memorisation_table(runs, draws=draws)
  frames['lengths'] = lengths.lengths_table(runs, changes)
  log('precursors')
  precursors = rates.find(runs, interpolation=interpolation)
  frames['precursors'] = rates.precursors_table(runs, precursors)
  frames['cadences'] = cadences.cadences_table(
    runs, changes, precursors, interpolation=interpolation
  )
  frames['published'] = published.leads_table(runs)
  log('collapse and prediction')
  frames['collapse'] = tables.collapse_table(runs)
  frames['top_down'] = tables.top_down_table(runs)
  frames['invariance'] = tables.invariance_table(runs)
  frames['neighbours'] = tables.neighbours_table(runs)
  frames['prediction'] = prediction.prediction_table(runs)
  frames['numbers'] = published.numbers_table(runs)
  frames['variants'] = variants.variants_table(runs)
  log('the 13 event metrics')
  frames['events'] = order.events_table(runs, draws=draws)
  frames['phases'] = phases.phases_table(runs, draws=draws)
  frames['same_events'] = phases.same_events_table(runs)
  log('timing over seeds')
  frames['timing'] = timing.timing_table(runs, draws=10 * draws)
  frames['foretelling'] = timing.foretelling_table(runs)
  log('arms')
  items = moved.experiments(runs)
  frames['effects'] = moved_tables.effects_table(items)
  frames['effects_by_rule'] = moved_tables.rules_table(items)
  frames['effects_of_controls'] = moved_tables.controls_table(items)
  frames['moved_geometry'] = moved_tables.geometry_table(items)
  frames['trends'] = moved_tables.trends_table(items)
  frames['mediation'] = moved_tables.mediation_table(items)
  frames['phase'] = moved_tables.phase_table(items)
  log('claims')
  ours: dict[str, Finding] = {}
  for reference in references(runs):
    ours |= findings_of(reference, runs, changes, precursors, draws)
  claimed = [c for reference in references(runs) for c in reference.claims]
  frames['claims'] = claims_table(claimed, ours)
  notes = align.notes(runs) + align.too_few(changes)
  return Study(frames, ours, notes, changes, items)


def analyse(workdirs: Sequence[str | pathlib.Path], **options) -> Study:
  """Analyses runs together: every table, finding and note.

  Args:
    workdirs: run directories, finished or not.
    **options: of `study`.

  Raises:
    UserError: if one of them holds no run.
  """
  return study(runs_lib.load(workdirs), **options)
