"""Made-up samples over seeds whose truth is known, for intervals to cover.

Each takes (rng, seeds) and returns an estimate and the truth.
"""

import numpy as np

from emergence_jax.analysis import statistics
from emergence_jax.analysis.statistics import Estimate

# Checkpoints every so many steps.
_GRID = 20
# Of tanh of a normal quantity, by quadrature.
_POINTS, _WEIGHTS = np.polynomial.hermite_e.hermegauss(40)
_MEAN_OF_TANH = _WEIGHTS @ np.tanh(0.8 + 0.3 * _POINTS) / _WEIGHTS.sum()


def covered(make, seeds: int, samples: int) -> tuple[float, float, float]:
  """How often an interval covers, is given, and says that it covers.

  What is given no interval takes no part in the first.
  """
  rng = np.random.default_rng(0)
  given, hits, level = 0, 0, statistics.CONFIDENCE
  for _ in range(samples):
    estimate, truth = make(rng, seeds)
    if estimate.has_interval:
      given += 1
      hits += estimate.low <= truth <= estimate.high
      level = estimate.level
  return hits / given if given else np.nan, given / samples, level


def _normal(rng, seeds):
  return statistics.mean_interval(rng.normal(size=seeds)), 0.0


def _uniform(rng, seeds):
  return statistics.mean_interval(rng.random(seeds)), 0.5


def _skewed(rng, seeds):
  sample = np.exp(0.3 * rng.normal(size=seeds))
  return statistics.mean_interval(sample), np.exp(0.045)


def _very_skewed(rng, seeds):
  return statistics.mean_interval(rng.exponential(size=seeds)), 1.0


def _on_a_grid(rng, seeds):
  """Steps of a change, most often of the same checkpoint."""
  steps = _GRID * np.round((400 + 8 * rng.normal(size=seeds)) / _GRID)
  return statistics.mean_interval(steps), 400.0


def _extremes(share):
  """Correlations that are 1 in a share of the seeds, and −1 in the others."""

  def make(rng, seeds):
    sample = np.where(rng.random(seeds) < share, 1.0, -1.0)
    return statistics.mean_interval(sample, bounds=(-1, 1)), 2 * share - 1

  return make


def _correlations(rng, seeds):
  sample = np.tanh(0.8 + 0.3 * rng.normal(size=seeds))
  return statistics.mean_interval(sample, bounds=(-1, 1)), _MEAN_OF_TANH


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


def _unequal_shares(rng, seeds):
  chance, totals = rng.beta(4, 2, seeds), rng.integers(5, 25, seeds)
  hits = rng.binomial(totals, chance)
  return statistics.shares([hits], [totals]), 4 / 6


def _even_shares(rng, seeds):
  hits = rng.binomial(24, 0.9, seeds)
  return statistics.shares([hits], [np.full(seeds, 24)]), 0.9


def _whole_seeds(share):
  """All 24 events of a seed, or none of them."""

  def make(rng, seeds):
    hits = 24 * (rng.random(seeds) < share)
    return statistics.shares([hits], [np.full(seeds, 24)]), share

  return make


def _median(rng, seeds):
  steps = np.exp(rng.normal(size=seeds))
  return statistics.median_time(np.where(steps > 3, np.nan, steps)), 1.0


def _median_on_a_grid(rng, seeds):
  steps = _GRID * np.ceil((400 + 15 * rng.normal(size=seeds)) / _GRID)
  return statistics.median_time(steps), 400.0


def _one_more(rng, seeds):
  *sample, more = np.exp(rng.normal(1, 0.3, seeds + 1))
  return Estimate(more, *statistics.prediction(sample), seeds), more


def _one_more_on_a_grid(rng, seeds):
  steps = _GRID * np.round((400 + 10 * rng.normal(size=seeds + 1)) / _GRID)
  *sample, more = steps
  return Estimate(more, *statistics.prediction(sample, _GRID), seeds), more


INTERVALS = {
  'mean, normal': _normal,
  'mean, uniform': _uniform,
  'mean, log-normal (0.3)': _skewed,
  'mean, exponential': _very_skewed,
  'mean, on a grid': _on_a_grid,
  'mean of ±1, half': _extremes(0.5),
  'mean of ±1, one in five': _extremes(0.2),
  'mean of ±1, one in twenty': _extremes(0.05),
  'mean of correlations': _correlations,
  'mean of the means of three runs': _three_runs,
  'variation of five means': _variation,
  'share, unequal seeds': _unequal_shares,
  'share, equal seeds': _even_shares,
  'share, by whole seeds, 0.8': _whole_seeds(0.8),
  'share, by whole seeds, 0.5': _whole_seeds(0.5),
  'median with censored seeds': _median,
  'median, on a grid': _median_on_a_grid,
  'one more seed': _one_more,
  'one more seed, on a grid': _one_more_on_a_grid,
}
