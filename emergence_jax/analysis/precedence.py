"""Which moves first: geometry or behaviour, beside a null.

Sign convention, once for all: a **positive lag** of l checkpoints (or steps)
means that behaviour follows the measure l later, so that the measure comes
first; r(l) correlates the change of the measure at t with the change of
behaviour at t + l.

Source: arXiv:2602.15997, section 3, which has no null.
"""

from typing import NamedTuple

import numpy as np

MAX_LAG = 20
# Shifts of the null: p-values down to 0.001.
DRAWS = 1000
THRESHOLDS = (0.2, 0.3, 0.4)
THRESHOLD = 0.3  # of the claims, the answer and the figures
CLASSES = ('none', 'precursor', 'synchronous', 'lagging')
NONE, PRECURSOR, SYNCHRONOUS, LAGGING = range(4)
# Fewer changes than this leave nothing to correlate.
LEAST = 8


class Precedence(NamedTuple):
  """Peaks of cross-correlation, leading axes as in the series.

  Attributes:
    lag: int [...], lag of the largest |r|; positive: the measure is first.
    correlation: [...], r at that lag; nan where nothing changes.
    null_lag: int [..., D], the same of D shifted measures.
    null_correlation: [..., D].
  """

  lag: np.ndarray
  correlation: np.ndarray
  null_lag: np.ndarray
  null_correlation: np.ndarray


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
    [..., 2·max_lag + 1].
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


def precedence(
  measure: np.ndarray,
  behaviour: np.ndarray,
  *,
  max_lag: int = MAX_LAG,
  draws: int = DRAWS,
  seed: int = 0,
) -> Precedence:
  """Peak lags of measures against behaviours, and of a null.

  The null shifts the changes of a measure around a circle by a random number
  of checkpoints, which keeps its own spectrum and breaks its tie to
  behaviour. Series of one seed (the first axis) shift together, so that what
  they share stays shared and does not count as so many witnesses; seeds shift
  independently. Of one seed alone, p can hardly fall below the share of
  shifts that land in the window.

  Args:
    measure: [..., C].
    behaviour: [..., C], the same shape.
    max_lag: in checkpoints.
    draws: D shifts.
    seed: of the shifts.
  """
  x, y = changes(measure), changes(behaviour)
  count = x.shape[-1]
  shape = x.shape[:-1]
  if count < LEAST:
    nothing = np.full(shape, np.nan), np.full((*shape, draws), np.nan)
    zero = np.zeros(shape, int), np.zeros((*shape, draws), int)
    return Precedence(zero[0], nothing[0], zero[1], nothing[1])
  lagged = _lagged(y, max_lag)
  lag, value = _peak(np.einsum('...t,...lt->...l', x, lagged), max_lag)
  rng = np.random.default_rng(seed)
  seeds = shape[0] if shape else 1
  shifts_SxD = rng.integers(1, count, (seeds, draws))
  index = (np.arange(count) - shifts_SxD[..., None]) % count
  flat_x = x.reshape(seeds, -1, count)
  flat_lagged = lagged.reshape(seeds, -1, *lagged.shape[-2:])
  # Small types: a study keeps these of every run and measure.
  null_lag = np.empty((*flat_x.shape[:2], draws), np.int16)
  null_value = np.empty(null_lag.shape, np.float32)
  for s, i in np.ndindex(*flat_x.shape[:2]):
    null_lag[s, i], null_value[s, i] = _peak(
      flat_x[s, i][index[s]] @ flat_lagged[s, i].T, max_lag
    )
  return Precedence(
    lag, value, null_lag.reshape(*shape, draws),
    null_value.reshape(*shape, draws),
  )  # fmt: skip


def classify(
  lag: np.ndarray, correlation: np.ndarray, threshold: float = THRESHOLD
) -> np.ndarray:
  """Class of each peak, an index into `CLASSES`."""
  strong = np.abs(np.nan_to_num(correlation)) > threshold
  sides = np.where(lag > 0, PRECURSOR, np.where(lag < 0, LAGGING, SYNCHRONOUS))
  return np.where(strong, sides, NONE)


class Rate(NamedTuple):
  """A precursor rate beside its null.

  Attributes:
    rate: share of series that are precursors.
    hits: number of them.
    total: number of series that could be (behaviour and measure change).
    false_alarm: mean rate of the shifted series.
    p_value: share of draws whose rate is as large, the observation included.
  """

  rate: float
  hits: int
  total: int
  false_alarm: float
  p_value: float


def p_value(observed: float, null_D: np.ndarray) -> float:
  """Share of draws that are as large, the observation included."""
  larger = (null_D >= observed - 1e-12).sum()
  return float((1 + larger) / (1 + null_D.size))


NO_RATE = Rate(np.nan, 0, 0, np.nan, np.nan)


def beside_null(is_first_N: np.ndarray, null_ND: np.ndarray) -> Rate:
  """Rate of N events, and of the same events in D draws of a null."""
  total = len(is_first_N)
  hits, null_D = int(is_first_N.sum()), null_ND.mean(0)
  share = hits / total
  return Rate(share, hits, total, float(null_D.mean()), p_value(share, null_D))


def rate(found: Precedence, threshold: float = THRESHOLD) -> Rate:
  """Precursor rate over all series of a `Precedence`."""
  usable = np.isfinite(found.correlation)
  if not usable.any():
    return NO_RATE
  is_first = classify(found.lag, found.correlation, threshold) == PRECURSOR
  null = classify(found.null_lag, found.null_correlation, threshold)
  return beside_null(is_first[usable], null[usable] == PRECURSOR)


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
