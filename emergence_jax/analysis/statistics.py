"""Intervals over seeds, and of shares."""

import dataclasses
from collections.abc import Callable, Sequence

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


def _mean_of_means(*samples: np.ndarray, axis: int) -> np.ndarray:
  return np.mean([np.mean(x, axis) for x in samples], 0)


def over_runs(
  samples: Sequence[np.ndarray],
  statistic: Callable[..., np.ndarray] = _mean_of_means,
  *,
  seed: int = 0,
) -> Estimate:
  """A statistic of several runs with its percentile bootstrap interval.

  Seeds are resampled within each run, since runs are not a sample of
  anything.

  Args:
    samples: for each run one number a seed; nan is left out, and a run
      without any number too.
    statistic: takes as many arrays as there are runs, and `axis`; the mean
      over runs of their means if absent.
    seed: of the resampling, so that a report is the same twice.

  Returns:
    The estimate; its `count` is that of the run with fewest seeds.
  """
  runs = [np.asarray(x, float) for x in samples]
  runs = [x[~np.isnan(x)] for x in runs]
  runs = [x for x in runs if x.size]
  if not runs:
    return NOTHING
  count = min(x.size for x in runs)
  value = float(statistic(*runs, axis=-1))
  if count == 1:
    return Estimate(value, np.nan, np.nan, 1)
  if all(np.all(x == x[0]) for x in runs):
    return Estimate(value, value, value, count)
  found = stats.bootstrap(
    tuple(runs), statistic, method='percentile', n_resamples=_RESAMPLES,
    confidence_level=CONFIDENCE, vectorized=True,
    rng=np.random.default_rng(seed),
  )  # fmt: skip
  low, high = found.confidence_interval
  return Estimate(value, float(low), float(high), count)


def bootstrap(sample_S: np.ndarray, *, seed: int = 0) -> Estimate:
  """Mean over the seeds of one run, as `over_runs`."""
  return over_runs([sample_S], seed=seed)


def shares(
  hits: Sequence[np.ndarray], totals: Sequence[np.ndarray], *, seed: int = 0
) -> Estimate:
  """Share of the events of several runs, all pooled.

  Seeds are resampled within each run with all of their events, which are not
  independent. Where seeds agree the bootstrap knows no width; the interval is
  therefore never narrower than Wilson's for as many independent events.

  Args:
    hits: for each run the hits of each seed, [S].
    totals: of how many events, [S].
    seed: of the resampling.

  Returns:
    The estimate, whose `count` is that of events; without an interval where
    a run has one seed.
  """
  total = int(np.concatenate(totals).sum()) if len(totals) else 0
  if not total:
    return NOTHING
  wilson = share(int(np.concatenate(hits).sum()), total)
  if min(len(h) for h in hits) < 2:
    return Estimate(wilson.value, np.nan, np.nan, total)

  def pooled(*picked, axis):
    k = sum(h[i.astype(int)].sum(axis) for h, i in zip(hits, picked))
    n = sum(t[i.astype(int)].sum(axis) for t, i in zip(totals, picked))
    # A resample without any event repeats the whole.
    return np.where(n > 0, k / np.maximum(n, 1), wilson.value)

  of_seeds = over_runs([np.arange(len(h)) for h in hits], pooled, seed=seed)
  return Estimate(
    wilson.value, min(wilson.low, of_seeds.low),
    max(wilson.high, of_seeds.high), total,
  )  # fmt: skip


def prediction(sample_S: np.ndarray) -> tuple[float, float]:
  """95% interval for one more seed, of a positive quantity.

  Student's t on logarithms, which have about the same spread at every size.

  Args:
    sample_S: one positive number a seed.

  Returns:
    Both ends; nan for fewer than three seeds, or where one is not finite.
  """
  x = np.asarray(sample_S, float)
  if x.size < 3 or not np.all(np.isfinite(x)) or np.any(x <= 0):
    return np.nan, np.nan
  logs = np.log(x)
  half = stats.t.ppf((1 + CONFIDENCE) / 2, x.size - 1)
  half = half * logs.std(ddof=1) * np.sqrt(1 + 1 / x.size)
  return float(np.exp(logs.mean() - half)), float(np.exp(logs.mean() + half))


def lower_median(steps_xS: np.ndarray) -> np.ndarray:
  """Lower median over the last axis, which never averages with infinity.

  A seed without the event (nan) is later than all others; `inf` is never.
  """
  late = np.sort(np.where(np.isnan(steps_xS), np.inf, steps_xS), -1)
  return late[..., (late.shape[-1] - 1) // 2]


def median_time(steps_S: np.ndarray, *, seed: int = 0) -> Estimate:
  """Median step of an event over seeds, some of which may never have it.

  A seed without the event (nan) is censored, as in `lower_median`.

  Args:
    steps_S: one step a seed, nan for never.
    seed: of the resampling.
  """
  steps = np.asarray(steps_S, float)
  if not steps.size:
    return NOTHING
  value = float(lower_median(steps))
  if steps.size == 1:
    return Estimate(value, np.nan, np.nan, 1)
  pick = np.random.default_rng(seed).integers(
    0, steps.size, (_RESAMPLES, steps.size)
  )
  medians = np.sort(lower_median(steps[pick]))
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
