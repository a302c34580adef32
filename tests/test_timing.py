"""Timing within a task, over seeds: planted correlations, and none."""

import numpy as np
import pytest
from scipy import stats

from emergence_jax.analysis import permutations, study, taus, timing
from tests.test_study import as_run, made_up, smooth_step


def timed(seeds=12, tie=1.0, rng=0):
  """Seeds whose RankMe falls the lower, the later they emerge, or not.

  `tie` 1 makes the floor follow the time of emergence, 0 leaves it to chance.
  """
  rng = np.random.default_rng(rng)
  data = made_up(seeds=seeds, steps=120, noise=0.002)
  step = data.step.values
  late = rng.permutation(seeds) - (seeds - 1) / 2
  at = 1200 + 60 * late
  curve = 0.95 * smooth_step(step[None], at[:, None], 15)
  other = rng.permutation(seeds) - (seeds - 1) / 2
  floor = 4 - 0.1 * (tie * late + (1 - tie) * other)
  rank = 10 - (10 - floor[:, None]) * smooth_step(step[None], 300, 30)
  dims = data.rankme.dims
  data['rankme'] = (dims, np.broadcast_to(
    rank[..., None, None], data.rankme.shape
  ) + 0.002 * rng.normal(size=data.rankme.shape))  # fmt: skip
  data['accuracy'] = (data.accuracy.dims, np.broadcast_to(
    curve[..., None, None], data.accuracy.shape
  ))  # fmt: skip
  return data.drop_vars('llc')


def each_tau(feature_ES, step_ES):
  """Of each event by itself."""
  return [
    taus.pool(f[None, None], t[None], draws=1).tau_F[0]
    for f, t in zip(feature_ES, step_ES)
  ]


def test_tau_is_scipys_and_censored_seeds_are_last():
  rng = np.random.default_rng(0)
  feature, step = rng.normal(size=(3, 9)), rng.integers(0, 5, (3, 9)) * 1.0
  found = each_tau(feature, step)
  expected = [stats.kendalltau(f, t).statistic for f, t in zip(feature, step)]
  np.testing.assert_allclose(found, expected)
  step[:, :2] = np.inf
  last = np.where(np.isinf(step), 99.0, step)
  expected = [stats.kendalltau(f, t).statistic for f, t in zip(feature, last)]
  np.testing.assert_allclose(each_tau(feature, step), expected)


def test_a_planted_tie_is_found():
  table = timing.timing_table({'x': as_run('x', timed())}, draws=2000)
  of_measures = table[table.kind == timing.MEASURE]
  first = of_measures[of_measures.window == 'before the first emergence']
  assert set(first.measure) == {'RankMe'} and (first.events == 24).all()
  floor = first.set_index('feature').loc['lowest value']
  assert floor.tau < -0.9 and floor.p_holm < 0.05
  assert floor.verdict == 'tells'
  # Where it has its lowest value says nothing.
  when = first.set_index('feature').loc['step of half the rise after it']
  assert when.verdict == 'not shown'


def test_what_is_not_tied_is_not_shown():
  hits = 0
  for rng in range(12):
    run = as_run('x', timed(seeds=8, tie=0.0, rng=rng))
    table = timing.timing_table({'x': run}, draws=200)
    of_measures = table[table.kind == timing.MEASURE]
    hits += (of_measures.verdict == 'tells').any()
  # At 5% each of three windows would have more than 4 of 12 once in 60 times.
  assert hits <= 4


@pytest.mark.parametrize('seeds,events', [(6, 1), (9, 4), (12, 2), (101, 2)])
def test_p_values_of_independent_seeds_are_flat(seeds, events):
  """Events that share the seed's luck, which must not count twice."""
  rng = np.random.default_rng(seeds)
  found = []
  for trial in range(300):
    luck, own = rng.normal(size=(2, seeds))
    step = luck + 0.3 * rng.normal(size=(events, seeds))
    feature = own + 0.3 * rng.normal(size=(1, events, seeds))
    pooled = taus.pool(feature, step, draws=200, seed=trial)
    found.append(pooled.p_F[0])
  found = np.array(found)
  for level in (0.05, 0.2, 0.5):
    share, error = (found <= level).mean(), np.sqrt(level * (1 - level) / 300)
    assert share < level + 3 * error, level
    assert share > level - 3 * error - 0.05, level


