"""When a series changes: onset, midpoint and end of its largest transition.

A transition runs monotonely from one level to another. Both levels are fitted
to its own surroundings alone, so that what a series does later (a recovery, a
decay, a second rise) does not move it. Onset, midpoint and end are where a
fifth, half and four fifths of the way between the levels are made. Each is
found by counting the checkpoints on the near side of it, which smoothing and
the steepness of the change do not bias, and has an error from the noise of the
series itself.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from emergence_jax.analysis import changes

NAMES = ('onset', 'midpoint', 'end')
ONSET, MIDPOINT, END = range(3)
# Shares of the way from level to level.
_SHARES = (0.2, 0.5, 0.8)
# Of transitions that are so nearly as large as the largest the first counts.
_NEARLY = 0.8
# A level reaches as far as the series stays within this part of the change,
# and within so many standard deviations of its noise.
_FLAT, _DEVIATIONS = 0.15, 4.0
# Variance of a place that is known to lie between two checkpoints.
_BETWEEN = 1 / 12


class Transitions(NamedTuple):
  """Transitions of series, as places among their C checkpoints.

  Places are numbers between 0 and C − 1: a jump between the checkpoints 6 and
  7 lies at 6.5.

  Attributes:
    place_3x: onset, midpoint and end; nan where no change stands out.
    error_3x: their standard errors, in checkpoints.
  """

  place_3x: np.ndarray
  error_3x: np.ndarray


def _noise(x_NC: np.ndarray) -> np.ndarray:
  """Standard deviation [N] of what is independent between checkpoints.

  By second differences, which a transition hardly moves in their median.
  """
  second = x_NC[:, 2:] - 2 * x_NC[:, 1:-1] + x_NC[:, :-2]
  return np.median(np.abs(second), 1) / (0.6745 * np.sqrt(6))


def _first(holds_NC: np.ndarray, otherwise) -> np.ndarray:
  """First place at which something holds."""
  return np.where(holds_NC.any(1), holds_NC.argmax(1), otherwise)


def _past_last(holds_NC: np.ndarray, otherwise) -> np.ndarray:
  """The place behind the last at which something holds."""
  last = holds_NC.shape[1] - holds_NC[:, ::-1].argmax(1)
  return np.where(holds_NC.any(1), last, otherwise)


def _at(x_NC: np.ndarray, place_N: np.ndarray) -> np.ndarray:
  return np.take_along_axis(x_NC, place_N[:, None], 1)[:, 0]


class _Rise(NamedTuple):
  """A rise of each series.

  Attributes:
    size_N: of the largest.
    low_N: place of the lowest value before the first that is nearly as large.
    high_N: place of the highest value behind it, before the series goes back.
  """

  size_N: np.ndarray
  low_N: np.ndarray
  high_N: np.ndarray


def _rise(x_NC: np.ndarray, noise_N: np.ndarray) -> _Rise:
  """The first rise that is nearly as large as the largest."""
  count = x_NC.shape[1]
  at_C = np.arange(count)
  risen_NC = x_NC - np.minimum.accumulate(x_NC, 1)
  size_N = risen_NC.max(1)
  reached_N = (risen_NC >= _NEARLY * size_N[:, None]).argmax(1)[:, None]
  highest_NC = np.maximum.accumulate(
    np.where(at_C >= reached_N, x_NC, -np.inf), 1
  )
  back_N = np.maximum((1 - _NEARLY) * size_N, _DEVIATIONS * noise_N)[:, None]
  turns_N = _first((at_C >= reached_N) & (highest_NC - x_NC > back_N), count)[
    :, None
  ]
  inside = (at_C >= reached_N) & (at_C < turns_N)
  high_N = np.where(inside, x_NC, -np.inf).argmax(1)
  before = np.where(at_C <= reached_N, x_NC, np.inf)
  low_N = count - 1 - before[:, ::-1].argmin(1)
  return _Rise(size_N, low_N, high_N)


def _largest(x_NC: np.ndarray, noise_N: np.ndarray):
  """Series whose largest change is a rise, and where its ends are."""
  up, down = _rise(x_NC, noise_N), _rise(-x_NC, noise_N)
  large_N = _NEARLY * np.maximum(up.size_N, down.size_N)
  rises_N = (up.size_N >= large_N) & (
    (down.size_N < large_N) | (up.high_N <= down.high_N)
  )
  y_NC = np.where(rises_N[:, None], x_NC, -x_NC)
  low_N = np.where(rises_N, up.low_N, down.low_N)
  high_N = np.where(rises_N, up.high_N, down.high_N)
  return y_NC, low_N, high_N


def _mean(x_NC: np.ndarray, inside_NC: np.ndarray) -> np.ndarray:
  return np.where(inside_NC, x_NC, 0).sum(1) / np.maximum(inside_NC.sum(1), 1)


def _transitions(x_NC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Places and errors [3, N] of series without gaps."""
  count = x_NC.shape[1]
  at_C = np.arange(count)
  noise_N = _noise(x_NC)
  y_NC, low_N, high_N = _largest(x_NC, noise_N)
  bottom_N, top_N = _at(y_NC, low_N), _at(y_NC, high_N)
  near_N = np.maximum(_FLAT * (top_N - bottom_N), _DEVIATIONS * noise_N)
  is_low = y_NC <= (bottom_N + near_N)[:, None]
  is_high = y_NC >= (top_N - near_N)[:, None]
  low_N, high_N = low_N[:, None], high_N[:, None]
  # Where both levels reach to, outwards and inwards.
  start_N = _past_last(~is_low & (at_C < low_N), 0)[:, None]
  stop_N = _first(~is_high & (at_C > high_N), count)[:, None]
  rises_N = _first(~is_low & (at_C >= low_N), count)[:, None]
  risen_N = _past_last(~is_high & (at_C < high_N), 0)[:, None]
  before = (at_C >= start_N) & (at_C < np.maximum(rises_N, start_N + 1))
  behind = (at_C < stop_N) & (at_C >= np.minimum(risen_N, stop_N - 1))
  level_N, other_N = _mean(y_NC, before), _mean(y_NC, behind)
  size_N = np.maximum(other_N - level_N, np.finfo(float).tiny)[:, None]
  # As many checkpoints of either level, so that those which noise puts on the
  # wrong side of the midpoint cancel.
  as_many = np.minimum(before.sum(1), behind.sum(1))[:, None]
  first_N = start_N + before.sum(1)[:, None] - as_many
  counted = (at_C >= first_N) & (
    at_C < stop_N - behind.sum(1)[:, None] + as_many
  )
  way_NC = (y_NC - level_N[:, None]) / size_N
  relative_N = np.maximum(noise_N[:, None] / size_N, 1e-9)
  places, errors = [], []
  for share in _SHARES:
    places.append(first_N[:, 0] + (counted & (way_NC < share)).sum(1) - 0.5)
    side_NC = ndtr((share - np.clip(way_NC, 0, 1)) / relative_N)
    variance_N = np.where(counted, side_NC * (1 - side_NC), 0).sum(1)
    errors.append(np.sqrt(variance_N + _BETWEEN))
  return np.array(places), np.array(errors)


