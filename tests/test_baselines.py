"""Baselines: chance, what a measure adds, and how often luck says so."""

import pathlib

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from emergence_jax.analysis import baselines, runs, timing
from tests import tiers

RESULTS = pathlib.Path(__file__).parents[1] / 'experiments' / 'results'


def studied(accuracy_SC, chance=0.1, examples=200):
  """A dataset of one task and level."""
  accuracy_SC = np.asarray(accuracy_SC, float)
  return xr.Dataset(
    {
      'accuracy': (
        ('seed', 'step', 'task', 'level'), accuracy_SC[..., None, None]
      ),
      'chance': (('task', 'level'), [[chance]]),
    },
    coords={
      'seed': np.arange(len(accuracy_SC)),
      'step': 10 * np.arange(accuracy_SC.shape[1]),
      'task': ['T'], 'level': ['1'],
    },
    attrs={'examples': examples},
  )  # fmt: skip


def test_the_first_seed_that_is_above_chance_ends_the_window():
  accuracy = np.full((3, 12), 0.1)
  accuracy[1, 7:] = 0.25  # 50 of 200, where guessing gives 20 ± 4
  assert baselines.leaves_chance(studied(accuracy)).item() == 70
  accuracy[1, 7:] = 0.13  # 26: not beyond 36 tries
  assert np.isinf(baselines.leaves_chance(studied(accuracy)).item())


def test_guessing_seldom_leaves_chance():
  """At most 5% of studies; 8% of 200 would come once in 40 times."""
  rng = np.random.default_rng(0)
  left = [
    np.isfinite(baselines.leaves_chance(
      studied(rng.binomial(200, 0.1, (8, 60)) / 200)
    ).item())
    for _ in range(200)
  ]  # fmt: skip
  assert np.mean(left) <= 0.08


def test_the_number_of_examples_is_told_by_the_accuracies():
  rng = np.random.default_rng(0)
  hits = rng.integers(0, 288, 500)
  assert baselines._examples(np.float32(hits / 288), 961) == 288
  assert baselines._examples(np.float32(hits / 288), 576) == 576
  assert baselines._examples(np.zeros(5), 961) == 961


def test_history_is_averaged_before_each_checkpoint():
  data = xr.Dataset(
    {'train_loss': (('seed', 'train_step'), [np.arange(40.0)])},
    coords={'seed': [0], 'step': [0, 5, 20, 60]},
  )
  found = baselines.of(data)['training loss'].values[0]
  np.testing.assert_allclose(found, [np.nan, 2.0, 14.5, np.nan])


def test_it_correlates_what_regressions_on_a_control_leave():
  rng = np.random.default_rng(1)
  x, y, z = rng.normal(size=(3, 40))
  y = y + z
  found = baselines.partial(x[None, None], z[None, None], y[None], draws=10)
  design = np.stack([np.ones(40), stats.rankdata(z), z], 1)
  left = [
    rank - design @ np.linalg.lstsq(design, rank)[0]
    for rank in (stats.rankdata(x), stats.rankdata(y))
  ]
  np.testing.assert_allclose(found.rho_F, np.corrcoef(left)[0, 1], rtol=1e-6)
  few = baselines.partial(x[None, None, :5], z[None, None, :5], y[None, :5])
  assert np.isnan(few.p_F).all()
  same = baselines.partial(z[None, None], z[None, None], y[None], draws=10)
  assert np.isnan(same.p_F).all()  # nothing is left of it


def made(rng, seeds=64, events=1, own=0.0):
  """Features of a measure and of two baselines, and steps of emergence.

  The measure is a noisy copy of what the baselines know, but for `own`.
  """
  known, hidden = rng.normal(size=(2, events, seeds))
  step = known + 0.7 * rng.normal(size=(events, seeds)) + own * hidden
  control = np.stack([known, known + 0.5 * rng.normal(size=known.shape)])
  feature = known + 0.5 * rng.normal(size=known.shape) + own * hidden
  return feature[None], control, step


