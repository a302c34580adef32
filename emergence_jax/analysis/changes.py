"""Does a change of a series stand out?

A series is described by two to four constant levels. Nothing is supposed of
its course, and every checkpoint counts alike, whatever the steps between them.
When it changes is found by `transitions`.
"""

from typing import NamedTuple

import numpy as np

# Fewer checkpoints than this show no change of level.
LEAST = 9
# Share of a series' variance that its levels have to explain, and that a
# further level has to add.
_LEAST_SHARE, _MORE_SHARE = 0.3, 0.05


def standardised(series: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Series [..., C] of mean 0 and sum of squares 1, and what is known.

  What is not known is 0, and so are series that do not change.
  """
  x = np.asarray(series, float)
  known = np.isfinite(x)
  count = np.maximum(known.sum(-1, keepdims=True), 1)
  largest = np.abs(np.where(known, x, 0)).max(-1, keepdims=True)
  x = np.where(known, x / np.where(largest > 0, largest, 1), 0)
  x = np.where(known, x - x.sum(-1, keepdims=True) / count, 0)
  norm = np.sqrt((x**2).sum(-1, keepdims=True))
  # What rounding leaves of a constant is no change.
  x = np.divide(x, norm, out=np.zeros_like(x), where=norm > 1e-9)
  return x, known


class _Split(NamedTuple):
  """The best description of a stretch by two levels.

  Attributes:
    place: int [...], the last checkpoint before the change.
    share: [...], part of the series' variance that it explains.
  """

  place: np.ndarray
  share: np.ndarray


def _split(x: np.ndarray, known: np.ndarray) -> _Split:
  """Best split of the known stretch of each series [..., C]."""
  x = np.where(known, x, 0)
  count = known.sum(-1, keepdims=True)
  before = np.cumsum(known, -1)
  total = np.cumsum(x, -1)
  after, rest = count - before, total[..., -1:] - total
  ready = (before > 0) & (after > 0)
  low = total / np.maximum(before, 1)
  jump = np.where(ready, rest / np.maximum(after, 1) - low, 0)
  share = before * after / np.maximum(count, 1) * jump**2
  # Rounding must not decide between equal splits.
  place = np.argmax(np.round(share, 12), -1)[..., None]
  return _Split(place[..., 0], np.take_along_axis(share, place, -1)[..., 0])


def stands_out(series: np.ndarray) -> np.ndarray:
  """Bool [...]: levels describe a series [..., C] better than a line does.

  The series is described by two levels, and each of the stretches of these by
  two more where that explains another 5% of the variance. A change stands out
  if levels explain at least 30% of the variance, and more than a straight line
  over the checkpoints does.

  >>> stands_out([[0.0] * 6 + [1.0] * 4, np.linspace(0, 1, 10)]).tolist()
  [True, False]
  """
  x, known = standardised(series)
  at_C = np.arange(x.shape[-1])
  middle = _split(x, known)
  before = known & (at_C <= middle.place[..., None])
  explained = middle.share
  for stretch in (before, known & ~before):
    share = _split(x, stretch).share
    explained = explained + np.where(share >= _MORE_SHARE, share, 0)
  is_clear = explained >= _LEAST_SHARE
  is_clear &= explained > _straight(x, known) + 1e-9
  return is_clear & (known.sum(-1) >= LEAST)


def _straight(x: np.ndarray, known: np.ndarray) -> np.ndarray:
  """Variance of standardised series that a straight line explains."""
  line = np.where(known, np.cumsum(known, -1), 0)
  mean = line.sum(-1, keepdims=True) / np.maximum(
    known.sum(-1, keepdims=True), 1
  )
  line = np.where(known, line - mean, 0)
  return (line * x).sum(-1) ** 2 / np.maximum((line**2).sum(-1), 1)
