"""Does what moves first depend on how long one looks?

A series that falls and rises again has two changes, and which of them is the
largest may change as the run goes on. The same events are therefore looked at
twice: up to a step by which they had emerged, and to the end.
"""

import itertools
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from emergence_jax.analysis import order, series, statistics
from emergence_jax.analysis.events import Events
from emergence_jax.analysis.runs import Run, Runs
from emergence_jax.analysis.statistics import Estimate

# Shares that differ by so much are spoken of at first sight.
NOTED = 0.2


def first(events: Events, chosen_SKL: np.ndarray) -> Estimate:
  """Share with the measure first, of the chosen events that are clear."""
  known = events.known_SKL & chosen_SKL
  first = known & (events.sign_SKL > 0)
  return statistics.shares([first.sum((1, 2))], [known.sum((1, 2))])


def _cuts(run: Run) -> list[int]:
  """Checkpoints at half of a run, a quarter and so on; the earliest first."""
  step = run.data.step.values
  last = [step[step <= step[-1] / 2**k][-1:] for k in range(1, 12)]
  return sorted({int(x) for steps in last for x in steps if x})


def _rows(run: Run, measures: Mapping[str, Events | int]) -> Iterator[dict]:
  """Rows of one run, by what its whole length shows of each measure."""
  known = series.tested(run.data)
  wholes = {n: e for n, e in measures.items() if isinstance(e, Events)}
  for (name, whole), cut in itertools.product(wholes.items(), _cuts(run)):
    part = order.events_of(run.data.sel(step=slice(0, cut)), known[name])
    if not isinstance(part, Events) or not part.emerged_SKL.any():
      continue
    then = first(part, part.emerged_SKL)
    later = first(whole, part.emerged_SKL)
    if then.count and later.count:
      yield {
        'measure': name, 'up_to_step': cut,
        'events': int(part.emerged_SKL.sum()), 'first_then': then.value,
        'low': then.low, 'high': then.high, 'first_at_the_end': later.value,
        'low_at_the_end': later.low, 'high_at_the_end': later.high,
      }  # fmt: skip


def lengths_table(runs: Runs, changes: order.Changes) -> pd.DataFrame:
  """Share of events with a measure first: up to a step, and to the end.

  Of both looks the events are those that had emerged by that step, so that
  the two differ in nothing but how long one looks.

  Args:
    runs: label → run.
    changes: of `order.find`, their changes to the end.
  """
  return pd.DataFrame([
    {'run': label, **row}
    for label, measures in changes.items()
    for row in _rows(runs[label], measures)
  ])  # fmt: skip


def disagreement(table: pd.DataFrame, run: str, measure: str):
  """The row of a measure whose two looks differ most, if by `NOTED` or more.

  It describes, and tests nothing.

  Args:
    table: of `lengths_table`.
    run: label.
    measure: name.

  Returns:
    A row; None if there is none.
  """
  if not len(table):
    return None
  rows = table[(table.run == run) & (table.measure == measure)]
  apart = (rows.first_then - rows.first_at_the_end).abs()
  return rows.loc[apart.idxmax()] if apart.max() >= NOTED else None