@pytest.mark.parametrize('group', [(0,) * 6, (0, 0, 0, 0, 1, 1, 1)])
def test_the_variance_is_that_of_all_arrangements(group):
  """Of events that have something in common, ties, and seeds of two groups."""
  rng = np.random.default_rng(0)
  groups = permutations.members(group, len(group))
  alike = np.equal.outer(group, group)
  luck = rng.normal(size=(2, 1, len(group)))
  values = np.round(luck + 0.3 * rng.normal(size=(2, 3, len(group))), 1)
  ours, theirs = (taus._signs(x, alike) for x in values)
  orders, exact = permutations.within(groups, 1000, rng)
  assert exact
  sums = [np.sum(ours * theirs[:, o[:, None], o]) for o in orders]
  np.testing.assert_allclose(np.mean(sums), 0, atol=1e-12)
  np.testing.assert_allclose(taus.variance(ours, theirs, groups), np.var(sums))


def test_many_seeds_have_the_p_values_of_draws(monkeypatch):
  """Within three standard errors of 4,000 draws, and a hundredth."""
  rng = np.random.default_rng(1)
  luck = rng.normal(size=80)
  step = luck + rng.normal(size=(3, 80))
  step[:, luck > 1] = np.inf
  ties = np.linspace(0, 0.5, 8)[:, None, None]
  feature = ties * luck + rng.normal(size=(8, 3, 80))
  drawn = taus.pool(feature, step, draws=4000)
  monkeypatch.setattr(taus, 'MOST_DRAWN', 10)
  known = taus.pool(feature, step)
  np.testing.assert_allclose(known.tau_F, drawn.tau_F, atol=1e-12)
  error = np.sqrt(known.p_F * (1 - known.p_F) / 4000)
  assert np.all(np.abs(known.p_F - drawn.p_F) < 3 * error + 0.01 * known.p_F)
  assert known.p_F.min() < 0.01 < known.p_F.max()


def test_what_goes_missing_with_emergence_tells_nothing():
  """A drift, alike in all seeds, that is measured up to half of emergence."""
  hits, trials = 0, 40
  for rng in range(trials):
    data = timed(seeds=10, tie=0.0, rng=rng).isel(task=[0], level=[0])
    noise = np.random.default_rng(rng).normal(size=data.rankme.shape)
    drift = data.rankme.copy(data=5 + 0.1 * noise) + data.step / 100
    step = timing.emergence.by_rule(data, 'halfway').min(('task', 'level'))
    data['rankme'] = drift.where(data.step < step / 2).transpose(
      *data.rankme.dims
    )
    table = timing.timing_table({'x': as_run('x', data)}, draws=200)
    table = table[
      (table.kind == timing.MEASURE) & (table.window == timing.WINDOWS[1])
    ]
    assert len(table)
    hits += (table.verdict == 'tells').any()
  # At 5% there are more than 6 of 40 once in 200 times.
  assert hits <= 6


def test_seeds_trade_within_their_groups():
  """Slow seeds that have more of a feature, and nothing within the groups."""
  group = np.repeat([0, 1], 6)
  alarms = {True: 0, False: 0}
  for trial in range(100):
    rng = np.random.default_rng(trial)
    feature, step = 3 * group + rng.normal(size=(2, 1, 12))
    for known in alarms:
      pooled = taus.pool(
        feature[None], step, group if known else (), draws=200, seed=trial
      )
      alarms[known] += pooled.p_F[0] < 0.05
  assert alarms[True] <= 11 < 30 < alarms[False]


def test_few_seeds_or_checkpoints_say_nothing():
  table = timing.timing_table({'x': as_run('x', timed(seeds=7))})
  assert not len(table)
  late = timed().isel(step=slice(54, None))
  table = timing.timing_table({'x': as_run('x', late)}, draws=50)
  assert set(table.window) <= {'before the median emergence'}


def test_it_is_a_table_of_the_study():
  found = study.study({'x': as_run('x', timed(seeds=8))}, draws=50)
  assert (found.tables['timing'].seeds == 8).all()
