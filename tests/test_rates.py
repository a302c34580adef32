"""Precursor rates, tests of what moves first, and phases of a study."""

import numpy as np
import pytest

from emergence_jax import measures
from emergence_jax.analysis import emergence, order, series, study
from emergence_jax.analysis.paper import phases, rates
from tests.test_study import as_runs, made_up

FIELDS = measures.fields()


def series_of(variable):
  return series._of_field(variable, FIELDS[variable])


RANK = series_of('rankme')


def row(table, **where):
  for column, value in where.items():
    table = table[table[column] == value]
  assert len(table) == 1
  return table.iloc[0]


def test_only_events_that_emerge_count():
  """Noise about chance can be correlated too, and says nothing."""
  data = made_up()
  # The last four tasks stay at chance and flicker with their rank.
  data['accuracy'] = data.accuracy.copy()
  flicker = 0.001 * data.rankme.values[:, :, 4:, -1:]
  data.accuracy[:, :, 4:] = np.broadcast_to(flicker, (*flicker.shape[:3], 3))
  found = study.study(as_runs(nano=data), draws=40)
  where = dict(measure='RankMe', tasks='all')
  tests = row(found.tables['precedence'], **where)
  assert tests.events == tests['first'] == 4 * 4 * 3
  rate = row(
    found.tables['precursors'], axis='checkpoints', threshold=0.3, **where
  )
  assert rate.total == 4 * 4 * 3 and rate.rate == 1
  leads = found.tables['leads']
  assert leads[leads.measure == 'RankMe'].emerged.mean() == 0.5


@pytest.mark.parametrize('interpolation', rates.INTERPOLATIONS)
def test_on_even_checkpoints_both_axes_agree(interpolation):
  found = rates.precursors_of(
    made_up(noise=1e-3), RANK, interpolation=interpolation
  )
  assert found.stride == 20
  difference = found.steps.lag - found.checkpoints.lag
  assert np.abs(difference).max() <= (0 if interpolation == 'linear' else 1)


def test_a_thinned_measure_is_searched_no_further():
  """One that was measured at every fourth checkpoint: as far in steps."""
  data = made_up(steps=200)
  due = np.arange(200) % 4 == 0
  data['fisher_rank'] = data.rankme.isel(layer=-1).where(due[:, None])
  thin = rates.precursors_of(data, series_of('fisher_rank'))
  lead = thin.steps.lag.mean() * thin.stride
  np.testing.assert_allclose(lead, 120, atol=0.2 * thin.stride)
  assert np.abs(thin.steps.lag * thin.stride).max() <= 20 * 20 * 1.02


def test_few_checkpoints_are_counted_not_tested():
  data = made_up().isel(step=slice(0, 96, 12))
  assert order.events_of(data, RANK) == 8
  assert order.events_of(data, series_of('fisher_rank')) is None
  found = study.study(as_runs(nano=data), draws=20)
  assert any('RankMe (8)' in n and 'takes 9' in n for n in found.notes)
  assert not len(found.tables['precedence'])
  assert not len(found.tables['precursors'])


def test_mean_lead_of_planted_ones():
  found = order.tests_table(*with_changes(made_up(seeds=8)))
  one = row(found, measure='RankMe', tasks='all')
  # 100, 120 and 140 steps for the three levels.
  np.testing.assert_allclose(one.lead, 120, atol=10)
  assert one.lead_low <= one.lead <= one.lead_high
  assert one.verdict == 'precedes'
  late = row(found, measure='LLC', tasks='all')
  assert late['first'] == 0 and late.verdict == 'not shown'


def with_changes(data):
  runs = as_runs(nano=data)
  return runs, order.find(runs)


