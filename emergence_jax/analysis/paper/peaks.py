"""The paper's precursors: lags at which changes correlate most.

Sign convention, once for all: a **positive lag** of l checkpoints (or steps)
means that behaviour follows the measure l later, so that the measure comes
first; r(l) correlates the change of the measure at t with the change of
behaviour at t + l.

A rate of precursors describes and proves nothing: in training nearly
everything moves early, and unrelated series that do are precursors of each
other. What moves first is tested in `precedence`.

Two axes, and what each supposes. *Checkpoints*, as in the paper: a lag of one
checkpoint counts alike wherever it lies, though it is 20 steps early in a run
and 2,000 late. *Steps*: series are interpolated to even steps, which makes
changes sharp where checkpoints are dense and smooth where they are sparse, so
that early ones dominate.

Source: arXiv:2602.15997, section 3.
"""

from typing import NamedTuple

import numpy as np

MAX_LAG = 20
THRESHOLDS = (0.2, 0.3, 0.4)
THRESHOLD = 0.3  # of the claims
CLASSES = ('none', 'precursor', 'synchronous', 'lagging')
NONE, PRECURSOR, SYNCHRONOUS, LAGGING = range(4)
# Fewer changes than this leave nothing to correlate.
LEAST = 8


class Peaks(NamedTuple):
  """Peaks of cross-correlation, leading axes as in the series.

  Attributes:
    lag: int [...], lag of the largest |r|; positive: the measure is first.
    correlation: [...], r at that lag; nan where nothing changes.
  """

  lag: np.ndarray
  correlation: np.ndarray


def changes(series: np.ndarray) -> np.ndarray:
  """First differences along the last axis, their mean removed, norm 1.

  A series that does not change, or is not finite, gives nan.
  """
  diff = np.diff(np.asarray(series, float), axis=-1)
  diff = diff - diff.mean(-1, keepdims=True)
  norm = np.sqrt((diff**2).sum(-1, keepdims=True))
  # Rounding of a constant slope is no change.
  scale = np.abs(series).max(-1, keepdims=True)
  return np.divide(
    diff, norm, out=np.full_like(diff, np.nan), where=norm > 1e-9 * scale
  )


def _lagged(y_xT: np.ndarray, max_lag: int) -> np.ndarray:
  """y at t + l for every lag, zero outside, [..., 2·max_lag + 1, T]."""
  count = y_xT.shape[-1]
  padded = np.concatenate(
    [np.zeros((*y_xT.shape[:-1], max_lag)), y_xT,
     np.zeros((*y_xT.shape[:-1], max_lag))], -1
  )  # fmt: skip
  windows = np.lib.stride_tricks.sliding_window_view(padded, count, -1)
  return windows


def cross_correlation(
  measure: np.ndarray, behaviour: np.ndarray, max_lag: int = MAX_LAG
) -> np.ndarray:
  """Normalised cross-correlation of changes at lags −max_lag … max_lag.

  >>> x = np.zeros(40); x[10:] = 1
  >>> y = np.zeros(40); y[13:] = 1  # three later
  >>> int(np.argmax(cross_correlation(x, y))) - MAX_LAG
  3

  Args:
    measure: [..., C].
    behaviour: [..., C], the same shape.
    max_lag: in checkpoints.

  Returns:
    [..., 2·max_lag + 1]; nan where one of the two does not change.
  """
  x, y = changes(measure), changes(behaviour)
  return np.einsum('...t,...lt->...l', x, _lagged(y, max_lag))


def _peak(r: np.ndarray, max_lag: int) -> tuple[np.ndarray, np.ndarray]:
  """Lag and value of the largest |r| over the last axis.

  Of lags that tie, the one nearest to 0 counts, and of −l and l the first.
  """
  order = np.argsort(np.abs(np.arange(-max_lag, max_lag + 1)), kind='stable')
  known = np.where(np.isnan(r), 0, np.abs(r))[..., order]
  best = order[np.argmax(np.round(known, 9), -1)]
  value = np.take_along_axis(r, best[..., None], -1)[..., 0]
  return best - max_lag, value


def peaks(
  measure: np.ndarray, behaviour: np.ndarray, *, max_lag: int = MAX_LAG
) -> Peaks:
  """Peak lags of measures against behaviours.

  Args:
    measure: [..., C].
    behaviour: [..., C], the same shape.
    max_lag: in checkpoints.
  """
  if measure.shape[-1] <= LEAST:
    shape = measure.shape[:-1]
    return Peaks(np.zeros(shape, int), np.full(shape, np.nan))
  return Peaks(*_peak(cross_correlation(measure, behaviour, max_lag), max_lag))


def classify(
  lag: np.ndarray, correlation: np.ndarray, threshold: float = THRESHOLD
) -> np.ndarray:
  """Class of each peak, an index into `CLASSES`."""
  strong = np.abs(np.nan_to_num(correlation)) > threshold
  sides = np.where(lag > 0, PRECURSOR, np.where(lag < 0, LAGGING, SYNCHRONOUS))
  return np.where(strong, sides, NONE)


def by_lines(
  step_C: np.ndarray, series: np.ndarray, at_N: np.ndarray
) -> np.ndarray:
  """Series [..., C] at other steps, by linear interpolation: [..., N].

  >>> by_lines(np.array([0, 10]), np.array([[0.0, 5]]), np.array([2, 4]))
  array([[1., 2.]])
  """
  flat = np.asarray(series, float).reshape(-1, len(step_C))
  values = np.stack([np.interp(at_N, step_C, row) for row in flat])
  return values.reshape(*np.shape(series)[:-1], len(at_N))