@pytest.mark.parametrize(
  'seeds,events,most',
  tiers.some([(64, 1, 0.08), (12, 1, 0.11), (16, 8, 0.11)], 1),
)
def test_a_copy_of_the_baselines_seldom_adds(seeds, events, most):
  """How often p < 0.05 of 300, where 5% should be.

  Rates of 5% and, of few seeds, of 7.5% (permuted residuals are exchangeable
  in the limit only) would pass these bounds once in 100 times.
  """
  p = [
    baselines.partial(
      *made(np.random.default_rng(i), seeds, events), draws=200, seed=i
    ).p_F[0]
    for i in range(300)
  ]
  assert np.mean(np.array(p) < 0.05) <= most


def test_what_a_measure_knows_by_itself_is_found():
  p, gains = [], []
  for i in range(20):
    feature, control, step = made(np.random.default_rng(i), own=1.0)
    p.append(baselines.partial(feature, control, step, draws=200).p_F[0])
    gains.append(baselines.out_of_sample(feature, control, step))
  assert np.mean(np.array(p) < 0.05) == 1
  assert np.mean([g.low > 0 for g in gains]) > 0.8
  assert all(0.5 < g.alone < g.with_it < 1 for g in gains)


@pytest.mark.parametrize('seeds', tiers.some([64, 24]))
def test_a_copy_seldom_orders_left_out_seeds_better(seeds):
  """2.5% of intervals should lie above 0; 7 of 100 would come once in 50."""
  above = [
    baselines.out_of_sample(*made(np.random.default_rng(i), seeds)).low > 0
    for i in range(100)
  ]
  assert np.sum(above) <= 7


def test_concordance_is_the_share_of_ordered_pairs():
  score, step = np.array([1.0, 2, 3, 3]), np.array([10.0, 30, 20, np.inf])
  # Pairs by score: 10<30, 10<20, 10<inf, 30>20 (no), 30<inf; 20<inf is tied.
  assert baselines._concordance(score, step) == pytest.approx(4.5 / 6)
  assert np.isnan(baselines._concordance(score, np.full(4, np.inf)))


@pytest.fixture(scope='module')
def sixty_four():
  loaded = runs.load([RESULTS / 'modadd64'])
  return loaded, timing.timing_table(loaded, draws=10_000)


def test_in_64_seeds_the_loss_tells_and_geometry_adds_nothing(sixty_four):
  loaded, table = sixty_four
  chance, first, _ = timing.WINDOWS
  told = table[table.verdict == 'tells'].groupby('window').measure.unique()
  assert set(told[chance]) == {'RankMe', 'held-out loss', 'log-probability'}
  assert 'RankMe' in told[first] and 'held-out loss' in told[first]
  rank, loss = (
    table[(table.window == chance) & (table.measure == name)].tau.max()
    for name in ('RankMe', 'held-out loss')
  )
  np.testing.assert_allclose([rank, loss], [0.28, 0.43], atol=0.005)
  assert not (table.beyond == timing.ADDS).any()
  beyond = timing.foretelling_table(loaded)
  assert set(beyond.measure) >= {'RankMe', 'Fisher rank'}
  assert (beyond.low < 0).all() and (beyond['baselines alone'] > 0.65).all()


def test_given_the_loss_at_step_80_rankme_says_nothing(sixty_four):
  """0.02 and 0.55 by ranks alone; their values as well move it by 0.01."""
  (run,) = sixty_four[0].values()
  window = timing.WINDOWS[1]
  rank, loss = (
    timing.told(run, window, name, 'value at its end')
    for name in ('RankMe', 'held-out loss')
  )
  taus = [
    stats.kendalltau(x.feature_ES[0], x.step_ES[0]).statistic
    for x in (rank, loss)
  ]
  np.testing.assert_allclose(taus, [0.43, 0.55], atol=0.005)
  given_loss = baselines.partial(
    rank.feature_ES[None], loss.feature_ES[None], rank.step_ES, draws=100
  )
  given_rank = baselines.partial(
    loss.feature_ES[None], rank.feature_ES[None], rank.step_ES, draws=100
  )
  np.testing.assert_allclose(given_loss.rho_F, 0.02, atol=0.01)
  np.testing.assert_allclose(given_rank.rho_F, 0.55, atol=0.01)
