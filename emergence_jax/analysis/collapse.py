"""The collapse of representation rank, and where in depth it is."""

from typing import NamedTuple

import numpy as np
from scipy import stats

from emergence_jax.analysis.emergence import first_sustained

# The step at which the paper's coarse schedule first looked.
FIRST_LOOK = 1000


class Collapse(NamedTuple):
  """A rank's fall and rise; leading axes as in the series.

  The collapse begins where the rank falls below half of its initial value and
  ends where it is above that again for five checkpoints in a row; a fall late
  in training is another one. If it never falls so far, or stays below, the
  floor is the minimum of the whole series.

  Attributes:
    initial: [...], value at the first checkpoint.
    half_step: [...], first step below half of it; nan if never.
    floor: [...], minimum until the collapse ends.
    floor_step: [...], its step.
    recovery: [...], largest value after the floor, minus the floor.
    recovery_slope: [...], `recovery` per step from the floor to that value;
      0 without one.
    at_first_look: [...], value at the first checkpoint from step 1,000 on;
      nan if the run is shorter.
    is_over: [...], 1 where the collapse has ended, so that more training
      leaves its floor as it is; 0 where it has not, or has not begun.
  """

  initial: np.ndarray
  half_step: np.ndarray
  floor: np.ndarray
  floor_step: np.ndarray
  recovery: np.ndarray
  recovery_slope: np.ndarray
  at_first_look: np.ndarray
  is_over: np.ndarray


def _end(x_C: np.ndarray) -> int | None:
  """Index at which the first collapse has ended; None if it has not."""
  below = np.flatnonzero(x_C < x_C[0] / 2)
  if not below.size:
    return None
  risen = first_sustained(x_C[below[0] :] >= x_C[0] / 2)
  return None if risen is None else int(below[0]) + risen


def floor_index(x_C: np.ndarray) -> int:
  """Index of the minimum within the first collapse."""
  return int(np.argmin(x_C[: _end(x_C)]))


def _one(step_C: np.ndarray, x_C: np.ndarray) -> tuple[float, ...]:
  known = np.isfinite(x_C)
  if not known.any():
    return (np.nan,) * len(Collapse._fields)
  step, x = step_C[known], x_C[known]
  below = np.flatnonzero(x < x[0] / 2)
  low = floor_index(x)
  top = low + int(np.argmax(x[low:]))
  rise = x[top] - x[low]
  late = np.flatnonzero(step >= FIRST_LOOK)
  return (
    x[0],
    step[below[0]] if below.size else np.nan,
    x[low],
    step[low],
    rise,
    rise / (step[top] - step[low]) if top > low else 0.0,
    x[late[0]] if late.size else np.nan,
    float(_end(x) is not None),
  )


def collapse(step_C: np.ndarray, rank: np.ndarray) -> Collapse:
  """Describes the collapse of rank series [..., C]; nan rows are left out.

  Source: arXiv:2602.15997, section 3.
  """
  step_C = np.asarray(step_C, float)
  flat = np.asarray(rank, float).reshape(-1, len(step_C))
  rows = np.array([_one(step_C, x) for x in flat])
  shape = np.shape(rank)[:-1]
  return Collapse(*(rows[:, i].reshape(shape) for i in range(rows.shape[1])))


class Depth(NamedTuple):
  """Top-down, in two readings, over events (leading axes).

  Attributes:
    gradient: [...], 1 where at the collapse minimum of the last layer its rank
      is below the first layer's (the paper's test), 0 where not; nan unknown.
    order: [...], rank correlation of depth with the step of the 50% drop:
      −1 where the last layer falls first, 1 where the first does; nan where
      fewer than three layers fall, or all at the same step.
    last_before_first: [...], 1 the last layer halves before the first, 0 at
      the same checkpoint or after; nan where either never does.
  """

  gradient: np.ndarray
  order: np.ndarray
  last_before_first: np.ndarray


def depth(step_C: np.ndarray, rank: np.ndarray) -> Depth:
  """Top-down tests of rank series [..., Λ, C] of Λ ≥ 2 layers."""
  step_C, rank = np.asarray(step_C, float), np.asarray(rank, float)
  collapsed = collapse(step_C, rank)
  half, floor_step = collapsed.half_step, collapsed.floor_step[..., -1]
  # Where the last layer has no floor any place will do: the answer is nan.
  low = np.argmax(step_C == floor_step[..., None], -1)[..., None]
  first_there = np.take_along_axis(rank[..., 0, :], low, -1)[..., 0]
  last_there = np.take_along_axis(rank[..., -1, :], low, -1)[..., 0]
  known = np.isfinite(first_there) & np.isfinite(last_there)
  gradient = np.where(known, last_there < first_there, np.nan)

  def side(half_L):
    known = np.isfinite(half_L)
    # Of two layers it could be nothing but −1 or 1.
    if known.sum() < 3 or np.ptp(half_L[known]) == 0:
      return np.nan
    places = np.arange(half_L.size)[known]
    return stats.spearmanr(places, half_L[known]).statistic

  order = np.apply_along_axis(side, -1, half)
  both = np.isfinite(half[..., 0]) & np.isfinite(half[..., -1])
  earlier = np.where(both, half[..., -1] < half[..., 0], np.nan)
  return Depth(gradient, order, earlier)


class Invariance(NamedTuple):
  """Floors of one task over sizes.

  Attributes:
    floors: mean over seeds of each size, in the order given.
    mean: of these.
    std: of these, with n − 1.
    variation: std / mean.
    spread: pooled standard deviation between seeds of a size; nan with one.
    p_value: of one-way analysis of variance, sizes against seeds; nan with
      one seed.
  """

  floors: tuple[float, ...]
  mean: float
  std: float
  variation: float
  spread: float
  p_value: float


def invariance(floors_by_size: list[np.ndarray]) -> Invariance:
  """Whether floors differ more between sizes than between seeds."""
  groups = [np.asarray(g, float) for g in floors_by_size]
  groups = [g[np.isfinite(g)] for g in groups]
  groups = [g for g in groups if g.size]
  if not groups:
    return Invariance((), *(np.nan,) * 5)
  means = np.array([g.mean() for g in groups])
  std = means.std(ddof=1) if means.size > 1 else np.nan
  free = sum(g.size - 1 for g in groups)
  squares = sum(((g - g.mean()) ** 2).sum() for g in groups)
  spread = np.sqrt(squares / free) if free else np.nan
  p_value = np.nan
  if means.size > 1 and free and squares > 0:
    p_value = float(stats.f_oneway(*groups).pvalue)
  return Invariance(
    tuple(means.tolist()), float(means.mean()), float(std),
    float(std / means.mean()), float(spread), p_value,
  )  # fmt: skip
