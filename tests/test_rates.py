"""Rates of precursors beside their null: which events count, and times."""

import numpy as np
import pytest

from emergence_jax.analysis import precedence, rates, series, study
from tests.test_study import made_up


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
  found = study.study({'nano': data}, draws=40)
  where = dict(measure='RankMe', axis='checkpoints', tasks='all', threshold=0.3)
  table = found.tables['precedence']
  emerged = row(table, events='emerged', **where)
  everything = row(table, events='all', **where)
  assert emerged.total == 4 * 4 * 3 and everything.total == 2 * emerged.total
  assert emerged.rate == 1 and everything.synchronous == 0.5
  leads = found.tables['leads']
  assert leads[leads.measure == 'RankMe'].emerged.mean() == 0.5


@pytest.mark.parametrize('interpolation', rates.INTERPOLATIONS)
def test_on_even_checkpoints_both_axes_agree(interpolation):
  found = rates.leads_of(
    made_up(noise=1e-3), 'RankMe', draws=20, interpolation=interpolation
  )
  assert found.stride == 20
  difference = found.uniform.lag - found.checkpoints.lag
  assert np.abs(difference).max() <= (0 if interpolation == 'linear' else 1)


def test_a_thinned_measure_is_searched_no_further():
  """One that was measured at every fourth checkpoint: as far in steps."""
  data = made_up(steps=200)
  due = np.arange(200) % 4 == 0
  data['fisher_rank'] = data.rankme.isel(layer=-1).where(due[:, None])
  one, other = (
    rates.leads_of(data, n, draws=50) for n in ('RankMe', 'Fisher rank')
  )
  reach = [np.abs(x.uniform.null_lag).max() * x.stride for x in (one, other)]
  np.testing.assert_allclose(reach, 20 * 20, rtol=0.02)
  lead = other.uniform.lag.mean() * other.stride
  np.testing.assert_allclose(lead, 120, atol=0.2 * other.stride)


def test_few_checkpoints_are_counted_not_correlated():
  data = made_up().isel(step=slice(0, 96, 12))
  assert rates.leads_of(data, 'RankMe') == 8
  assert rates.leads_of(data, 'Fisher rank') is None
  found = study.study({'nano': data}, draws=20)
  assert any('RankMe (8)' in n and 'takes 9' in n for n in found.notes)
  assert not len(found.tables['precedence'])


def test_mean_lead_of_planted_ones():
  found = rates.leads_of(made_up(seeds=16), 'RankMe', draws=200)
  mean = rates.mean_lead(found.uniform, found.stride)
  # 100, 120 and 140 steps for the three levels.
  np.testing.assert_allclose(mean.lead, 120, atol=10)
  assert mean.lead > mean.lead_null_high and mean.lead_p_value < 0.05
  nothing = rates.only(found.uniform, np.zeros(found.emerged.shape, bool))
  assert np.isnan(rates.mean_lead(nothing).lead)


STEPS = np.arange(100) * 10.0


def test_an_event_at_any_time_is_no_precursor():
  """Uniform times against uniform emergence: the null's rate is theirs."""
  rng = np.random.default_rng(0)
  times = rng.choice(STEPS, (300, 4))
  emerged = rng.choice(STEPS, (300, 4, 3))
  found = rates.earlier(STEPS, times, emerged, draws=100)
  rate = rates.earlier_rate(found, np.ones(4, bool))
  assert rate.total == 3600
  # Tasks share their event between three levels.
  np.testing.assert_allclose(rate.rate, rate.false_alarm, atol=0.05)
  assert rate.p_value > 0.005


def test_late_capabilities_have_much_before_them():
  """An early event precedes a late capability, and so would any other."""
  late = rates.earlier(STEPS, np.full((8, 2), 100.0), np.full((8, 2, 1), 900.0))
  rate = rates.earlier_rate(late, np.ones(2, bool))
  assert rate.rate == 1 and rate.false_alarm > 0.85 and rate.p_value > 0.1
  soon = rates.earlier(STEPS, np.full((8, 2), 100.0), np.full((8, 2, 1), 200.0))
  rate = rates.earlier_rate(soon, np.ones(2, bool))
  assert rate.rate == 1 and rate.false_alarm < 0.3 and rate.p_value < 0.01


def test_events_without_a_time_or_a_capability():
  times = np.array([[100.0, np.nan]])
  emerged = np.array([[[200.0, np.nan], [200.0, 50.0]]])
  found = rates.earlier(STEPS, times, emerged, draws=20)
  rate = rates.earlier_rate(found, np.ones(2, bool))
  assert (rate.hits, rate.total) == (1, 3)
  assert not found.null[0, 1].any()
  assert rates.earlier_rate(found, np.zeros(2, bool)) == precedence.NO_RATE


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
