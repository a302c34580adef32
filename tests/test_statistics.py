"""Intervals over seeds and runs, and whether they cover what they claim."""

import numpy as np
import pytest

from emergence_jax.analysis import statistics


def test_bootstrap_covers_the_mean():
  rng = np.random.default_rng(0)
  hits = 0
  for i in range(100):
    found = statistics.bootstrap(rng.normal(size=20), seed=i)
    hits += found.low <= 0 <= found.high
  # The percentile interval of 20 covers about 93%.
  assert 85 <= hits <= 100
  alone = statistics.bootstrap([3.0, np.nan])
  assert alone.value == 3 and not alone.has_interval
  assert 'no interval' in alone.text()
  assert statistics.bootstrap([]).text() == '–'


def test_median_time_with_censored_seeds():
  found = statistics.median_time(np.array([10.0, 20, 30, np.nan, np.nan]))
  assert found.value == 30 and found.low >= 10 and np.isinf(found.high)
  assert 'never' in found.text()
  never = statistics.median_time(np.full(4, np.nan))
  assert np.isinf(never.value)


@pytest.mark.parametrize('hits,total', [(0, 5), (5, 5), (3, 10)])
def test_wilson(hits, total):
  found = statistics.share(hits, total)
  assert 0 <= found.low <= hits / total <= found.high <= 1
  assert found.high - found.low > 0.2


def test_over_runs_covers_the_mean_of_means():
  """Three runs of other means and spreads; seeds resampled within each."""
  rng = np.random.default_rng(0)
  means, spreads = (0.0, 3.0, 9.0), (0.5, 1.0, 4.0)
  hits = 0
  for i in range(100):
    runs = [rng.normal(m, s, 20) for m, s in zip(means, spreads)]
    found = statistics.over_runs(runs, seed=i)
    hits += found.low <= 4 <= found.high
  assert 85 <= hits <= 100
  # Wider than of all seeds in one pot would be wrong: means differ by much.
  assert found.high - found.low < 2.5 and found.count == 20


def test_over_runs_knows_when_it_has_no_interval():
  nothing = statistics.over_runs([[np.nan], []])
  assert nothing.count == 0
  alone = statistics.over_runs([[1.0, 2.0], [5.0]])
  assert alone.value == 3.25 and not alone.has_interval
  same = statistics.over_runs([[1.0, 1.0], [2.0, 2.0]])
  assert (same.low, same.value, same.high) == (1.5, 1.5, 1.5)


def test_shares_are_as_wide_as_seeds_differ():
  """Eight seeds that each have all events or none: eight witnesses."""
  hits, totals = np.array([24, 0] * 4), np.full(8, 24)
  found = statistics.shares([hits], [totals])
  assert found.value == 0.5 and found.count == 192
  assert found.high - found.low > 0.5
  wilson = statistics.share(96, 192)
  even = statistics.shares([np.full(8, 12)], [totals])
  assert (even.low, even.high) == (wilson.low, wilson.high)


def test_shares_of_no_events_and_of_one_seed():
  assert not statistics.shares([np.zeros(3)], [np.zeros(3)]).count
  alone = statistics.shares([np.array([3])], [np.array([4])])
  assert alone.value == 0.75 and not alone.has_interval
  # One seed has all events, so that a resample may have none.
  one = statistics.shares([np.array([2, 0])], [np.array([4, 0])])
  assert one.value == 0.5 and one.has_interval


def test_prediction_covers_one_more_seed():
  rng = np.random.default_rng(0)
  hits = 0
  for _ in range(400):
    *seeds, more = np.exp(rng.normal(1, 0.3, 9))
    low, high = statistics.prediction(seeds)
    hits += low <= more <= high
  # 95% of 400 and four standard errors.
  assert abs(hits / 400 - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 400)
  assert np.isnan(statistics.prediction([1.0, 2.0])).all()
  assert np.isnan(statistics.prediction([1.0, 2.0, np.nan])).all()
