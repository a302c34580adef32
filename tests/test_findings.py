"""Our side of the claims: over several runs, and from what data."""

import numpy as np
import pytest
import xarray as xr

from emergence_jax.analysis import order
from emergence_jax.analysis.paper import findings, rates
from emergence_jax.analysis.runs import Run
from tests.test_study import as_run, made_up


def with_more(lead=100, layers=4, seeds=4, **options):
  """A made-up run with a Fisher rank of twice the LLC, which moves late."""
  data = made_up(lead=lead, layers=layers, seeds=seeds, **options)
  data['llc'] = data.llc + 5
  data['fisher_rank'] = 2 * data.llc
  data['llc_elevation'] = data.llc / 100
  return data


def of(runs):
  runs = {
    label: run if isinstance(run, Run) else as_run(label, run)
    for label, run in runs.items()
  }
  found = order.find(runs), rates.find(runs)
  return findings.algorithmic(runs, *found, draws=100)


@pytest.fixture(scope='module')
def found():
  return of({'nano': with_more(), 'micro': with_more(lead=60)})


def test_shares_are_of_all_events_of_all_runs(found):
  emerged = found['emerged']
  assert emerged.estimate.events == 2 * 4 * 24 and emerged.estimate.value == 1
  hard = found['precursor RankMe hard']
  assert hard.estimate.value == 1 and hard.seeds == 4
  # Four seeds and four tasks: two ties of twice 1/24, doubled.
  assert hard.p_value == hard.least_p == 4 / 24
  assert hard.estimate.events == 2 * 4 * 12


def test_claims_of_a_size_take_that_size(found):
  assert found['precursor RankMe nano'].estimate.events == 4 * 24
  assert 'precursor RankMe small' not in found


def test_rankme_alone_precedes(found):
  margin = found['only RankMe'].estimate
  assert margin.value == margin.high == 1 and margin.low < 0.5
  # A Fisher rank that is RankMe precedes as well.
  data = with_more()
  data['fisher_rank'] = data.rankme.isel(layer=-1)
  alike = of({'nano': data})['only RankMe'].estimate
  assert alike.value == 0 and alike.high > 0.2


def test_llc_and_fisher(found):
  np.testing.assert_allclose(found['llc over fisher'].estimate.value, 1)
  np.testing.assert_allclose(found['llc with fisher'].estimate.value, 1)
  rng = np.random.default_rng(0)
  data = with_more()
  data['fisher_rank'] = data.llc.copy(data=1 + rng.random(data.llc.shape))
  rho = of({'nano': data})['llc with fisher'].estimate
  assert abs(rho.value) < 0.1


def test_the_llc_of_some_tasks_is_enough():
  data = with_more()
  left_out = xr.DataArray(np.arange(8) < 4, dims='task')
  some = data.assign(
    {name: data[name].where(~left_out) for name in ('llc', 'llc_elevation')}
  )
  found = of({'nano': some})
  np.testing.assert_allclose(found['llc over fisher'].estimate.value, 1)
  # Events of the tasks that were left out count for nothing.
  elevation = found['precursor loss elevation'].estimate
  assert elevation.value == 0 and elevation.events == 4 * 12
  runs = {'nano': as_run('nano', some)}
  tests = order.tests_table(runs, order.find(runs), draws=100)
  of_llc = tests[tests.measure == 'LLC'].set_index('tasks')
  assert of_llc.events.to_dict() == {'all': 48, 'hard': 48}
  assert not of_llc.unclear.any()
  # And measures are compared on the tasks that they share.
  some['rankme'] = some.rankme.where(~left_out, 5 + data.llc)
  found = of({'nano': some})
  assert found['precursor RankMe nano'].estimate.value == 0.5
  assert found['only RankMe'].estimate.value == 1


def test_one_flagged_estimate_costs_no_seed():
  """A wild row whose status is not ok; without the status it would count."""
  data = with_more()
  wild, status = data.llc.copy(), 0 * data.llc.astype('int8')
  for seed, row in ((0, 40), (1, 20), (2, 99)):
    wild[seed, row], status[seed, row] = 1e4, 3
  found = of({'nano': data.assign(llc=wild, llc_status=status)})
  assert found['llc with fisher'].estimate.count == 4
  np.testing.assert_allclose(found['llc with fisher'].estimate.value, 1)
  # Seed 2 has no last row that is ok.
  assert found['llc over fisher'].estimate.count == 3
  np.testing.assert_allclose(found['llc over fisher'].estimate.value, 1)


