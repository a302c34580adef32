"""Intervals over seeds, and of shares.

The seed is what is drawn: its tasks, levels and events share its weights and
its data. Where all seeds agree, their spread says nothing; a share then has the
exact binomial interval of as many seeds, a bounded quantity likewise, what lies
on a grid the grid's own width, and anything else no interval.
"""

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
    count: seeds.
    level: how often such an interval covers; 95% where that is possible.
    events: of a share, of how many events; 0 of anything else.
  """

  value: float
  low: float
  high: float
  count: int
  level: float = CONFIDENCE
  events: int = 0

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
    count = str(self.count)
    if self.events:
      count = f'{self.events} events, seeds: {count}'
    if not self.has_interval:
      return f'{number} ({count}, no interval)'
    ends = (
      'not yet' if np.isinf(x) else f'{x:{digits}}'
      for x in shown_ends(self.low, self.high)
    )
    short = self.level < CONFIDENCE
    level = f', {self.level:.0%} level' if short else ''
    return f'{number} [{", ".join(ends)}] ({count}{level})'


NOTHING = Estimate(np.nan, np.nan, np.nan, 0)


def shown_ends(low: float, high: float) -> tuple[float, ...]:
  """Ends of an interval, 0 where they are nearer to it than it is wide.

  By a factor of a thousand: an end of 5e-14 says no more than 0. Where an end
  is not known, or not yet, both are as they are.

  >>> shown_ends(5e-14, 0.6), shown_ends(10.0, np.inf)
  ((0.0, 0.6), (10.0, inf))
  """
  if not np.isfinite(high - low):
    return low, high
  return tuple(0.0 if abs(x) < 1e-3 * (high - low) else x for x in (low, high))


def _t_interval(value, variances, counts) -> tuple[float, float]:
  """Student's interval of a sum of independent parts of known sizes.

  The degrees of freedom are Satterthwaite's. Without any variance there is no
  interval: nan.

  Args:
    value: the estimate.
    variances: of the parts, of one sample each.
    counts: seeds of the parts, at least 2.
  """
  variances, counts = np.asarray(variances), np.asarray(counts)
  total = variances.sum()
  if not total > (1e-9 * abs(value)) ** 2:
    return np.nan, np.nan
  share = variances / total
  freedom = 1 / (share**2 / (counts - 1)).sum()
  half = stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * np.sqrt(total)
  return float(value - half), float(value + half)


def mean_interval(
  sample_S: np.ndarray, bounds: tuple[float, float] | None = None
) -> Estimate:
  """Mean over seeds with Student's interval; nan is left out.

  The one interval of a mean over seeds. A bootstrap of few numbers is too
  narrow: that of 4 covers 80%, this one 95% where they are about normal.

  >>> mean_interval([1.0, 2.0, 3.0]).text()
  '2 [-0.484, 4.48] (3)'
  >>> mean_interval([-1.0, -1.0, -1.0], bounds=(-1, 1)).text()
  '-1 [-1, 0.415] (3)'

  Args:
    sample_S: one number a seed.
    bounds: between which the quantity lies, if it is bounded.
  """
  return over_runs([sample_S], bounds=bounds)


def _mean_of_means(samples: Sequence[np.ndarray]) -> float:
  return float(np.mean([x.mean() for x in samples]))


def over_runs(
  samples: Sequence[np.ndarray],
  statistic: Callable[[Sequence[np.ndarray]], float] = _mean_of_means,
  bounds: tuple[float, float] | None = None,
) -> Estimate:
  """A statistic of several runs with an interval over seeds.

  Its variance is the jackknife's: seeds are left out one at a time, within
  each run, since runs are not a sample of anything. Of a mean this is the
  usual variance, and the interval Student's. Where all seeds agree there is an
  interval only of what is bounded: the exact binomial one of as many seeds,
  since a mean of two extremes is the one that is known least.

  Args:
    samples: for each run one number a seed; nan is left out, and a run
      without any number too.
    statistic: takes a list of arrays, one a run; the mean over runs of their
      means if absent.
    bounds: between which the statistic lies, if it is bounded.

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
  estimate = Estimate(value, low, high, min(counts))
  if bounds is None:
    return estimate
  if not estimate.has_interval:
    least, most = bounds
    ends = _exact((value - least) / (most - least), min(counts))
    low, high = (least + end * (most - least) for end in ends)
    estimate = dataclasses.replace(estimate, low=low, high=high)
  return estimate.within(*bounds)


