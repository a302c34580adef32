"""Does what moves first depend on how often one looks?

A lag that is counted in checkpoints is searched a number of checkpoints far,
which are few steps where checkpoints are dense and many where they are not.
Every measure is therefore looked at again at fewer of the checkpoints at which
it was taken; the events remain the same, since behaviour keeps all of its own.
"""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from emergence_jax.analysis import lengths, order, series, statistics
from emergence_jax.analysis.events import Events
from emergence_jax.analysis.paper import rates
from emergence_jax.analysis.paper.rates import Precursors
from emergence_jax.analysis.runs import Run, Runs
from emergence_jax.analysis.statistics import Estimate

# A measure is looked at again at one in so many of its checkpoints.
APART = 2, 5, 10


def _thinned(run: Run, item: series.Series, step_C: np.ndarray) -> Run:
  """A run whose measure was taken at some of its checkpoints alone."""
  variable = run.data[item.variable].where(run.data.step.isin(step_C))
  return dataclasses.replace(
    run, data=run.data.assign({item.variable: variable})
  )


def _cells(name: str, estimate: Estimate) -> dict[str, float]:
  return {
    name: estimate.value, f'{name}_low': estimate.low,
    f'{name}_high': estimate.high,
  }  # fmt: skip


def _row(events: Events, precursors: Precursors) -> dict[str, float]:
  """Rates of being first at one cadence, by two definitions."""
  row: dict[str, float] = {'checkpoints': len(events.step_C)}
  row |= _cells('first', lengths.first(events, events.emerged_SKL))
  for axis, peaks_ in (
    ('checkpoints', precursors.checkpoints),
    ('steps', precursors.steps),
  ):
    hits, totals = rates.counts(rates.only(peaks_, precursors.emerged))
    row |= _cells(f'over_{axis}', statistics.shares([hits], [totals]))
  return row


def _rows(
  run: Run,
  changes: Mapping[str, Events | int],
  precursors: Mapping[str, Precursors],
  interpolation: str,
) -> Iterator[dict]:
  """Rows of one run: each measure as it was taken, and at fewer checkpoints."""
  known = series.tested(run.data)
  for name, whole in precursors.items():
    events = changes[name]
    if not isinstance(events, Events) or not events.emerged_SKL.any():
      continue
    yield {'measure': name, 'one_in': 1, **_row(events, whole)}
    for apart in APART:
      part = _thinned(run, known[name], events.step_C[::apart])
      thinned = order.events_of(part.data, known[name])
      fewer = rates.precursors_of(
        part.data, known[name],
        interpolation=interpolation or rates.interpolation_of(run),
      )  # fmt: skip
      if isinstance(thinned, Events) and fewer is not None:
        yield {'measure': name, 'one_in': apart, **_row(thinned, fewer)}


def cadences_table(
  runs: Runs,
  changes: order.Changes,
  precursors: Mapping[str, Mapping[str, Precursors]],
  *,
  interpolation: str = '',
) -> pd.DataFrame:
  """How often each measure is first, by how often it is looked at.

  Columns `first`, by the largest changes, and `over_checkpoints` and
  `over_steps`, the paper's rates of precursors, each with the ends of its 95%
  interval over seeds. It describes, and tests nothing.

  Args:
    runs: label → run.
    changes: of `order.find`.
    precursors: of `rates.find`.
    interpolation: as of `rates.find`.
  """
  rows = [
    {'run': label, **row}
    for label, run in runs.items()
    for row in _rows(run, changes[label], precursors[label], interpolation)
  ]
  values = ['first', 'over_checkpoints', 'over_steps']
  return pd.DataFrame(rows).dropna(subset=values if rows else [], how='all')


def disagreement(table: pd.DataFrame, run: str, measure: str):
  """Two rows whose rates over checkpoints have intervals that do not meet.

  Args:
    table: of `cadences_table`.
    run: label.
    measure: name.

  Returns:
    The row of all checkpoints and the one that differs most from it; None
    where there is none.
  """
  if not len(table):
    return None
  rows = table[(table.run == run) & (table.measure == measure)]
  at_all, fewer = rows[rows.one_in == 1], rows[rows.one_in > 1]
  if not len(at_all) or not len(fewer):
    return None
  whole = at_all.iloc[0]
  low, high = fewer.over_checkpoints_low, fewer.over_checkpoints_high
  meet = (low <= whole.over_checkpoints_high) & (
    high >= whole.over_checkpoints_low
  )
  # Without intervals, of one seed, nothing is said.
  apart = ~meet & low.notna() & (not np.isnan(whole.over_checkpoints_low))
  if not apart.any():
    return None
  differ = (fewer.over_checkpoints - whole.over_checkpoints).abs()
  return whole, fewer.loc[differ[apart].idxmax()]
