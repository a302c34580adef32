"""Paired effects of arms: exact cases, calibration, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from emergence_jax.analysis import effects
from emergence_jax.base.types import UserError
from experiments.bench import made_up_arms

INF, NAN = np.inf, np.nan


def test_signed_ranks_are_those_of_scipy():
  rng = np.random.default_rng(0)
  for count in (6, 9, 12):
    values = rng.normal(0.5, 1, count)
    wanted = stats.wilcoxon(values, mode='exact').pvalue
    assert effects.sign_flip(values) == pytest.approx(wanted)
  values = rng.normal(0.3, 1, 40)
  wanted = stats.wilcoxon(values, mode='exact').pvalue
  assert effects.sign_flip(values) == pytest.approx(wanted, abs=0.01)


@settings(max_examples=30, deadline=None)
@given(
  st.lists(st.floats(-50, 50) | st.just(INF), min_size=6, max_size=9),
  st.floats(-20, 20),
)
def test_invariances(values, moved):
  """A shift moves the estimate; another sign turns the interval round."""
  one, none = np.array(values), np.zeros(len(values))
  found = effects.shift(one, none)
  other = effects.shift(one + moved, none)
  np.testing.assert_allclose(
    [other.estimate, other.low, other.high],
    [found.estimate + moved, found.low + moved, found.high + moved],
    atol=1e-9,
  )
  turned = effects.shift(none, one)
  assert turned.p == found.p
  np.testing.assert_allclose(
    [turned.low, turned.high], [-found.high, -found.low]
  )


def test_the_interval_covers():
  rng = np.random.default_rng(1)
  for count in (6, 8, 16):
    hits = 0
    for _ in range(500):
      found = effects.shift(rng.normal(2, 3, count), np.zeros(count))
      hits += found.low <= 2 <= found.high
    # Exact for symmetric differences: 95% or more.
    assert hits / 500 > 0.95 - 3 * np.sqrt(0.05 * 0.95 / 500)


def test_seeds_that_do_not_emerge_are_later_than_all():
  base = np.array([10.0, 20, 30, 40, 50, 60])
  never = np.full(6, INF)
  found = effects.shift(never, base)
  assert found.estimate == INF and found.p == 2 / 64
  assert effects.shift(never, never).p == 1
  some = np.where(np.arange(6) < 1, INF, base + 1)
  assert effects.shift(some, base).estimate == 1
  lost = np.where(np.arange(6) < 2, NAN, base + 1)
  assert effects.shift(lost, base).seeds == 4
  assert np.isnan(effects.shift(lost, base).low), 'four seeds cannot say'


@pytest.mark.parametrize('kind', made_up_arms.RIGHT)
@pytest.mark.parametrize(
  'count', [60, pytest.param(1000, marks=pytest.mark.nightly)]
)
def test_verdicts_are_right(kind, count):
  """An effect of two checkpoints at 16 seeds; none beyond the placebo."""
  rng = np.random.default_rng(2)
  found = [made_up_arms.verdict(kind, rng, 16) for _ in range(count)]
  slack = 3 * np.sqrt(0.05 * 0.95 / count)
  right = np.mean([v == made_up_arms.RIGHT[kind] for v in found])
  assert right > 0.95 - slack, 'the others are undecided'
  if kind != 'a cause':
    assert np.mean([v == effects.MOVES for v in found]) < 0.05 + slack


def test_an_arm_that_stops_learning_says_nothing_of_causes():
  base = np.arange(8) + 10.0
  rows = np.stack([base, np.where(np.arange(8) < 5, INF, base)])
  (found,) = effects.effects(rows, ['none', 'arm'], baseline='none', margin=1)
  assert found.verdict == effects.STOPPED and found.emerged == (3, 8)
  rows = np.stack([base, base + 5])
  (found,) = effects.effects(
    rows, ['none', 'arm'], baseline='none', margin=1, stopped=['arm']
  )
  assert found.verdict == effects.STOPPED


def test_an_effect_must_go_beyond_its_placebo_in_one_direction():
  base = np.arange(12) + 10.0
  later, earlier = base + 5, base - 5
  arms = ['none', 'arm', 'placebo']
  options = dict(baseline='none', margin=1, placebos={'arm': 'placebo'})
  (same,) = effects.effects(np.stack([base, later, later]), arms, **options)
  assert same.verdict == effects.MOVES_NOT
  (both,) = effects.effects(np.stack([base, later, base]), arms, **options)
  assert both.verdict == effects.MOVES and both.shift.estimate == 5
  rows = np.stack([base, earlier, base - 20])
  (between,) = effects.effects(rows, arms, **options)
  assert between.verdict == effects.UNDECIDED


def test_holm_over_arms():
  rng = np.random.default_rng(3)
  base = rng.normal(0, 1, 7)
  rows = np.stack([base, *(base + 1 + rng.normal(0, 0.1, (9, 7)))])
  names = ['none', *map(str, range(9))]
  found = effects.effects(rows, names, baseline='none', margin=0.1)
  assert {f.p for f in found} == {9 * 2 / 2**7}
  assert all(f.verdict == effects.UNDECIDED for f in found)


def test_trends_and_mediation_have_their_false_alarms():
  rng = np.random.default_rng(4)
  alarms = []
  for _ in range(200):
    base = rng.normal(0, 5, 8)
    emergence = base + rng.normal(0, 1, (4, 8))
    feature = rng.normal(0, 1, (4, 8))
    alarms.append(
      [
        effects.trend(emergence, [0, 1, 2, 3], draws=200)[1] < 0.05,
        effects.mediation(emergence, feature, draws=200)[1] < 0.05,
      ]
    )
  assert (np.mean(alarms, 0) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)).all()


def test_trends_and_mediation_are_found():
  rng = np.random.default_rng(5)
  base, strength = rng.normal(0, 5, 10), np.arange(4.0)
  feature = np.outer(strength, rng.uniform(0.2, 2, 10))
  emergence = base + 3 * feature + rng.normal(0, 0.2, (4, 10))
  slope, p = effects.trend(emergence, strength, draws=500)
  assert slope > 0.9 and p < 0.01
  found, p = effects.mediation(emergence, feature, draws=500)
  assert found > 0.8 and p < 0.01


@pytest.mark.parametrize(
  'changes,words',
  [
    (dict(emergence_AS=np.zeros(3)), r'shape \(3,\)'),
    (dict(arms=['a', 'a']), 'an arm twice'),
    (dict(baseline='c'), "'c' is none of the arms"),
    (dict(placebos={'b': 'd'}), "'d' is none of the arms"),
    (dict(margin=0), 'margin=0 must be above 0'),
  ],
)
def test_what_is_refused(changes, words):
  given = dict(
    emergence_AS=np.zeros((2, 3)), arms=['a', 'b'], baseline='a', margin=1.0
  )
  with pytest.raises(UserError, match=words):
    effects.effects(**{**given, **changes})
