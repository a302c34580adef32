"""What moves first: changes, tests on made-up studies, and their rates."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emergence_jax.analysis import (
  changes,
  events,
  precedence,
  statistics,
  transitions,
)
from experiments.bench import made_up_studies
from tests import tiers

STUDIES = 200


def jump(at, count=60, low=0.0, high=1.0):
  return np.where(np.arange(count) >= at, high, low)


def midpoint(series):
  return transitions.transitions(series).place_3x[transitions.MIDPOINT]


@given(st.integers(1, 59), st.floats(-1e30, 1e30), st.floats(1e-30, 1e30))
def test_a_jump_is_found_at_any_scale(at, low, height):
  series = jump(at, low=low, high=low + height)
  found = transitions.transitions(series).place_3x
  if low + height == low:
    assert np.isnan(found).all()
  elif height > 1e-6 * abs(low):
    np.testing.assert_array_equal(found, at - 0.5)


@pytest.mark.parametrize(
  'series,place',
  [
    # A fall and a slow recovery: the fall.
    (np.r_[np.full(10, 10.0), np.linspace(2, 6, 50)], 9.5),
    # A bump that comes and goes: its beginning.
    (np.r_[np.zeros(20), np.ones(15), np.zeros(25)], 19.5),
    # A small step and a large one: the large one.
    (np.r_[np.zeros(20), np.full(20, 0.3), np.ones(20)], 39.5),
  ],
)
def test_of_several_changes(series, place):
  assert midpoint(series) == midpoint(-series) == place


@pytest.mark.parametrize(
  'series',
  [
    np.zeros(60),
    np.linspace(0, 1, 60),
    np.random.default_rng(0).normal(size=200),
    jump(4, 8),  # too short
    np.full(60, np.nan),
  ],
  ids=['constant', 'straight', 'noise', 'short', 'not measured'],
)
def test_no_change_stands_out(series):
  assert not changes.stands_out(series)
  assert np.isnan(midpoint(series))


def test_what_was_not_measured_is_left_out():
  series = jump(31)
  series[1::2] = np.nan
  assert midpoint(series) == 31


def planted_jumps(seeds=4, lead=3):
  """One task and level; seed s moves at 20 + 2·s, behaviour `lead` later."""
  at = 20 + 2 * np.arange(seeds)
  measure = np.stack([jump(a) for a in at])[:, None]
  behaviour = np.stack([jump(a + lead) for a in at])[:, None, None]
  return measure, behaviour, np.arange(60) * 10, np.ones((seeds, 1, 1), bool)


@pytest.mark.parametrize('lead', [-7, -1, 0, 1, 5])
def test_the_sign_convention(lead):
  found = precedence.tests(*planted_jumps(lead=lead))
  assert found.lead == found.lead_onset == found.lead_end == 10 * lead
  assert np.isnan(found.lead_low)  # seeds that agree have no spread
  counts = found.first, found.together, found.after, found.depends
  # Nothing is first by less than two checkpoints.
  assert counts == (4 * (lead > 1), 4 * (abs(lead) < 2), 4 * (lead < -1), 0)
  swapped = planted_jumps(lead=lead)
  swapped = swapped[1][:, :, 0], swapped[0][:, :, None], *swapped[2:]
  assert precedence.tests(*swapped).lead == -10 * lead


def test_exact_p_values_of_four_seeds():
  """All flips and permutations are tried: 1/16, and twice 1/24."""
  found = precedence.tests(*planted_jumps())
  assert found.p_order == found.least_p_order == 1 / 16
  assert found.p_seeds == found.least_p_seeds == 2 / math.factorial(4)
  assert math.isnan(found.p_tasks)
  assert precedence.verdicts([found]) == ['undecided']
  eight = precedence.tests(*planted_jumps(seeds=8))
  assert eight.p_order == 1 / 256
  assert precedence.verdicts([eight]) == ['precedes']
  # A measure that is not the first, where it could have been.
  late = precedence.tests(*planted_jumps(seeds=8, lead=-2))
  assert precedence.verdicts([eight, late]) == ['precedes', 'not shown']


def test_one_seed_or_one_task_has_no_tie():
  one = precedence.tests(*planted_jumps(seeds=1))
  assert np.isnan([one.p_order, one.p_seeds, one.p_tasks, one.lead_low]).all()
  assert one.first == 1 and one.lead == 30
  assert precedence.verdicts([one]) == ['undecided']
  made = made_up_studies.planted(np.random.default_rng(0))
  of_one_task = precedence.tests(*(
    x[:, :1] if x.ndim > 1 else x for x in made))  # fmt: skip
  assert math.isnan(of_one_task.p_tasks) and of_one_task.p_order < 0.05


def test_only_events_that_emerge_count_and_numbers_add_up():
  measure, behaviour, step, emerged = planted_jumps()
  emerged[0] = False
  measure[1] = 0.5  # unclear
  found = precedence.tests(measure, behaviour, step, emerged)
  assert (found.first, found.together, found.after, found.unclear) == (
    2, 0, 0, 1)  # fmt: skip
  assert found.events == 3
  nothing = precedence.tests(measure, behaviour, step, emerged & False)
  assert nothing.events == 0 and math.isnan(nothing.lead)
  assert precedence.p_precedes(nothing) == 1


def test_shapes_are_named():
  measure, behaviour, step, emerged = planted_jumps()
  with pytest.raises(ValueError, match=r'steps \[C\], got \(59,\)'):
    precedence.tests(measure, behaviour, step[1:], emerged)


def test_events_that_are_times():
  """The same tests, of a step in the geometry against emergence."""
  step = np.arange(40) * 50
  rng = np.random.default_rng(0)
  emergence = rng.choice(step[10:], (8, 8, 1)).astype(float)
  emergence[0, 0] = np.nan
  times = emergence[..., 0] - 100
  times[1, 1] = np.nan
  found = precedence.test_events(events.of_times(times, emergence, step))
  assert (found.first, found.unclear, found.events) == (62, 1, 63)
  assert found.lead == 100 and max(found.p_seeds, found.p_tasks) < 0.01
  # Unrelated times of the same kind: first as a rule, and not tied.
  other = rng.choice(step[:10], (8, 8)).astype(float)
  found = precedence.test_events(events.of_times(other, emergence, step))
  assert found.p_order < 0.01 and precedence.p_precedes(found) > 0.05


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_between_the_raw_ones_and_bonferroni(p):
  adjusted = statistics.holm(p)
  assert (adjusted >= np.array(p) - 1e-12).all()
  assert (adjusted <= np.minimum(np.array(p) * len(p), 1) + 1e-12).all()
  order = np.argsort(p, kind='stable')
  assert (np.diff(adjusted[order]) >= -1e-12).all()


def rates(make, **options):
  """Share of studies in which each p-value is below 0.05."""
  found = [
    precedence.tests(
      *make(np.random.default_rng(i), **options), draws=200, seed=i
    )
    for i in range(STUDIES)
  ]
  p = np.array([(t.p_order, t.p_seeds, t.p_tasks) for t in found])
  together = np.array([precedence.p_precedes(t) for t in found])
  return (p < 0.05).mean(0), (together < 0.05).mean()


@pytest.mark.parametrize('name', tiers.some(made_up_studies.INDEPENDENT, 2))
def test_independent_studies_are_rarely_significant(name):
  """At most 7% of 200, of what should be 5% at most."""
  scenario = made_up_studies.INDEPENDENT[name]
  (order, seeds, tasks), together = rates(scenario.make)
  assert seeds <= 0.07 and tasks <= 0.07 and together <= 0.07
  if scenario.neither_first:
    assert order <= 0.07


def precedes(measure, behaviour, studies=STUDIES, **options):
  """Share of studies of one task in which the measure precedes."""
  sizes = made_up_studies.Sizes(tasks=1, levels=1)
  p = [
    precedence.p_precedes(
      precedence.tests(
        *made_up_studies.of_shapes(
          np.random.default_rng(i), measure, behaviour, sizes=sizes, **options
        ),
        draws=200,
        seed=i,
      )
    )
    for i in range(studies)
  ]
  return np.mean(np.array(p) < precedence.MAX_P)


PAIRS = [
  # A later recovery, and a steepness that is not behaviour's.
  *[(f'recovers {word}', 'sharp') for word in ('by 30%', 'by 60%', 'wholly')],
  ('sharp', 'slow'),
  ('slow', 'sharp'),
]
PAIRS += [
  pair
  for pair in itertools.product(made_up_studies.SHAPES, made_up_studies.RISES)
  if pair not in PAIRS
]


@pytest.mark.parametrize('measure,behaviour', tiers.some(PAIRS, *range(5)))
@pytest.mark.parametrize('noise', [0.03, 0.08])
def test_no_shape_is_first(measure, behaviour, noise):
  """Of equal midpoints, at most 7.5% of 40 studies, of what should be 5%."""
  assert precedes(measure, behaviour, 40, noise=noise) <= 0.075


@pytest.mark.parametrize('shape', ['sharp', 'slow', 'ramp of 10'])
def test_a_lead_of_three_checkpoints_is_found(shape):
  assert precedes(shape, shape, 20, lead=3) >= 0.8


def test_it_may_depend_on_what_is_called_the_change():
  """A slow measure whose onset alone is before that of sharp behaviour."""
  made = made_up_studies.of_shapes(
    np.random.default_rng(0), 'slow', 'sharp',
    sizes=made_up_studies.Sizes(tasks=1, levels=1),
  )  # fmt: skip
  found = events.find(*made)
  results = precedence.test_events(found)
  assert (results.first, results.after, results.depends) == (0, 0, 8)
  assert set(found.words_SKL.ravel()) == {'depends'}
  alone = precedence.by_definition(found)
  assert precedence.verdicts([results]) == ['not shown']
  assert precedence.verdicts([results], ['onset']) == ['depends']
  assert precedence.preceding_by([alone]) == ['onset']


@pytest.mark.parametrize('axis', tiers.some(['seeds', 'tasks']))
def test_what_groups_have_in_common_is_no_tie(axis):
  """Two groups that differ in both, and nothing within them."""
  alarms = {True: 0, False: 0}
  sizes = made_up_studies.Sizes(levels=1)
  for i in range(100):
    made = made_up_studies.in_groups(np.random.default_rng(i), axis, sizes)
    group = np.repeat([0, 1], 4)
    for known in alarms:
      given = {f'{axis[:-1]}_group_{axis[0].upper().replace("T", "K")}': group}
      found = precedence.tests(*made, draws=200, **(given if known else {}))
      alarms[known] += getattr(found, f'p_{axis}') < precedence.MAX_P
  # 5% of 100; 99% of such counts are no larger than 11.
  assert alarms[True] <= 11 < 30 < alarms[False]


def test_a_planted_lead_is_found():
  """200 steps before, seeds differ by 20%: by all three, in 80% and more."""
  powers, together = rates(made_up_studies.planted)
  assert (powers >= 0.8).all() and together >= 0.8