def transitions(series: np.ndarray) -> Transitions:
  """The largest transition of each series [..., C]; nan is not measured.

  >>> found = transitions([0.0] * 6 + [1.0] * 4 + [0.5] * 9)
  >>> found.place_3x
  array([5.5, 5.5, 5.5])
  """
  series = np.asarray(series, float)
  x, known = changes.standardised(series)
  flat_NC, known_NC = (v.reshape(-1, series.shape[-1]) for v in (x, known))
  clear_N = changes.stands_out(series).reshape(-1)
  place_3N, error_3N = np.full((2, 3, len(flat_NC)), np.nan)
  masks, group_N = np.unique(known_NC[clear_N], axis=0, return_inverse=True)
  for i, mask_C in enumerate(masks):
    chosen_N = np.flatnonzero(clear_N)[group_N.ravel() == i]
    at_C = np.flatnonzero(mask_C)
    places, errors = _transitions(flat_NC[chosen_N][:, at_C])
    place_3N[:, chosen_N] = np.interp(places, np.arange(at_C.size), at_C)
    # A place among those that are known is wider apart among all.
    error_3N[:, chosen_N] = errors * series.shape[-1] / at_C.size
  shape = (3, *series.shape[:-1])
  return Transitions(place_3N.reshape(shape), error_3N.reshape(shape))
