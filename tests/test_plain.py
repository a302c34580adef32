"""The tests on plain arrays: planted answers, sentences, and other shapes."""

import subprocess
import sys

import numpy as np
import pytest

import emergence_jax as ej
from emergence_jax.analysis import plain
from emergence_jax.base.types import UserError

STEP = np.arange(60) * 10.0


def rises(at_S, noise=0.01, seed=0):
  """Curves from 0 to 1 at steps, [S, C]."""
  rng = np.random.default_rng(seed)
  curves = 1 / (1 + np.exp(-(STEP - np.asarray(at_S)[:, None]) / 8))
  return curves + noise * rng.normal(size=curves.shape)


def test_a_planted_lead_precedes():
  at = 200 + 20 * np.arange(10)
  found = ej.what_moved_first(rises(at - 80), rises(at, seed=1), STEP)
  assert found.verdict == 'precedes' and found.tests.first == 10
  assert abs(found.tests.lead - 80) < 10
  assert str(found).startswith(
    'The measure changed before accuracy in all 10 seeds that learned, by about'
  )
  assert 'so that it precedes' in found.sentence


def test_coming_first_without_belonging_together_is_not_preceding():
  rng = np.random.default_rng(2)
  at = 300 + 15 * np.arange(10)
  found = ej.what_moved_first(
    rises(rng.permutation(100 + 10 * np.arange(10))), rises(at, seed=1), STEP
  )
  assert found.verdict == 'not shown' and found.tests.first == 10
  assert 'not shown to learn early' in found.sentence


def test_several_are_corrected_together():
  at = 200 + 20 * np.arange(8)
  accuracy = rises(at, seed=1)
  alone = ej.what_moved_first(rises(at - 80), accuracy, STEP)
  found = ej.what_moved_first(
    {'rank': rises(at - 80), 'norm': rises(at + 60)}, accuracy, STEP
  )
  assert [f.name for f in found] == ['rank', 'norm']
  assert found[0].p == pytest.approx(2 * alone.p)
  assert found[1].sentence.startswith('Norm changed after accuracy in all 8')


def test_few_seeds_and_none():
  at = np.array([200.0, 300.0])
  found = ej.what_moved_first(rises(at - 80), rises(at), STEP)
  assert found.verdict == 'undecided' and 'cannot decide' in found.sentence
  never = np.zeros((3, len(STEP)))
  found = ej.what_moved_first(rises([100, 200, 300]), never, STEP)
  assert found.sentence.startswith('No seed of 3 learned it')
  assert np.isnan(found.emergence_S).all()


def test_chance_moves_the_threshold():
  accuracy = 0.4 * rises([200, 250, 300]) + 0.25
  assert np.isnan(plain.emergence_steps(accuracy, STEP, 0.5)).all()
  assert np.isfinite(plain.emergence_steps(accuracy, STEP)).all()


def test_geometry_that_tells_when():
  rng = np.random.default_rng(3)
  at = rng.uniform(250, 500, 16)
  level = at[:, None] / 100 + 0.01 * rng.normal(size=(16, len(STEP)))
  table = ej.timing(level, rises(at), STEP)
  last = table.set_index('feature').loc['value at its end']
  assert last.tau > 0.9 and last.p_holm < 0.01 and last.seeds == 16
  noise = rng.normal(size=(16, len(STEP)))
  assert ej.timing(noise, rises(at), STEP).p_holm.min() > 0.05


@pytest.mark.parametrize(
  'changes,words',
  [
    (dict(accuracy=np.zeros(60)), r'accuracy has the shape \(60,\)'),
    (dict(measure=np.zeros((3, 59))), r'must have that of accuracy'),
    (dict(steps=STEP[::-1]), 'increasing'),
    (dict(steps=STEP[:9]), r'steps has the shape \(9,\)'),
  ],
)
def test_shapes_are_named(changes, words):
  given = dict(
    measure=np.zeros((3, 60)), accuracy=np.zeros((3, 60)), steps=STEP
  )
  for function in (ej.what_moved_first, ej.timing):
    with pytest.raises(UserError, match=words):
      function(**{**given, **changes})


def test_windows_and_schedules_that_are_too_short():
  few = np.zeros((3, 8))
  with pytest.raises(UserError, match='8 checkpoints are too few'):
    ej.what_moved_first(few, few, np.arange(8))
  with pytest.raises(UserError, match='give a later until='):
    ej.timing(rises([20, 30, 40]), rises([20, 30, 40]), STEP, until=10)


def test_no_jax_is_needed():
  code = (
    'import sys, numpy as np\n'
    'from emergence_jax import what_moved_first, timing, effects\n'
    'what_moved_first(np.zeros((3, 9)), np.zeros((3, 9)), np.arange(9))\n'
    'print("jax" in sys.modules)\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True
  )
  assert done.stdout.strip() == 'False', done.stderr
