"""What is first where one looks more seldom."""

import numpy as np
import pytest

from emergence_jax.analysis import order, series, study
from emergence_jax.analysis.paper import cadences, rates
from emergence_jax.report import answers
from tests.test_study import as_runs, made_up

WANTED = 'checkpoints, and in '


def table_of(runs):
  return cadences.cadences_table(runs, order.find(runs), rates.find(runs))


def of_rank(table):
  return table[table.measure == 'RankMe'].set_index('one_in')


def flickering():
  """Accuracy fluctuates by more than it moves from checkpoint to checkpoint.

  From one checkpoint in ten to the next it moves by more. RankMe is first by
  more than that, too.
  """
  data = made_up(seeds=6, steps=200, lead=300)
  noise = np.random.default_rng(1).normal(size=data.accuracy.shape)
  data['accuracy'] = (data.accuracy + 0.15 * noise).clip(0)
  return data


def test_noise_hides_a_precursor_from_who_looks_often():
  runs = as_runs(nano=flickering())
  table = table_of(runs)
  rank = of_rank(table)
  assert list(rank.index) == [1, 2, 5, 10]
  assert list(rank.checkpoints) == [200, 100, 40, 20]
  assert rank.over_checkpoints[1] < 0.1 and rank.over_checkpoints[10] > 0.5
  # The reduction to the largest change sees it either way, as long as it lies
  # two checkpoints apart.
  assert (rank['first'][[1, 2]] > 0.9).all()
  whole, fewer = cadences.disagreement(table, 'nano', 'RankMe')
  assert whole.one_in == 1 and fewer.one_in > 1
  assert WANTED in answers.answer(study.study(runs, draws=20))


def test_all_checkpoints_are_those_of_the_other_tables():
  runs = as_runs(nano=flickering())
  found = study.study(runs, draws=20)
  rank = of_rank(found.tables['cadences'])
  rate = found.tables['precursors']
  rate = rate[
    (rate.measure == 'RankMe') & (rate.tasks == 'all') & (rate.threshold == 0.3)
  ].set_index('axis')
  for axis in ('checkpoints', 'steps'):
    assert rank[f'over_{axis}'][1] == rate.rate[axis]
    assert rank[f'over_{axis}_low'][1] == rate.low[axis]
  tests = found.tables['precedence']
  tests = tests[(tests.measure == 'RankMe') & (tests.tasks == 'all')].iloc[0]
  known = tests['first'] + tests.together + tests.after
  assert rank['first'][1] == tests['first'] / known


def test_the_events_are_the_same():
  """Behaviour keeps its checkpoints, by which a capability emerges."""
  data = made_up(seeds=3)
  run = as_runs(nano=data)['nano']
  before = data.copy(deep=True)
  part = cadences._thinned(
    run, series.tested(data)['RankMe'], data.step.values[::10]
  )
  np.testing.assert_array_equal(order.emerged(part.data), order.emerged(data))
  assert data.identical(before)
  assert (
    np.isfinite(part.data.rankme).all(('seed', 'task', 'layer')).sum() == 10
  )
  assert np.isfinite(part.data.llc).all()


@pytest.mark.parametrize('seeds', [1, 4])
def test_what_does_not_depend_on_it_is_not_mentioned(seeds):
  # The lead is longer than 200 steps, which lie between one in ten.
  runs = as_runs(nano=made_up(seeds=seeds, lead=300))
  table = table_of(runs)
  assert list(of_rank(table).index) == [1, 2, 5, 10]
  assert cadences.disagreement(table, 'nano', 'RankMe') is None
  assert WANTED not in answers.answer(study.study(runs, draws=20))


def test_nothing_emerged_and_nothing_measured():
  still = made_up()
  still['accuracy'] = 0 * still.accuracy
  table = table_of(as_runs(nano=still))
  assert not len(table)
  assert cadences.disagreement(table, 'nano', 'RankMe') is None
  bare = made_up().drop_vars(['rankme', 'llc'])
  assert not len(table_of(as_runs(nano=bare)))
