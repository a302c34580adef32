"""Everything that is computed from the timeseries of one or several runs."""

import dataclasses
from collections.abc import Callable, Mapping

import pandas as pd
import xarray as xr

from emergence_jax.analysis import (
  align,
  claims,
  findings,
  order,
  phases,
  precedence,
  rates,
  series,
  tables,
)
from emergence_jax.analysis.claims import Finding


@dataclasses.dataclass
class Study:
  """What was found.

  Attributes:
    tables: name → table, for people and for CSV.
    findings: key of a claim → our value.
    notes: what was left out, and why.
    changes: run → measure → what `order.events_of` found: events, or the
      number of checkpoints where these are too few.
  """

  tables: dict[str, pd.DataFrame]
  findings: dict[str, Finding]
  notes: list[str]
  changes: order.Found


def claims_table(found: Mapping[str, Finding]) -> pd.DataFrame:
  """The paper's numbers, ours, and verdicts."""
  rows = []
  for claim in claims.CLAIMS:
    finding = found.get(claim.key, Finding())
    verdict, why = claims.verdict(claim, finding)
    span = f'{claim.low:.3g} … {claim.high:.3g}'
    rows.append({
      'claim': claim.text, 'paper v1': claim.v1, 'v3/v4': claim.later,
      'ours [95%] (count)': finding.estimate.text(),
      'seeds': finding.seeds,
      'p of precedence': finding.p_value,
      'range': span if claim.low == claim.low else '–',
      'verdict': verdict, 'why': why, 'how': claim.how,
    })  # fmt: skip
  return pd.DataFrame(rows)


def stages(runs: Mapping[str, xr.Dataset]) -> int:
  """How many stages `study` tells of."""
  return len(runs) * len(series.SERIES) + 5


def study(
  runs: Mapping[str, xr.Dataset],
  *,
  draws: int = precedence.DRAWS,
  interpolation: str = 'linear',
  stationary_draws: int = 0,
  say: Callable[[str], None] = lambda label: None,
) -> Study:
  """Analyses runs together.

  Args:
    runs: label (a size, for example) → timeseries, loaded.
    draws: permutations and flips of the tests, where not all are tried.
    interpolation: of the paper's lags to even steps, one of
      `rates.INTERPOLATIONS`.
    stationary_draws: shifts of the null of `peaks.stationary_shift_rates`,
      which supposes stationary series; none if 0.
    say: told what comes next, for a person who waits.
  """
  say('emergence')
  found = tables.emergence_tables(runs)
  changes = order.find(runs, say)
  found['precedence'] = order.tests_table(runs, changes, draws=draws)
  found['leads'] = order.leads_table(runs, changes)
  say('precursors')
  precursors = rates.find(
    runs, interpolation=interpolation, stationary_draws=stationary_draws
  )
  found['precursors'] = rates.precursors_table(runs, precursors)
  say('collapse and prediction')
  found['collapse'] = tables.collapse_table(runs)
  found['top_down'] = tables.top_down_table(runs)
  found['invariance'] = tables.invariance_table(runs)
  found['prediction'] = tables.prediction_table(runs)
  found['numbers'] = tables.numbers_table(runs)
  say('the 13 event metrics')
  found['events'] = order.events_table(runs, draws=draws)
  found['phases'] = phases.phases_table(runs, draws=draws)
  say('claims')
  ours = findings.findings(runs, changes, precursors, draws=draws)
  found['claims'] = claims_table(ours)
  notes = align.notes(runs) + align.too_few(changes)
  return Study(found, ours, notes, changes)
