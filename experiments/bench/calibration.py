"""`bench calibration`: do p-values and intervals hold what they say?

Every p-value of the analysis over made-up studies in which measure and
behaviour are independent; the power for a planted lead; and how often each
interval over seeds covers the truth.
"""

from collections.abc import Callable

import numpy as np
from rich import box, console, progress, table
from scipy import stats

from emergence_jax.analysis import collapse, precedence, statistics
from experiments.bench import made_up_studies
from experiments.bench.made_up_studies import Made, Sizes

_STUDIES, _DRAWS, _SAMPLES = 1000, 400, 4000


def _p_values(make: Callable[..., Made], studies: int, **options):
  """p-values [N, 4] of order, ties, and of all together."""
  p_values = np.empty((studies, 4))
  for i in range(studies):
    made = make(np.random.default_rng(i), **options)
    tests = precedence.tests(*made, draws=_DRAWS, seed=i)
    p_values[i] = (
      tests.p_order, tests.p_seeds, tests.p_tasks, precedence.p_precedes(tests)
    )  # fmt: skip
  return p_values


def _percent(share: float, possible: bool = True) -> str:
  return f'{100 * share:.1f}' if possible else '–'


def _false_alarms(show) -> table.Table:
  rows = table.Table(
    title=f'Independent studies with p < 0.05, % of {_STUDIES}',
    box=box.SIMPLE_HEAD,
  )
  for name in ('made-up study', 'order', 'tie over seeds', 'tie over tasks',
               'precedes'):  # fmt: skip
    rows.add_column(name, justify='left' if not rows.columns else 'right')
  for name, scenario in show(made_up_studies.INDEPENDENT.items()):
    p = _p_values(scenario.make, _STUDIES)
    alarms = (p < precedence.MAX_P).mean(0)
    possible = np.isfinite(p).any(0)
    order = _percent(alarms[0]) + ('' if scenario.neither_first else ' (true)')
    rows.add_row(name, order, *map(_percent, alarms[1:], possible[1:]))
  return rows


_PLANTED = {
  '8 seeds × 8 tasks × 3 levels': Sizes(),
  '5 seeds': Sizes(seeds=5),
  '4 seeds: the least p of order is 1/16': Sizes(seeds=4),
  'one task and level': Sizes(tasks=1, levels=1),
}


def _power(show) -> table.Table:
  rows = table.Table(
    title=f'A lead of 200 steps, seeds differ by 20%: p < 0.05, % of '
    f'{_STUDIES // 2}',
    box=box.SIMPLE_HEAD,
  )
  for name in ('made-up study', 'order', 'tie over seeds', 'tie over tasks',
               'precedes'):  # fmt: skip
    rows.add_column(name, justify='left' if not rows.columns else 'right')
  for name, sizes in show(_PLANTED.items()):
    p = _p_values(made_up_studies.planted, _STUDIES // 2, sizes=sizes)
    power, possible = (p < precedence.MAX_P).mean(0), np.isfinite(p).any(0)
    rows.add_row(name, *map(_percent, power, possible))
  return rows


def _normal(rng, seeds):
  return statistics.mean_interval(rng.normal(size=seeds)), 0.0


def _skewed(rng, seeds):
  sample = np.exp(0.3 * rng.normal(size=seeds))
  return statistics.mean_interval(sample), np.exp(0.045)


def _very_skewed(rng, seeds):
  return statistics.mean_interval(rng.exponential(size=seeds)), 1.0


def _three_runs(rng, seeds):
  runs = [rng.normal(m, s, seeds) for m, s in ((0, 0.5), (3, 1), (9, 4))]
  return statistics.over_runs(runs), 4.0


def _variation(rng, seeds):
  """Of means over five sizes, as of the floors."""
  means = np.array([2.0, 2.5, 4.0, 3.0, 5.0])
  runs = [rng.normal(m, 0.3, seeds) for m in means]

  def variation(samples):
    of = np.array([x.mean() for x in samples])
    return of.std(ddof=1) / of.mean()

  return statistics.over_runs(runs, variation), variation(means[:, None])


def _shares(rng, seeds):
  chance, totals = rng.beta(4, 2, seeds), rng.integers(5, 25, seeds)
  hits = rng.binomial(totals, chance)
  return statistics.shares([hits], [totals]), 4 / 6


def _even_shares(rng, seeds):
  hits = rng.binomial(24, 0.9, seeds)
  return statistics.shares([hits], [np.full(seeds, 24)]), 0.9


def _median(rng, seeds):
  steps = np.exp(rng.normal(size=seeds))
  return statistics.median_time(np.where(steps > 3, np.nan, steps)), 1.0


def _prediction(rng, seeds):
  *sample, more = np.exp(rng.normal(1, 0.3, seeds + 1))
  low, high = statistics.prediction(sample)
  return statistics.Estimate(more, low, high, seeds), more


_INTERVALS = {
  'mean, normal': _normal,
  'mean, log-normal (0.3)': _skewed,
  'mean, exponential': _very_skewed,
  'mean of the means of three runs': _three_runs,
  'variation of five means': _variation,
  'share, unequal seeds': _shares,
  'share, equal seeds': _even_shares,
  'median with censored seeds': _median,
  'one more seed': _prediction,
}


def _coverage(show) -> table.Table:
  rows = table.Table(
    title=f'How often intervals over seeds cover, % of {_SAMPLES}',
    box=box.SIMPLE_HEAD,
  )
  counts = (3, 4, 8, 16)
  rows.add_column('interval of')
  for seeds in counts:
    rows.add_column(f'{seeds} seeds', justify='right')
  for name, make in show(_INTERVALS.items()):
    cells = []
    for seeds in counts:
      rng = np.random.default_rng(0)
      hits = 0
      for _ in range(_SAMPLES):
        estimate, truth = make(rng, seeds)
        hits += estimate.low <= truth <= estimate.high
      level = f' ({estimate.level:.0%})' if estimate.level < 0.95 else ''
      cells.append(_percent(hits / _SAMPLES) + level)
    rows.add_row(name, *cells)
  return rows


def _invariance() -> table.Table:
  """The analysis of variance of floors over five sizes that are all alike."""
  rows = table.Table(
    title=f'Floors that do not depend on size: p < 0.05, % of {_SAMPLES}',
    box=box.SIMPLE_HEAD,
  )
  rows.add_column('floors')
  for seeds in (3, 8):
    rows.add_column(f'{seeds} seeds', justify='right')
  for name, draw in (
    ('normal', lambda rng, n: rng.normal(3, 0.3, n)),
    ('log-normal (0.3)', lambda rng, n: np.exp(rng.normal(1, 0.3, n))),
  ):
    cells = []
    for seeds in (3, 8):
      rng = np.random.default_rng(0)
      p = [
        collapse.invariance([draw(rng, seeds) for _ in range(5)]).p_value
        for _ in range(_SAMPLES)
      ]
      cells.append(_percent(np.mean(np.array(p) < precedence.MAX_P)))
    rows.add_row(name, *cells)
  return rows


def run(folder, seeds: int, with_peers: bool) -> None:
  """Prints the tables; it takes some minutes."""
  del folder, seeds, with_peers
  out = console.Console(width=110)

  def show(items):
    return progress.track(list(items), transient=True, console=out)

  for shown in (_false_alarms(show), _power(show), _coverage(show)):
    out.print(shown)
  out.print(_invariance())
  least = stats.binom.ppf(0.99, _STUDIES, precedence.MAX_P) / _STUDIES
  out.print(f'Of {_STUDIES} with a true rate of 5%, 1% exceed {least:.1%}.')
