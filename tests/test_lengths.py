"""What is first, up to a step and to the end."""

import numpy as np
import pytest

from emergence_jax.analysis import lengths, order, study
from emergence_jax.report import answers
from tests.test_study import as_runs, made_up, smooth_step


def table_of(runs):
  return lengths.lengths_table(runs, order.find(runs))


def dips(rise: float):
  """RankMe falls by 10 before behaviour, and rises by `rise` late in the run.

  Where the rise is the larger one, it is the largest change once it is seen.
  """
  data = made_up(seeds=6, steps=200)
  late = smooth_step(data.step, 3000, 30)
  data['rankme'] = data.rankme + rise * late
  return data


def test_the_second_look_finds_the_larger_rise():
  runs = as_runs(nano=dips(40))
  table = table_of(runs)
  rank = table[table.measure == 'RankMe'].set_index('up_to_step')
  # 3,980 steps: all have emerged by the half of them, the rise is behind it.
  assert list(rank.index) == [980, 1980]
  assert rank.events[1980] == 6 * 8 * 3
  assert (rank.first_then == 1).all() and (rank.first_at_the_end == 0).all()
  row = lengths.disagreement(table, 'nano', 'RankMe')
  assert row.first_then == 1 and row.first_at_the_end == 0
  answer = answers.answer(study.study(runs, draws=20))
  assert 'depends on how long one looks: of ' in answer
  assert 'first in 100% ' in answer and ', and in 0% ' in answer


@pytest.mark.parametrize('rise', [0, 4])
def test_what_does_not_depend_on_it_is_not_mentioned(rise):
  runs = as_runs(nano=dips(rise))
  table = table_of(runs)
  rank = table[table.measure == 'RankMe']
  assert len(rank) == 2
  np.testing.assert_array_equal(rank.first_then, rank.first_at_the_end)
  assert lengths.disagreement(table, 'nano', 'RankMe') is None
  assert 'how long one looks' not in answers.answer(study.study(runs, draws=20))


def test_nothing_emerged_and_nothing_measured():
  still = made_up()
  still['accuracy'] = 0 * still.accuracy
  table = table_of(as_runs(nano=still))
  assert not len(table)
  assert lengths.disagreement(table, 'nano', 'RankMe') is None
  bare = made_up().drop_vars(['rankme', 'llc'])
  assert not len(table_of(as_runs(nano=bare)))
  one = table_of(as_runs(nano=dips(40).isel(seed=[0])))
  assert np.isnan(one.low).all() and not np.isnan(one.first_then).any()
