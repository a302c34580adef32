"""Variants of RankMe beside the paper's numbers."""

import numpy as np
import xarray as xr

from emergence_jax.analysis import variants
from emergence_jax.analysis.paper import algorithmic as paper
from emergence_jax.analysis.paper.algorithmic import ALGORITHMIC
from tests.test_study import as_run, made_up


def _with_floors(scale):
  """A run whose last layer has the paper's numbers at nano, times a factor."""
  data = made_up()
  step = data.step
  low = (step >= step[3]) & (step < step[9])
  place = paper.SIZES.index('nano')

  def of(task):
    first, floor = (t[str(task)][place] if str(task) in t else 5.0
                    for t in (paper.INITIAL_RANKS, paper.FLOORS))  # fmt: skip
    return xr.where(low, floor, first)

  rank = xr.concat([of(task) for task in data.task.values], data.task)
  data['rankme'] = rank.broadcast_like(data.rankme) * scale
  data['rankme_mean'] = data.rankme * 2
  return data


def test_the_papers_own_numbers_are_at_no_distance():
  run = as_run('nano', _with_floors(1.0))
  assert run.reference is ALGORITHMIC
  table = variants.variants_table({'nano': run}).set_index('RankMe')
  assert table.loc['the paper', 'MOD'] == '10 → 2.07'
  assert table.loc['at `=`', 'MOD'] == '10 → 2.07'
  np.testing.assert_allclose(table.loc['at `=`', 'distance'], 0, atol=1e-6)
  # Twice as much is a distance of one.
  np.testing.assert_allclose(table.loc['mean over tokens', 'distance'], 1)


def test_runs_of_other_studies_have_none():
  run = as_run('nano', made_up(), reference=None)
  assert variants.variants_table({'nano': run}).empty