def test_one_bad_seed_does_not_stop_the_others():
  data = with_more()
  for name in ('rankme', 'llc', 'fisher_rank', 'accuracy', 'log_prob'):
    data[name] = data[name].copy()
    data[name][0, 30:] = np.nan
  bad = of({'nano': data, 'micro': with_more()})
  assert bad['llc over fisher'].estimate.count == 3
  np.testing.assert_allclose(bad['llc over fisher'].estimate.value, 1)
  for key in ('floor MUL', 'precursor RankMe hard', 'spearman', 'swap'):
    assert np.isfinite(bad[key].estimate.value) or key == 'swap', key
  assert bad['precursor RankMe hard'].estimate.value > 0.9


def test_top_down_takes_four_layers():
  shallow = of({'nano': with_more(layers=2)})
  assert 'depth gradient' not in shallow
  deep = with_more(layers=4, noise=0)
  deep['rankme'] = deep.rankme * (1.4 - 0.1 * deep.layer)  # the last is lowest
  both = of({'nano': with_more(layers=2), 'micro': deep})
  gradient = both['depth gradient'].estimate
  assert gradient.value == 1 and gradient.events == 4 * 8
  # All layers fall at once: no order in time.
  assert both['time order'].estimate.value == 0


def test_variation_of_floors_resamples_seeds_of_each_run():
  wide = with_more()
  shift = np.linspace(-1, 1, 4)[:, None, None, None]
  wide['rankme'] = wide.rankme * 1.5 + shift
  estimate = of({'nano': with_more(), 'micro': wide})['variation MOD'].estimate
  expected = np.std([3.25, 4.875], ddof=1) / np.mean([3.25, 4.875])
  np.testing.assert_allclose(estimate.value, expected, atol=0.02)
  assert estimate.low < estimate.value < estimate.high


def not_yet():
  """A run in which one event of one seed has not emerged."""
  data = with_more()
  data['accuracy'] = data.accuracy.copy()
  data.accuracy[2, :, 7, 2] = 0
  return data


def test_caveats_name_the_runs():
  unfinished = as_run('micro', not_yet(), train_steps=10_000)
  both = of({'nano': with_more(), 'micro': unfinished})
  assert both['emerged'].caveat == 'micro: unfinished'
  assert both['precursor RankMe nano'].caveat == ''


def test_what_is_over_is_decided_before_a_run_ends():
  """A collapse that has ended keeps its floor; what is to come is open."""
  whole = with_more()
  fall, rise = whole.step.values[[3, 9]]
  low = (whole.step >= fall) & (whole.step < rise)
  floor = xr.DataArray(np.linspace(2, 4, 8), dims='task')
  rank = xr.where(low, floor, 10.0).broadcast_like(whole.rankme)
  whole['rankme'] = rank.transpose(*whole.rankme.dims)
  found = of({'nano': as_run('nano', whole, train_steps=10_000)})
  assert found['floor MOD'].caveat == found['depth gradient'].caveat == ''
  # All have emerged, so that floors are compared with all that will.
  for key in ('emerged', 'spearman', 'concordance easy'):
    assert found[key].estimate.count and found[key].caveat == ''
  assert found['precursor RankMe nano'].caveat == 'nano: unfinished'
  late = whole.assign(accuracy=not_yet().accuracy)
  found = of({'nano': as_run('nano', late, train_steps=10_000)})
  for key in ('emerged', 'spearman', 'concordance easy'):
    assert found[key].caveat == 'nano: unfinished'
  # Floors may go lower still where the rank has not risen again.
  found = of({'nano': as_run('nano', with_more(), train_steps=10_000)})
  assert found['emerged'].caveat == ''
  assert found['spearman'].caveat == 'nano: unfinished'
  # Four checkpoints above half of the first are not yet an end.
  cut = whole.isel(step=slice(0, 13))
  found = of({'nano': as_run('nano', cut, train_steps=10_000)})
  assert found['floor MOD'].caveat == 'nano: unfinished'


def test_runs_of_other_tasks_take_no_part():
  assert of({'mod 31': with_more().isel(task=slice(1))}) == {}
  both = of({'mod 31': with_more().isel(task=slice(1)), 'nano': with_more()})
  assert both['emerged'].estimate.events == 4 * 24
