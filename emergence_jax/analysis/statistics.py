"""Intervals over seeds, and of shares."""

import dataclasses
from collections.abc import Callable

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
_RESAMPLES = 2000


@dataclasses.dataclass(frozen=True)
class Estimate:
  """A value with its interval over seeds.

  Attributes:
    value: the statistic of the sample.
    low: lower end of the 95% interval; nan for fewer than two seeds.
    high: upper end.
    count: seeds, or events.
  """

  value: float
  low: float
  high: float
  count: int

  @property
  def has_interval(self) -> bool:
    """Whether there were seeds enough for an interval."""
    return not (np.isnan(self.low) or np.isnan(self.high))

  def text(self, digits: str = '.3g') -> str:
    """`0.25 [0.1, 0.4] (8)`, or the value alone and that it is alone."""
    if not self.count:
      return '–'
    number = 'never' if np.isinf(self.value) else f'{self.value:{digits}}'
    if not self.has_interval:
      return f'{number} ({self.count}, no interval)'
    ends = (
      'never' if np.isinf(x) else f'{x:{digits}}' for x in (self.low, self.high)
    )
    return f'{number} [{", ".join(ends)}] ({self.count})'


NOTHING = Estimate(np.nan, np.nan, np.nan, 0)


def bootstrap(
  sample_S: np.ndarray,
  statistic: Callable[..., np.ndarray] = np.mean,
  *,
  seed: int = 0,
) -> Estimate:
  """A statistic over seeds with its percentile bootstrap interval.

  Args:
    sample_S: one number a seed; nan is left out.
    statistic: takes `axis`.
    seed: of the resampling, so that a report is the same twice.
  """
  sample = np.asarray(sample_S, float)
  sample = sample[~np.isnan(sample)]
  if not sample.size:
    return NOTHING
  value = float(statistic(sample, axis=-1))
  if sample.size == 1:
    return Estimate(value, np.nan, np.nan, 1)
  if np.all(sample == sample[0]):
    return Estimate(value, value, value, sample.size)
  found = stats.bootstrap(
    (sample,), statistic, method='percentile', n_resamples=_RESAMPLES,
    confidence_level=CONFIDENCE, vectorized=True,
    rng=np.random.default_rng(seed),
  )  # fmt: skip
  low, high = found.confidence_interval
  return Estimate(value, float(low), float(high), sample.size)


def median_time(steps_S: np.ndarray, *, seed: int = 0) -> Estimate:
  """Median step of an event over seeds, some of which may never have it.

  A seed without the event (nan) is censored: it is later than all others.
  Quantiles of order statistics, so that the median may be `inf`, never.

  Args:
    steps_S: one step a seed, nan for never.
    seed: of the resampling.
  """
  steps = np.where(np.isnan(steps_S), np.inf, np.asarray(steps_S, float))
  if not steps.size:
    return NOTHING

  def middle(sorted_xS):
    """Lower median, which never averages a number with infinity."""
    return sorted_xS[..., (steps.size - 1) // 2]

  value = float(middle(np.sort(steps)))
  if steps.size == 1:
    return Estimate(value, np.nan, np.nan, 1)
  pick = np.random.default_rng(seed).integers(
    0, steps.size, (_RESAMPLES, steps.size)
  )
  medians = np.sort(middle(np.sort(steps[pick], -1)))
  tail = (1 - CONFIDENCE) / 2
  ends = (int(tail * _RESAMPLES), int((1 - tail) * _RESAMPLES) - 1)
  low, high = (float(medians[i]) for i in ends)
  return Estimate(value, low, high, steps.size)


def share(hits: int, total: int) -> Estimate:
  """k of n with Wilson's interval."""
  if not total:
    return NOTHING
  found = stats.binomtest(int(hits), int(total)).proportion_ci(
    CONFIDENCE, 'wilson'
  )
  return Estimate(hits / total, float(found.low), float(found.high), int(total))
