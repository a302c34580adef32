"""Rates of precursors, the paper's way; what they suppose is in `peaks`."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from emergence_jax.analysis import order, series, statistics
from emergence_jax.analysis.paper import matern, peaks
from emergence_jax.analysis.paper.peaks import Peaks
from emergence_jax.analysis.runs import Run, Runs

INTERPOLATIONS: dict[str, Callable] = {
  'linear': peaks.by_lines,
  'matern': matern.by_process,
}


class Precursors(NamedTuple):
  """Peaks of a measure against behaviour, for every event [S, K, L].

  Attributes:
    checkpoints: over checkpoints.
    steps: over as many evenly spaced steps.
    stride: steps between the points of `steps`.
    even: over the longest evenly spaced part of the checkpoints alone, where
      not all are; None if that is too short.
    even_span: first and last step of that part.
    emerged: bool [S, K, L], whether a capability emerged.
  """

  checkpoints: Peaks
  steps: Peaks
  stride: float
  even: Peaks | None
  even_span: tuple[int, int]
  emerged: np.ndarray

  def axes(self) -> dict[str, Peaks]:
    """Name of an axis → peaks over it."""
    peaks_of = {'checkpoints': self.checkpoints, 'steps': self.steps}
    if self.even is not None:
      first, last = self.even_span
      peaks_of[f'checkpoints {first:,} to {last:,}'] = self.even
    return peaks_of


def even_part(step_C: np.ndarray) -> slice:
  """The longest evenly spaced part, by its number of checkpoints.

  >>> even_part(np.array([0, 1, 2, 4, 8, 16, 1000, 2000, 3000, 4000]))
  slice(6, 10, None)
  """
  stride = np.diff(step_C)
  first, best = 0, slice(0, min(1, len(step_C)))
  for i in range(1, len(stride) + 1):
    if i == len(stride) or stride[i] != stride[i - 1]:
      if i + 1 - first > best.stop - best.start:
        best = slice(first, i + 1)
      first = i
  return best


def _reach(data: xr.Dataset, stride: float) -> int:
  """Largest lag on an even grid: as many steps for every measure of a run.

  That is `MAX_LAG` of the run's own checkpoints, on average. A measure with a
  cadence of its own would otherwise be searched further than the others.
  """
  step = data.step.values
  mean = (step[-1] - step[0]) / max(len(step) - 1, 1)
  return max(1, round(peaks.MAX_LAG * mean / stride))


def precursors_of(
  data: xr.Dataset,
  item: series.Series,
  *,
  interpolation: str = 'linear',
) -> Precursors | None:
  """Peaks of one measure of a run; None if it has too few checkpoints.

  Args:
    data: a run's timeseries.
    item: of `series.tested`.
    interpolation: to even steps, one of `INTERPOLATIONS`.
  """
  taken = series.take(data, item)
  if taken is None or len(taken.step_C) <= peaks.LEAST:
    return None
  step, y = taken.step_C, taken.behaviour_SKLC
  x = np.broadcast_to(taken.measure_SKC[:, :, None], y.shape)
  # As many points as checkpoints: an even schedule gives the same on both axes.
  resample = INTERPOLATIONS[interpolation]
  grid = np.linspace(step[0], step[-1], len(step))
  grid_x, grid_y = (resample(step, series_, grid) for series_ in (x, y))
  stride = float(grid[1] - grid[0])
  part, even = even_part(step), None
  if peaks.LEAST < part.stop - part.start < len(step):
    even = peaks.peaks(x[..., part], y[..., part])
  return Precursors(
    peaks.peaks(x, y),
    peaks.peaks(grid_x, grid_y, max_lag=_reach(data, stride)),
    stride,
    even,
    (int(step[part][0]), int(step[part][-1])),
    order.emerged(data),
  )


def only(result: Peaks, keep: np.ndarray) -> Peaks:
  """The same with all events but those of `keep` [S, K, L] unusable."""
  return result._replace(correlation=np.where(keep, result.correlation, np.nan))


def counts(
  result: Peaks,
  threshold: float = peaks.THRESHOLD,
  kind: int = peaks.PRECURSOR,
) -> tuple[np.ndarray, np.ndarray]:
  """Events of a class, and usable ones, of each seed: [S] and [S]."""
  usable = np.isfinite(result.correlation)
  classes = peaks.classify(result.lag, result.correlation, threshold)
  return ((classes == kind) & usable).sum((1, 2)), usable.sum((1, 2))


def share_of(
  of_runs: Sequence[tuple[np.ndarray, np.ndarray]],
  picked: Sequence[np.ndarray],
) -> float:
  """A share over several runs, of some of their seeds.

  Args:
    of_runs: what `counts` gives, of each run.
    picked: indices of seeds, of each run.
  """
  hits, totals = (
    sum(counted[k][i.astype(int)].sum() for counted, i in zip(of_runs, picked))
    for k in (0, 1)
  )
  return hits / max(totals, 1)


def interpolation_of(run: Run) -> str:
  """That of the study that a run is set beside."""
  return run.reference.interpolation if run.reference else 'linear'


def find(
  runs: Runs, *, interpolation: str = ''
) -> dict[str, dict[str, Precursors]]:
  """Run → measure → its peaks, where it was measured often enough.

  An empty interpolation is that of the study that a run is set beside.
  """
  by_run: dict[str, dict[str, Precursors]] = {}
  for label, run in runs.items():
    by_run[label] = {}
    for name, item in series.tested(run.data).items():
      precursors = precursors_of(
        run.data, item,
        interpolation=interpolation or interpolation_of(run),
      )  # fmt: skip
      if precursors is not None:
        by_run[label][name] = precursors
  return by_run


def precursors_table(
  runs: Runs,
  precursors: Mapping[str, Mapping[str, Precursors]],
) -> pd.DataFrame:
  """Shares of precursors of the events that emerge, and mean lags."""
  rows = []
  for run, measures in precursors.items():
    for name, result in measures.items():
      for group in runs[run].groups:
        inside = order.in_group(runs[run], group)[:, None]
        for axis, peaks_of_axis in result.axes().items():
          kept = only(peaks_of_axis, result.emerged & inside)
          head = {'run': run, 'measure': name, 'axis': axis, 'tasks': group}
          rows += [
            head | {'threshold': t} | _cells(kept, t) for t in peaks.THRESHOLDS
          ]
  return pd.DataFrame([row for row in rows if row['total']])


def _cells(kept: Peaks, threshold: float) -> dict:
  hits, totals = counts(kept, threshold)
  ours = statistics.shares([hits], [totals])
  total = int(totals.sum())
  cells = {
    'rate': ours.value, 'low': ours.low, 'high': ours.high,
    'hits': int(hits.sum()), 'total': total,
  }  # fmt: skip
  for kind in (peaks.SYNCHRONOUS, peaks.LAGGING, peaks.NONE):
    number = counts(kept, threshold, kind)[0].sum()
    cells[peaks.CLASSES[kind]] = number / total if total else np.nan
  return cells
