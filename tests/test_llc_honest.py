"""Where the LLC's status is ok it holds, and where it does not it says so."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import core

import emergence_jax as ej
from emergence_jax.base.types import Status
from emergence_jax.numerics import masks
from tests import tiers
from tests.test_llc import regression

KEY = jax.random.key(0)
NBETA = 2000 / np.log(2000)


def exact(localization=1.0, nbeta=NBETA):
  """The localised learning coefficient of the regression, in closed form."""
  _, _, (x, _) = regression()
  h = np.linalg.eigvalsh(np.float64(x.T @ x) / len(x))
  return (nbeta * h / (nbeta * h + localization)).sum() / 2


def runs(count, w=None, **settings):
  """Estimates of the regression with so many keys."""
  loss, minimum, data = regression()
  settings = dict(localization=1.0, num_chains=4, num_draws=2000,
                  num_burnin=500) | settings  # fmt: skip
  w = minimum if w is None else w
  run = jax.jit(
    jax.vmap(lambda key: ej.estimate_llc(loss, w, data, key, **settings))
  )
  return run(jax.random.split(KEY, count))


def share(found, status):
  return float(np.mean(np.asarray(found.status) == status))


@pytest.mark.parametrize(
  'batch_size,step_size', tiers.some([(8, 1e-4), (64, 1e-3)])
)
@pytest.mark.nightly
def test_noise_of_minibatches_is_foretold(batch_size, step_size):
  found = runs(10, batch_size=batch_size, step_size=step_size)
  assert share(found, Status.BIASED) == 1
  excess = np.mean(found.llc) - exact()
  assert excess > 0.15 * exact()
  np.testing.assert_allclose(np.mean(found.bias), excess, rtol=0.3)
  assert (np.asarray(found.noise) > 0).all()


@pytest.mark.nightly
def test_chains_that_do_not_move_are_not_mixed():
  """White noise of batches hid that nothing had happened yet."""
  found = runs(5, batch_size=64, step_size=1e-7)
  assert share(found, Status.NOT_MIXED) == 1
  lacking = exact() - np.mean(found.llc)
  np.testing.assert_allclose(np.mean(found.shortfall), lacking, rtol=0.1)


@pytest.mark.parametrize(
  'settings',
  tiers.some(
    [
      dict(batch_size=32, step_size=1e-4),
      dict(step_size=1e-4),
      dict(step_size=8e-4, num_chains=2, num_draws=150, num_burnin=150),
      dict(step_size=5e-4, num_chains=2, num_draws=150, num_burnin=150),
    ],
    2,
  ),
)
def test_ok_means_covered_and_within_a_tenth(settings):
  """±2 standard errors, and the bias that is told, hold the truth."""
  found = runs(100, **settings)
  ok = np.asarray(found.status) == Status.OK
  assert ok.mean() > 0.5
  llc, error, bias = (
    np.asarray(x)[ok] for x in (found.llc, found.stderr, found.bias)
  )
  off = np.abs(llc - exact())
  assert np.mean(off <= 2 * error + bias) >= 0.9
  assert np.mean(off <= 2 * error + 0.1 * exact()) >= 0.95


def rare():
  """Least squares with a feature that two of 2,000 examples have."""
  rng = np.random.default_rng(0)
  x, y = np.zeros((2000, 6)), 0.5 * rng.normal(size=2000)
  x[2:, :5] = rng.normal(size=(1998, 5))
  # A residual of 8 either way, so that the minimum does not see it.
  x[:2, 5], y[:2] = 30, (8, -8)
  w, *_ = np.linalg.lstsq(x, y)
  h = np.linalg.eigvalsh(x.T @ x / 2000)

  def loss(w, batch):
    return jnp.mean((batch[0] @ w - batch[1]) ** 2) / 2

  exact = (NBETA * h / (NBETA * h + 1)).sum() / 2
  return loss, jnp.float32(w), (jnp.float32(x), jnp.float32(y)), exact


@pytest.mark.parametrize('batch_size', tiers.some([8, 32]))
def test_noise_that_few_examples_have_is_seen(batch_size):
  """A batch of 8 has neither of the two in 99 of 100."""
  loss, w, data, exact = rare()
  run = jax.jit(
    jax.vmap(
      lambda key: ej.estimate_llc(
        loss, w, data, key, step_size=1e-4, num_draws=2000, num_burnin=500,
        num_chains=4, localization=1.0, batch_size=batch_size,
      )
    )
  )  # fmt: skip
  found = run(jax.random.split(KEY, 12))
  assert share(found, Status.OK) == 0
  excess = np.mean(found.llc) - exact
  assert excess > 0.3 * exact
  np.testing.assert_allclose(np.mean(found.bias), excess, rtol=0.35)
  off = np.abs(np.asarray(found.llc) - exact)
  assert np.sum(off < 2 * found.stderr + 2 * found.noise_error) >= 10


@pytest.mark.parametrize(
  'size,settings',
  tiers.some(
    [
      (1, dict(num_chains=1, num_draws=200, step_size=3e-4)),
      (1, dict(num_chains=4, num_draws=200, step_size=1e-3)),
      (100, dict(num_chains=1, num_draws=50, step_size=3e-4)),
      (100, dict(num_chains=1, num_draws=50, step_size=1e-3)),
    ],
    1,
    3,
  ),
)
def test_what_is_called_ok_lies_within_two_errors(size, settings):
  """Few effective draws: in 93% and more of 200, or none is called ok."""

  def run(key):
    return ej.estimate_llc(
      lambda w, x: jnp.sum(w**2) / 2 + 0 * jnp.mean(x), jnp.zeros(size),
      jnp.zeros(2000), key, num_burnin=200, localization=1.0, **settings,
    )  # fmt: skip

  found = jax.jit(jax.vmap(run))(jax.random.split(KEY, 200))
  ok = np.asarray(found.status) == Status.OK
  truth = size / 2 * NBETA / (NBETA + 1)
  off = np.abs(np.asarray(found.llc) - truth)[ok]
  covered = off <= 2 * np.asarray(found.stderr)[ok]
  least = 0.93 - 3 * np.sqrt(0.93 * 0.07 / max(ok.sum(), 1))
  assert not ok.any() or covered.mean() >= least


@pytest.mark.nightly
def test_few_draws_of_a_sound_chain_are_not_called_unmixed():
  found = runs(200, step_size=1e-3, num_chains=2, num_draws=150, num_burnin=150)
  assert share(found, Status.OK) > 0.85


@pytest.mark.nightly
def test_a_point_beside_the_minimum():
  w = regression()[1] + 0.1
  found = runs(4, w=w, batch_size=64, step_size=1e-4)
  assert share(found, Status.NOT_A_MINIMUM) == 1
  lost = exact() - np.mean(found.llc)
  # The curvature is that of a batch of 64, in four runs.
  np.testing.assert_allclose(-np.mean(found.gradient_effect), lost, rtol=0.35)
  slope = 0.1 * np.ones(4) @ np.float64(regression()[2][0].T @ (
    regression()[2][0]) / 2000)  # fmt: skip
  np.testing.assert_allclose(
    found.gradient_norm, np.linalg.norm(slope), rtol=1e-3
  )


@pytest.mark.nightly
def test_descent_finds_the_minimum_beside():
  w = regression()[1] + 0.1
  down = runs(4, w=w, batch_size=64, step_size=1e-4, descent=20)
  assert share(down, Status.OK) == 1
  assert abs(np.mean(down.llc) - exact()) < 0.3


@pytest.mark.nightly
def test_rounding_is_told():
  """Differences of 1e-8 in losses of 1/2, in float32."""
  found = runs(4, step_size=1e-9, nbeta=1e8)
  assert share(found, Status.UNTRUSTED) == 1


@pytest.mark.nightly
def test_rmsprop_of_a_quartic():
  """The preconditioner is held after the burn-in: the right distribution."""

  def loss(w, x):
    return w**4 + 0 * jnp.mean(x)

  found = jax.jit(
    lambda w: ej.estimate_llc(
      loss,
      w,
      jnp.zeros(100),
      KEY,
      step_size=3e-5,
      num_draws=20_000,
      num_burnin=2000,
      num_chains=64,
      localization=0.0,
      nbeta=1000.0,
      sampler='rmsprop',
    )  # fmt: skip
  )(jnp.float32(0))
  assert found.status != Status.OK or abs(found.llc - 0.25) < 0.025
  assert abs(found.llc - 0.25) < 4 * found.stderr + 0.1 * 0.25


def quadratic(params, x):
  return jnp.sum(params['w'] ** 2) / 2 + 0 * jnp.mean(x)


def small(params, **settings):
  """A few draws about a minimum; only `w` is traced."""
  settings = dict(step_size=1e-3, num_draws=8, num_burnin=0, num_chains=1,
                  localization=1.0) | settings  # fmt: skip

  def run(w):
    return ej.estimate_llc(
      quadratic, {**params, 'w': w}, jnp.zeros(20), KEY, **settings
    )

  return jax.jit(run)(params['w'])


@pytest.fixture(scope='module')
def plain():
  return small({'w': jnp.zeros(4)}, num_draws=50, num_chains=2)


@pytest.mark.parametrize('other', tiers.some([
  jnp.ones(3, bool), jnp.arange(3), jax.random.key(1), True
]))  # fmt: skip
def test_what_is_no_parameter_does_not_move(plain, other):
  mixed = small({'other': other, 'w': jnp.zeros(4)}, num_draws=50, num_chains=2)
  np.testing.assert_array_equal(plain.llc, mixed.llc)


@pytest.mark.nightly
def test_half_precision_is_raised():
  found = small({'w': jnp.zeros(4, jnp.bfloat16)})
  assert found.llc.dtype == jnp.float32


@pytest.mark.nightly
def test_data_of_numpy():
  data = np.zeros(20, np.float32)
  found = jax.jit(
    lambda w: ej.estimate_llc(
      quadratic,
      {'w': w},
      data,
      KEY,
      step_size=1e-3,
      num_draws=8,
      num_burnin=0,
      num_chains=1,
      localization=1.0,
      batch_size=4,
    )  # fmt: skip
  )(np.zeros(4, np.float32))
  assert np.isfinite(found.llc)


PARAMS = {'w': {'a': jnp.zeros(2), 'b': jnp.zeros(3)}, 'n': 3}
MASK = {'w': {'a': True, 'b': False}, 'n': False}


@pytest.mark.parametrize('params,mask,moving', [
  (PARAMS, core.freeze(MASK), 2),
  (core.freeze(PARAMS), MASK, 2),
  (PARAMS, {'w': True, 'n': False}, 5),
  (PARAMS, {'w': {'a': np.array([True, False]), 'b': True}, 'n': True}, 4),
  (PARAMS, None, 5),
])  # fmt: skip
def test_masks_fit_in_every_form(params, mask, moving):
  flat = masks.flat(mask, params)
  assert flat.shape == (5,) and flat.sum() == moving


@pytest.mark.parametrize(
  'options,words',
  [
    (dict(mask={'w': 'train'}), 'is of type'),
    (dict(mask={'w': np.ones(4)}), 'is of type float64'),
    (dict(mask={'w': np.ones(3, bool)}), 'does not broadcast'),
    (dict(mask={'v': True}), 'a tree like the parameters'),
    (dict(step_size=0.0), 'step_size=0.0 must be above 0'),
    (dict(localization=-1.0), 'localization=-1.0 must be at least 0'),
    (dict(nbeta=0.0), 'nbeta=0.0 must be above 0'),
    (dict(sampler='rmsprop'), 'num_burnin=0 must be at least 1'),
    (dict(descent=-1), 'descent=-1 must be at least 0'),
  ],
)
def test_errors_say_what_is_wrong(options, words):
  with pytest.raises(ValueError, match=words):
    small({'w': jnp.zeros(4)}, **options)


@pytest.mark.nightly
def test_calibration_recommends_nothing_that_is_rough():
  settings = dict(localizations=(1.0,), num_burnin=20, num_chains=2)
  rough = ej.calibrate_llc(
    quadratic, {'w': jnp.zeros(4)}, jnp.zeros(1000), KEY, step_sizes=(1e-3,),
    num_draws=8, **settings,
  )  # fmt: skip
  assert rough.recommended == -1
  assert 'None is to be recommended' in rough.explain()
  beside = ej.calibrate_llc(
    quadratic, {'w': jnp.ones(4)}, jnp.zeros(1000), KEY, step_sizes=(1e-3,),
    num_draws=1000, **settings,
  )  # fmt: skip
  words = beside.explain()
  assert '1 not a minimum' in words and 'is not at a minimum' in words
  with pytest.raises(ValueError, match='1 examples; at least 2'):
    ej.calibrate_llc(
      quadratic, {'w': jnp.zeros(4)}, jnp.zeros(1), KEY, step_sizes=(1e-3,),
      num_draws=8, **settings,
    )  # fmt: skip
