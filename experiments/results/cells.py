"""Cells of the tables of RESULTS.md, and the tables as text."""

import numpy as np
import pandas as pd

from emergence_jax.analysis import statistics
from experiments.bench.formatting import grid


def cell(value) -> str:
  """A cell, rounded to what it can bear."""
  if isinstance(value, float | np.floating):
    if np.isnan(value):
      return '–'
    if np.isinf(value):
      return 'not yet'
    return f'{value:,.0f}' if abs(value) >= 100 else f'{value:.3g}'
  return f'{value:,}' if isinstance(value, int | np.integer) else str(value)


def markdown(frame: pd.DataFrame) -> str:
  """A frame as a table of Markdown."""
  rows = [list(map(cell, row)) for row in frame.itertuples(index=False)]
  return '\n'.join(grid(list(map(str, frame.columns)), rows))


def csv(frame: pd.DataFrame) -> str:
  """The same cells as a file; what has a comma is quoted."""
  return frame.map(cell).to_csv(index=False, lineterminator='\n')


def estimate(value, low, high) -> str:
  """An estimate with its interval: `2.19 [2.1, 2.3]`."""
  if np.isnan(value):
    return '–'
  ends = ', '.join(map(cell, statistics.shown_ends(low, high)))
  return f'{cell(value)} [{ends}]'


def interval(frame: pd.DataFrame, value: str = 'value') -> pd.Series:
  """Estimates with their intervals."""
  columns = [value, 'low', 'high']
  return frame.apply(lambda row: estimate(*row[columns]), axis=1)