def test_flagged_estimates_have_no_part():
  """An LLC that jumps where its status is not ok has not moved."""
  data = made_up()
  step = data.step.values
  wild = data.llc.copy(data=np.where(
    (step[:, None] > 200) & (step[:, None] < 260), 1e4, data.llc.values
  ))  # fmt: skip
  status = (wild == 1e4).astype('int8') * 3
  one = order.events_of(data, series_of('llc'))
  flagged = order.events_of(
    data.assign(llc=wild, llc_status=status), series_of('llc')
  )
  trusted = order.events_of(data.assign(llc=wild), series_of('llc'))
  plain, masked, wrong = (
    e.steps(e.measure_SK) for e in (one, flagged, trusted)
  )
  assert np.abs(masked - plain).max() <= 20
  assert np.abs(wrong - plain).max() > 200


def test_rows_that_were_not_measured_are_no_rows_below():
  """A run whose behaviour was measured at every second checkpoint."""
  data = made_up(noise=0)
  due = (np.arange(100) % 2 == 0)[:, None, None]
  thin = data.assign(
    accuracy=data.accuracy.where(due), log_prob=data.log_prob.where(due)
  )
  for rule in emergence.RULES:
    whole, half = (emergence.by_rule(d, rule).values for d in (data, thin))
    assert np.isfinite(half).all()
    assert (half - whole).max() <= 20 and (half >= whole).all()
  assert (order.emerged(thin)).all()
  tests = row(
    order.tests_table(*with_changes(thin)), measure='RankMe', tasks='all'
  )
  np.testing.assert_allclose(tests.lead, 120, atol=15)


def test_event_times_are_the_planted_ones():
  step = made_up().step.values
  fall = np.interp(step, [0, 400, 1200, 1980], [12, 2, 8, 8])
  data = made_up(noise=0)
  data['rankme'] = data.rankme.copy(
    data=np.broadcast_to(fall[:, None, None], data.rankme.shape)
  )
  times = {n: series.event_times(data, n)[0, 0] for n in series.EVENT_TIMES}
  assert times['floor'] == 400
  assert times['collapse time'] == 260  # below 6, after 240 steps
  assert times['recovery magnitude'] == 800
  assert 400 < times['recovery slope'] <= 1200
  rising = data.copy()
  rising['rankme'] = data.rankme.copy(data=data.rankme.values[:, ::-1])
  rising = rising.isel(step=slice(40, None))
  rising['rankme'] = rising.rankme + rising.step  # lowest at the first
  assert np.isnan(series.event_times(rising, 'floor')).all()


def with_phases(shift):
  """RankMe falls, and has half recovered `shift` steps before level 1."""
  data = made_up(noise=0)
  at = 400 + 150 * np.arange(8)
  low = at - shift - 100
  rank = np.stack([
    np.interp(data.step, [0, a - 100, a, a + 200], [12, 11, 2, 8])
    for a in low
  ], -1)  # fmt: skip
  data['rankme'] = data.rankme.copy(
    data=np.broadcast_to(rank[..., None], data.rankme.shape)
  )
  return data


@pytest.mark.parametrize('shift,share', [(100, 1.0), (-300, 0.0)])
def test_collapse_recovery_behaviour(shift, share):
  found = phases.pairs(with_phases(shift))
  of = {n: s.hits_S.sum() / s.totals_S.sum() for n, s in found.items()}
  assert of['floor, then half recovery'] == 1
  assert of['half recovery, then emergence'] == share
  assert of['all three in this order'] == share


def test_probes_before_behaviour():
  data = made_up(noise=0)
  assert phases.probes_first(data) is None
  early = data.accuracy.isel(level=0, drop=True).shift(step=-10, fill_value=1)
  early = early.where(data.step < 400, 1.0).expand_dims(
    target=['answer'], layer=[1, 2]
  )
  data = data.assign(
    probe_accuracy=early,
    probe_chance=0.1 + 0 * early.isel(layer=0, drop=True),
  )
  found = phases.probes_first(data)
  assert (found.hits_S == found.totals_S).all() and found.totals_S.sum() == 96
  late = data.assign(probe_accuracy=0 * data.probe_accuracy)
  assert phases.probes_first(late).hits_S.sum() == 0
