"""Intervals over seeds, and of shares."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Estimate:
  """A value with its interval over seeds.

  Attributes:
    value: the statistic of the sample.
    low: lower end of the interval over seeds; nan for fewer than two.
    high: upper end.
    count: seeds, or events.
    level: how often such an interval covers; 95% where that is possible.
  """

  value: float
  low: float
  high: float
  count: int
  level: float = CONFIDENCE

  @property
  def has_interval(self) -> bool:
    """Whether there were seeds enough for an interval."""
    return not (np.isnan(self.low) or np.isnan(self.high))

  def within(self, least: float, most: float) -> 'Estimate':
    """The same, of a quantity that has bounds.

    >>> Estimate(0.9, 0.7, 1.1, 4).within(-1, 1).high
    1.0
    """
    low, high = np.clip([self.low, self.high], least, most).tolist()
    return dataclasses.replace(self, low=low, high=high)

  def text(self, digits: str = '.3g') -> str:
    """`0.25 [0.1, 0.4] (8)`, or the value alone and that it is alone."""
    if not self.count:
      return '–'
    number = 'not yet' if np.isinf(self.value) else f'{self.value:{digits}}'
    if not self.has_interval:
      return f'{number} ({self.count}, no interval)'
    ends = (
      'not yet' if np.isinf(x) else f'{x:{digits}}'
      for x in (self.low, self.high)
    )
    short = self.level < CONFIDENCE
    level = f', {self.level:.0%} level' if short else ''
    return f'{number} [{", ".join(ends)}] ({self.count}{level})'


NOTHING = Estimate(np.nan, np.nan, np.nan, 0)


def _t_interval(value, variances, counts) -> tuple[float, float]:
  """Student's interval of a sum of independent parts of known sizes.

  The degrees of freedom are Satterthwaite's.

  Args:
    value: the estimate.
    variances: of the parts, of one sample each.
    counts: seeds of the parts, at least 2.
  """
  variances, counts = np.asarray(variances), np.asarray(counts)
  total = variances.sum()
  if not total > 0:
    return value, value
  share = variances / total
  freedom = 1 / (share**2 / (counts - 1)).sum()
  half = stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * np.sqrt(total)
  return float(value - half), float(value + half)


def mean_interval(sample_S: np.ndarray) -> Estimate:
  """Mean over seeds with Student's interval; nan is left out.

  The one interval of a mean over seeds. A bootstrap of few numbers is too
  narrow: that of 4 covers 80%, this one 95% where they are about normal.

  >>> mean_interval([1.0, 2.0, 3.0]).text()
  '2 [-0.484, 4.48] (3)'
  """
  return over_runs([sample_S])


def _mean_of_means(samples: Sequence[np.ndarray]) -> float:
  return float(np.mean([x.mean() for x in samples]))


def over_runs(
  samples: Sequence[np.ndarray],
  statistic: Callable[[Sequence[np.ndarray]], float] = _mean_of_means,
) -> Estimate:
  """A statistic of several runs with an interval over seeds.

  Its variance is the jackknife's: seeds are left out one at a time, within
  each run, since runs are not a sample of anything. Of a mean this is the
  usual variance, and the interval Student's.

  Args:
    samples: for each run one number a seed; nan is left out, and a run
      without any number too.
    statistic: takes a list of arrays, one a run; the mean over runs of their
      means if absent.

  Returns:
    The estimate; its `count` is that of the run with fewest seeds.
  """
  runs = [np.asarray(x, float) for x in samples]
  runs = [x[~np.isnan(x)] for x in runs]
  runs = [x for x in runs if x.size]
  if not runs:
    return NOTHING
  counts = [x.size for x in runs]
  value = float(statistic(runs))
  if min(counts) == 1:
    return Estimate(value, np.nan, np.nan, 1)
  variances = []
  for i, x in enumerate(runs):
    without = np.array([
      statistic([*runs[:i], np.delete(x, s), *runs[i + 1 :]])
      for s in range(x.size)
    ])  # fmt: skip
    spread = ((without - without.mean()) ** 2).sum()
    variances.append((x.size - 1) / x.size * spread)
  low, high = _t_interval(value, variances, counts)
  return Estimate(value, low, high, min(counts))


def shares(
  hits: Sequence[np.ndarray], totals: Sequence[np.ndarray]
) -> Estimate:
  """Share of the events of several runs, all pooled.

  Seeds are left out one at a time with all of their events, which are not
  independent. Where seeds agree the jackknife knows no width; the interval is
  therefore never narrower than Wilson's for as many independent events.

  Args:
    hits: for each run the hits of each seed, [S].
    totals: of how many events, [S].

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

  def pooled(picked):
    k = sum(h[i.astype(int)].sum() for h, i in zip(hits, picked))
    n = sum(t[i.astype(int)].sum() for t, i in zip(totals, picked))
    # Without the one seed that has events there is nothing to divide by.
    return k / n if n else wilson.value

  of_seeds = over_runs([np.arange(len(h)) for h in hits], pooled)
  return Estimate(
    wilson.value, max(0.0, min(wilson.low, of_seeds.low)),
    min(1.0, max(wilson.high, of_seeds.high)), total,
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


def median_time(steps_S: np.ndarray) -> Estimate:
  """Median step of an event over seeds, some of which may never have it.

  A seed without the event (nan) is censored, as in `lower_median`. The
  interval lies between two of the sorted seeds: the narrowest pair that covers
  the median of all seeds with 95%, whatever their distribution, or the first
  and the last where none does; `level` is what the pair covers.

  >>> median_time(np.array([300.0, 100.0, 200.0, 400.0])).text()
  '200 [100, 400] (4, 88% level)'

  Args:
    steps_S: one step a seed, nan for never.
  """
  steps = np.asarray(steps_S, float)
  if not steps.size:
    return NOTHING
  late = np.sort(np.where(np.isnan(steps), np.inf, steps))
  value, count = float(lower_median(steps)), steps.size
  if count == 1:
    return Estimate(value, np.nan, np.nan, 1)
  # Between the sorted seeds i and −1 − i.
  level_N = np.array([
    1 - 2 * stats.binom.cdf(i, count, 0.5) for i in range(count // 2)
  ])  # fmt: skip
  wide = np.flatnonzero(level_N >= CONFIDENCE)
  i = int(wide[-1]) if wide.size else 0
  return Estimate(
    value, float(late[i]), float(late[-1 - i]), count, float(level_N[i])
  )


def share(hits: int, total: int) -> Estimate:
  """k of n with Wilson's interval."""
  if not total:
    return NOTHING
  interval = stats.binomtest(int(hits), int(total)).proportion_ci(
    CONFIDENCE, 'wilson'
  )
  return Estimate(
    hits / total, float(interval.low), float(interval.high), int(total)
  )


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
  """p-values [N] after Holm's correction for N of them; nan takes no part.

  >>> holm([0.01, 0.04, float('nan'), 0.03])
  array([0.03, 0.06,  nan, 0.06])

  Source: Holm 1979.
  """
  p_N = np.asarray(p_values, float)
  adjusted = np.full(p_N.shape, np.nan)
  known = np.flatnonzero(np.isfinite(p_N))
  order = known[np.argsort(p_N[known], kind='stable')]
  factor = np.arange(order.size, 0, -1)
  adjusted[order] = np.minimum(np.maximum.accumulate(p_N[order] * factor), 1)
  return adjusted