def _exact(share: float, count: float) -> tuple[float, float]:
  """Interval of a share of so many independent draws.

  Of Clopper and Pearson (1934), whose Beta quantiles take any real number.
  """
  hits, tail = share * count, (1 - CONFIDENCE) / 2
  low = stats.beta.ppf(tail, hits, count - hits + 1) if hits > 0 else 0.0
  high = stats.beta.isf(tail, hits + 1, count - hits) if hits < count else 1.0
  return float(low), float(high)


def shares(
  hits: Sequence[np.ndarray], totals: Sequence[np.ndarray]
) -> Estimate:
  """Share of the events of several runs, all pooled.

  Events of a seed may be all alike, so that seeds count and not events: the
  interval is the exact binomial one of as many draws as there are seeds (with
  unequal numbers of events, of Kish's effective number). It covers at least as
  often as it says, whatever events of a seed have in common.

  >>> shares([np.array([24, 24, 24])], [np.array([24, 24, 24])]).text()
  '1 [0.292, 1] (72 events, seeds: 3)'

  Args:
    hits: for each run the hits of each seed, [S].
    totals: of how many events, [S].

  Returns:
    The estimate; without an interval where a run has one seed.
  """
  total_N = np.concatenate([*totals, np.zeros(0)]).astype(float)
  total = total_N.sum()
  if not total:
    return NOTHING
  value = float(np.concatenate(hits).sum() / total)
  seeds = int((total_N > 0).sum())
  if min(len(h) for h in hits) < 2 or seeds < 2:
    return Estimate(value, np.nan, np.nan, seeds, events=int(total))
  low, high = _exact(value, total**2 / (total_N**2).sum())
  return Estimate(value, low, high, seeds, events=int(total))


def shares_of_seeds(
  hits: Sequence[np.ndarray], totals: Sequence[np.ndarray]
) -> Estimate:
  """Mean over seeds of a share of many pairs, with Student's interval.

  Of what each seed knows well by itself, as the share of hundreds of pairs;
  `shares` is for few events, which a seed may have all or none of.

  Args:
    hits: for each run the hits of each seed, [S].
    totals: of how many, [S]; a seed without any is left out.
  """
  each = [
    np.divide(h, t, out=np.full(len(t), np.nan), where=np.asarray(t) > 0)
    for h, t in zip(hits, totals)
  ]
  estimate = over_runs(each, bounds=(0.0, 1.0))
  return dataclasses.replace(
    estimate, events=int(sum(np.sum(t) for t in totals))
  )


def prediction(
  sample_S: np.ndarray, spacing_S: np.ndarray | float = 0.0
) -> tuple[float, float]:
  """95% interval for one more seed, of a positive quantity.

  Student's t on logarithms, which have about the same spread at every size.
  What lies on a grid is known to half of its spacing: the spread is no less
  than that of rounding, and the ends lie half a spacing further out.

  Args:
    sample_S: one positive number a seed.
    spacing_S: of the grid on which it lies, there; 0 for none.

  Returns:
    Both ends; nan for fewer than three seeds, or where one is not finite.
  """
  x = np.asarray(sample_S, float)
  spacing_S = np.broadcast_to(spacing_S, x.shape)
  if x.size < 3 or not np.all(np.isfinite(x)) or np.any(x <= 0):
    return np.nan, np.nan
  logs = np.log(x)
  rounding = np.mean((spacing_S / x) ** 2) / 12
  spread = np.sqrt(max(logs.var(ddof=1), rounding))
  half = stats.t.ppf((1 + CONFIDENCE) / 2, x.size - 1)
  half = half * spread * np.sqrt(1 + 1 / x.size)
  low, high = np.exp([logs.mean() - half, logs.mean() + half])
  rounding = spacing_S.max() / 2
  return max(0.0, float(low - rounding)), float(high + rounding)


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
