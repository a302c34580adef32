"""Collapse, depth and concordance on series of known answers."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from emergence_jax.analysis import collapse
from emergence_jax.analysis.paper import algorithmic as paper
from emergence_jax.analysis.paper import concordance
from emergence_jax.tasks import algorithmic

STEPS = np.arange(0, 2001, 20)


def valley(start=10.0, floor=2.0, at=400, end=6.0):
  """Falls in a line to `floor` at `at`, and rises to `end` at the last step."""
  return np.interp(STEPS, [0, at, 2000], [start, floor, end])


def test_planted_collapse():
  found = collapse.collapse(STEPS, valley())
  assert found.initial == 10 and found.floor == 2 and found.floor_step == 400
  # Half of 10 is passed after 250 steps; the next checkpoint is 260.
  assert found.half_step == 260
  np.testing.assert_allclose(found.recovery, 4)
  np.testing.assert_allclose(found.recovery_slope, 4 / 1600)
  np.testing.assert_allclose(found.at_first_look, 2 + 4 * 600 / 1600)


def test_no_collapse_and_gaps():
  rising = np.linspace(1, 5, STEPS.size)
  rising[3] = np.nan
  found = collapse.collapse(STEPS, np.stack([rising, rising * np.nan]))
  assert np.isnan(found.half_step[0]) and found.floor_step[0] == 0
  assert np.isnan(found.floor[1])
  short = collapse.collapse(STEPS[:10], rising[:10])
  assert np.isnan(short.at_first_look)


def test_a_second_fall_is_not_the_collapse():
  """Down to 2, up to 8, and late in training down to 1."""
  x = np.interp(STEPS, [0, 400, 1000, 1600, 2000], [10, 2, 8, 8, 1])
  found = collapse.collapse(STEPS, x)
  assert found.floor == 2 and found.floor_step == 400
  # Above half for four checkpoints only: still the same collapse.
  flicker = np.where((STEPS >= 700) & (STEPS < 780), 6.0, 2.0)
  flicker[STEPS < 100], flicker[STEPS == 1500] = 10, 1.5
  assert collapse.collapse(STEPS, flicker).floor_step == 1500
  flicker[STEPS == 780] = 6
  assert collapse.collapse(STEPS, flicker).floor_step == 100


@settings(max_examples=30, deadline=None)
@given(st.floats(0.1, 100), st.integers(0, 1000))
def test_scale_moves_values_and_not_steps(scale, seed):
  x = np.random.default_rng(seed).uniform(1, 10, STEPS.size)
  one, other = (collapse.collapse(STEPS, y) for y in (x, scale * x))
  np.testing.assert_array_equal(one.floor_step, other.floor_step)
  np.testing.assert_array_equal(one.half_step, other.half_step)
  np.testing.assert_allclose(other.floor, scale * one.floor)


def test_depth_gradient_and_order_are_two_things():
  """Layers that fall from the bottom up, and the last lowest all the same."""
  upward = np.stack(
    [valley(at=200 + 100 * i, floor=3 - i / 2) for i in range(4)]
  )
  found = collapse.depth(STEPS, upward)
  assert found.gradient and found.order == 1 and found.last_before_first == 0
  downward = np.stack([valley(at=500 - 100 * i) for i in range(4)])
  found = collapse.depth(STEPS, downward)
  assert found.order == -1 and found.last_before_first == 1
  unknown = collapse.depth(STEPS, upward * np.nan)
  assert np.isnan(unknown.gradient)
  never = collapse.depth(STEPS, np.stack([valley(floor=8)] * 2))
  assert np.isnan(never.order) and np.isnan(never.last_before_first)


def test_invariance():
  rng = np.random.default_rng(0)
  same = collapse.invariance([2 + 0.1 * rng.normal(size=8) for _ in range(4)])
  assert same.variation < 0.05 and same.p_value > 1e-3
  np.testing.assert_allclose(same.spread, 0.1, rtol=0.4)
  other = collapse.invariance([m + 0.1 * rng.normal(size=8) for m in (2, 3, 4)])
  assert other.p_value < 1e-6
  np.testing.assert_allclose(other.mean, 3, atol=0.1)
  alone = collapse.invariance([np.array([2.0])])
  assert np.isnan(alone.p_value) and alone.mean == 2
  assert collapse.invariance([]).floors == ()


def test_concordance_of_a_planted_order():
  floor = np.array([1.0, 2.0, 3.0, 4.0, 4.0])
  step = np.array([10, 20, np.nan, 15, 30])
  kinds = np.array(['easy', 'easy', 'hard', 'hard', 'hard'])
  within = concordance.pairs(floor, step, kinds, 'easy', 'easy')
  assert within == (1, 0, 0) and within.share == 1
  hard = concordance.pairs(floor, step, kinds, 'hard', 'hard')
  assert hard == (0, 2, 1)  # the lowest never emerged; two floors are equal
  across = concordance.pairs(floor, step, kinds, 'easy', 'hard')
  assert sum(across) == 6 and across == (5, 1, 0)
  assert np.isnan(concordance.pairs(floor, step, kinds, 'other', 'other').share)


def test_spearman_counts_what_never_emerged_as_latest():
  step = np.array([10, 20, 30, np.nan])
  assert concordance.spearman(np.arange(4.0), step) == 1
  assert np.isnan(concordance.spearman(np.ones(4), step))


def test_swaps():
  steps = np.array([1.0, 2, 3]), np.array([2.0, 1, 3])
  right = concordance.swaps(
    (np.array([1.0, 2, 3]), np.array([2.0, 1, 3])), steps
  )
  assert right == (1, 1)
  wrong = concordance.swaps((np.array([1.0, 2, 3]),) * 2, steps)
  assert wrong == (1, 0) and wrong.share == 0
  assert np.isnan(concordance.swaps(steps, (steps[0], steps[0])).share)


def test_groups_are_those_of_the_tasks():
  assert (paper.EASY, paper.HARD) == (algorithmic.EASY, algorithmic.HARD)
