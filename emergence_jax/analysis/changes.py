"""The step at which a series changes most.

A series is described by two to four constant levels, and its change lies at
the largest jump between two of them. Nothing is supposed of its course, and
every checkpoint counts alike, whatever the steps between them.
"""

from typing import NamedTuple

import numpy as np

# Fewer checkpoints than this show no change of level.
LEAST = 9
# Share of a series' variance that its levels have to explain, and that a
# further level has to add.
_LEAST_SHARE, _MORE_SHARE = 0.3, 0.05
# A jump of this part of the largest counts as one as large.
_NEARLY = 0.8


class Changes(NamedTuple):
  """Largest changes of series; leading axes as in the series.

  Attributes:
    index: int [...], the first checkpoint behind the change.
    is_clear: bool [...], levels explain at least 30% of the variance, and more
      than a straight line over the checkpoints does.
  """

  index: np.ndarray  # type: ignore[assignment]
  is_clear: np.ndarray


def _standardised(series: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Series [..., C] of mean 0 and sum of squares 1, and what is known.

  Series that do not change become 0.
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
    jump: [...], |difference of the levels|.
  """

  place: np.ndarray
  share: np.ndarray
  jump: np.ndarray


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
  share, jump = (
    np.take_along_axis(v, place, -1)[..., 0] for v in (share, np.abs(jump))
  )
  return _Split(place[..., 0], share, jump)


def _level(x: np.ndarray, stretch: np.ndarray) -> np.ndarray:
  """Mean over a stretch of each series; 0 where it is empty."""
  size = np.maximum(stretch.sum(-1), 1)
  return np.where(stretch, x, 0).sum(-1) / size


def changes(series: np.ndarray) -> Changes:
  """The largest change of each series [..., C]; nan is not measured.

  The series is described by two levels, and each of the stretches of these by
  two more where that explains another 5% of the variance. The change is the
  largest jump between neighbouring levels, so that a fall with a slow recovery
  is found at the fall; of jumps that differ by less than 20% the first.

  >>> found = changes([[0.0] * 6 + [1.0] * 4, np.linspace(0, 1, 10)])
  >>> found.index[0].item(), found.is_clear.tolist()
  (6, [True, False])
  """
  x, known = _standardised(series)
  at_C = np.arange(x.shape[-1])
  middle = _split(x, known)
  before = known & (at_C <= middle.place[..., None])
  after = known & ~before
  left, right = _split(x, before), _split(x, after)
  has_left, has_right = (part.share >= _MORE_SHARE for part in (left, right))
  # Levels on both sides of the middle, from the next jumps on.
  low = _level(x, np.where(
    has_left[..., None], before & (at_C > left.place[..., None]), before
  ))  # fmt: skip
  high = _level(x, np.where(
    has_right[..., None], after & (at_C <= right.place[..., None]), after
  ))  # fmt: skip
  places = np.stack([left.place, middle.place, right.place], -1)
  jumps = np.stack([
    np.where(has_left, left.jump, 0),
    np.abs(high - low),
    np.where(has_right, right.jump, 0),
  ], -1)  # fmt: skip
  is_large = jumps >= _NEARLY * jumps.max(-1, keepdims=True)
  place = np.take_along_axis(places, np.argmax(is_large, -1)[..., None], -1)
  # A change is seen at the next checkpoint that is known.
  index = np.argmax(known & (at_C > place), -1)
  explained = (
    middle.share + np.where(has_left, left.share, 0)
    + np.where(has_right, right.share, 0)
  )  # fmt: skip
  is_clear = explained >= _LEAST_SHARE
  is_clear &= explained > _straight(x, known) + 1e-9
  is_clear &= known.sum(-1) >= LEAST
  return Changes(index, is_clear)


def _straight(x: np.ndarray, known: np.ndarray) -> np.ndarray:
  """Variance of standardised series that a straight line explains."""
  line = np.where(known, np.cumsum(known, -1), 0)
  mean = line.sum(-1, keepdims=True) / np.maximum(
    known.sum(-1, keepdims=True), 1
  )
  line = np.where(known, line - mean, 0)
  return (line * x).sum(-1) ** 2 / np.maximum((line**2).sum(-1), 1)
