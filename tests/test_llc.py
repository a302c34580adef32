"""The LLC against closed forms, quadrature and Aoyagi's formula.

The reference values were computed by this project (tests/data/README.md).
"""

import itertools
import json
import pathlib

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import emergence_jax as ej
from emergence_jax.base.types import Status
from emergence_jax.numerics import llc, sgld
from tests import aoyagi, tiers

KEY = jax.random.key(0)
TRUTH = json.loads(
  (pathlib.Path(__file__).parent / 'data/llc_ground_truth.json').read_text()
)
DATA = jnp.zeros(100)


def estimate(loss, params, key=KEY, data=DATA, **settings):
  run = jax.jit(
    lambda params, key: ej.estimate_llc(loss, params, data, key, **settings)
  )
  return run(params, key)


def agrees(found, exact):
  """Within 4 standard errors, and within 3%."""
  assert abs(found.llc - exact) < 4 * found.stderr, (found.llc, exact)
  np.testing.assert_allclose(found.llc, exact, rtol=0.03)


@pytest.mark.slow
@pytest.mark.parametrize('case', tiers.some(TRUTH['quadratic']))
def test_quadratic(case):
  """Stationary value of the discrete chain, finite steps included."""

  def loss(w, x):
    return jnp.sum(w**2) / 2 + 0 * jnp.mean(x)

  found = estimate(
    loss, jnp.zeros(case['d']), step_size=case['eps'],
    localization=case['gamma'], nbeta=case['nbeta'], num_chains=16,
    num_draws=10_000, num_burnin=1000,
  )  # fmt: skip
  agrees(found, case['closed_form'])
  np.testing.assert_allclose(found.lambda_max, 1, rtol=1e-5)
  # All directions are alike: the ratio is the excess over no discretisation.
  p = case['nbeta'] + case['gamma']
  continuous = case['d'] / 2 * case['nbeta'] / p
  np.testing.assert_allclose(
    1 - continuous / case['closed_form'], found.discretization, rtol=1e-3
  )
  excess = case['closed_form'] - continuous
  np.testing.assert_allclose(found.bias, excess, rtol=1e-2)
  biased = excess > llc.MAX_BIAS * found.llc
  assert found.status == (Status.BIASED if biased else Status.OK)


@pytest.mark.slow
@pytest.mark.parametrize('case', tiers.some(TRUTH['monomial']))
def test_monomial(case):
  def loss(w, x):
    return w ** (2 * case['k']) + 0 * jnp.mean(x)

  found = estimate(
    loss, jnp.float32(0), localization=case['gamma'], nbeta=case['nbeta'],
    step_size=1e-4 if case['k'] == 1 else 1e-3, num_chains=512,
    num_draws=10_000, num_burnin=3000,
  )  # fmt: skip
  agrees(found, case['local_posterior'])


@pytest.mark.nightly
@pytest.mark.parametrize('case', TRUTH['normal_crossing'])
def test_normal_crossing(case):
  a, b = case['powers']

  def loss(w, x):
    return case['c'] * (w[0] ** a * w[1] ** b) ** 2 + 0 * jnp.mean(x)

  found = estimate(
    loss, jnp.zeros(2), localization=case['gamma'], nbeta=case['nbeta'],
    # Short steps for the stiff arms, and many of them: an arm is as long as
    # γ lets it be, and takes 2/(εγ) = 80,000 steps to walk.
    step_size=2.5e-5, num_chains=64, num_draws=160_000, num_burnin=120_000,
  )  # fmt: skip
  agrees(found, case['local_posterior'])


@pytest.mark.parametrize('case', TRUTH['dln'])
def test_aoyagis_formula(case):
  found = aoyagi.deep_linear(case['widths'], case['r'])
  assert found == (case['lam'], case['mult'])


def test_aoyagi_of_one_layer_is_regular():
  assert aoyagi.deep_linear([3, 4], 2).coefficient == 6
  with pytest.raises(ValueError, match='rank=4 must be from 0 to 3'):
    aoyagi.deep_linear([3, 5], 4)


def deep_linear(widths, rank):
  """(loss, deepest point): identity in the top r×r block of every layer.

  With inputs of unit covariance the population loss is exact.
  """
  params = [
    jnp.zeros(shape).at[:rank, :rank].set(jnp.eye(rank))
    for shape in zip(widths, widths[1:])
  ]

  def product(params):
    total = params[0]
    for w in params[1:]:
      total = total @ w
    return total

  true = product(params)

  def loss(params, x):
    return jnp.sum((product(params) - true) ** 2) / 2 + 0 * jnp.mean(x)

  return loss, params


@pytest.mark.nightly
@pytest.mark.parametrize(
  'case', [c for c in TRUTH['dln'] if max(c['widths']) <= 10]
)
def test_deep_linear_networks(case):
  loss, params = deep_linear(case['widths'], case['r'])
  if case['r']:
    settings = dict(localization=1.0, nbeta=1e5, step_size=3e-7)
  elif case['mult'] > 1:
    # A wide prior, since the bias of a finite nβ and γ grows with m.
    settings = dict(localization=1.0, nbeta=1e6, step_size=8e-7)
  else:
    settings = dict(localization=10.0, nbeta=1e6, step_size=5e-7)
  # With r > 0 stiff directions keep the steps short, and the flat ones slow.
  steps = 60_000 if case['r'] else 30_000
  found = estimate(
    loss, params, num_chains=8, num_draws=steps, num_burnin=steps, **settings
  )
  # A finite nβ takes up to 5%, and the draws have an error of up to 0.5%.
  np.testing.assert_allclose(found.llc, case['lam'], rtol=0.06)
  assert found.rhat < 1.05


def regression(count=2000):
  """Linear regression with noise: regular, λ = d/2 in 4 dimensions."""
  rng = np.random.default_rng(0)
  x = rng.normal(size=(count, 4))
  y = x @ np.ones(4) + rng.normal(size=count)
  w = np.linalg.lstsq(x, y, rcond=None)[0]

  def loss(w, batch):
    return jnp.mean((batch[0] @ w - batch[1]) ** 2) / 2

  return loss, jnp.float32(w), (jnp.float32(x), jnp.float32(y))


@pytest.mark.nightly
@pytest.mark.parametrize(
  'sampler,batch_size',
  tiers.some(itertools.product(sgld.SAMPLERS, (256, None))),
)
def test_regression_with_minibatches(sampler, batch_size):
  loss, w, data = regression()
  # The preconditioner is about 1 / 0.1 at rest, so steps are shorter.
  step = 1e-4 if sampler == 'sgld' else 3e-5
  found = estimate(
    loss, w, data=data, step_size=step, localization=1.0, num_chains=16,
    num_draws=2000, num_burnin=500, batch_size=batch_size, sampler=sampler,
  )  # fmt: skip
  # Minibatch noise adds to the temperature: ε·nβ²·var/(2b) ≈ 2% here.
  assert abs(found.llc - 2) < 4 * found.stderr + 0.1
  assert found.stderr < 0.15
  assert found.status == Status.OK
  assert found.losses.shape == (16, 2500)
  np.testing.assert_allclose(
    found.llc_per_chain.mean(), found.llc, rtol=1e-3, atol=1e-3
  )


@pytest.mark.nightly
def test_chains_have_minibatches_of_their_own():
  loss, w, data = regression()
  found = estimate(
    loss, w, data=data, step_size=1e-12, localization=1.0, num_chains=3,
    num_draws=8, num_burnin=0, batch_size=32,
  )  # fmt: skip
  assert len(np.unique(np.round(found.losses, 6))) == 24


@pytest.mark.nightly
def test_slices_of_all_of_the_data_do_not_matter():
  loss, w, data = regression()
  one, other = (
    estimate(
      loss, w, data=data, step_size=1e-4, localization=1.0, num_chains=2,
      num_draws=16, num_burnin=2, batch_size=30, descent=2, examples_at_once=n,
    )
    for n in (None, len(data[0]))
  )  # fmt: skip
  chex.assert_trees_all_close(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.nightly
def test_burn_in_does_not_count():
  """Far from equilibrium at first: only the draws after it make the mean."""

  def loss(w, x):
    return jnp.sum(w**2) / 2 + 0 * jnp.mean(x)

  settings = dict(
    step_size=1e-3, localization=0.0, nbeta=100.0, num_chains=2, num_draws=50
  )
  found = estimate(loss, jnp.full(3, 10.0), num_burnin=30, **settings)
  assert found.losses.shape == (2, 80)
  kept = np.float64(found.losses)[:, 30:]
  np.testing.assert_allclose(
    found.elevation, kept.mean() - float(found.initial_loss), rtol=1e-5
  )
  np.testing.assert_allclose(found.llc, 100 * found.elevation, rtol=1e-6)


@pytest.mark.nightly
def test_mask_restricts_the_dimensions():
  def loss(w, x):
    return sum(jnp.sum(v**2) for v in w.values()) / 2 + 0 * jnp.mean(x)

  params = {'head': jnp.zeros((2, 3)), 'rest': jnp.zeros(50)}
  head = {'head': np.array([[True], [False]]), 'rest': False}
  found = estimate(
    loss, params, mask=head, step_size=1e-3, localization=1.0, nbeta=100.0,
    num_chains=32, num_draws=1000, num_burnin=100,
  )  # fmt: skip
  assert abs(found.llc - 1.5 * 100 / 101 / 0.975) < 4 * found.stderr
  assert found.stderr < 0.05
  with pytest.raises(ValueError, match='selects no parameter'):
    estimate(
      loss, params, mask={'head': False, 'rest': False}, step_size=1e-3,
      localization=1.0, num_chains=1, num_draws=8, num_burnin=0,
    )  # fmt: skip


@pytest.mark.nightly
def test_acceptance_is_that_of_mala():
  """Against a sampler that accepts and rejects, written in NumPy."""
  d, nbeta, step = 30, 100.0, 1.2e-2

  def loss(w, x):
    return jnp.sum(w**2) / 2 + 0 * jnp.mean(x)

  found = estimate(
    loss, jnp.zeros(d), step_size=step, localization=0.0, nbeta=nbeta,
    num_chains=256, num_draws=100, num_burnin=10,
  )  # fmt: skip
  rng = np.random.default_rng(0)
  # The unadjusted chain is at rest at this variance.
  variance = 1 / (nbeta * (1 - step * nbeta / 4))
  w = rng.normal(size=(20_000, d)) * np.sqrt(variance)
  moved = w - step / 2 * nbeta * w + np.sqrt(step) * rng.normal(size=w.shape)

  def log_q(b, a):
    return -((b - a + step / 2 * nbeta * a) ** 2).sum(1) / (2 * step)

  log_ratio = nbeta / 2 * ((w**2).sum(1) - (moved**2).sum(1))
  log_ratio += log_q(w, moved) - log_q(moved, w)
  expected = np.minimum(1, np.exp(log_ratio)).mean()
  assert 0.3 < expected < 0.95
  np.testing.assert_allclose(found.acceptance, expected, atol=0.02)


@pytest.mark.parametrize(
  'settings,status',
  tiers.some(
    [
      (dict(step_size=5.0), Status.NON_FINITE),
      (dict(step_size=2e-2), Status.BIASED),
      (dict(step_size=1e-7), Status.NOT_MIXED),
    ],
    1,
  ),
)
def test_statuses(settings, status):
  def loss(w, x):
    return jnp.sum(w**2) / 2 + 0 * jnp.mean(x)

  settings = dict(localization=1.0, nbeta=100.0, **settings)
  found = estimate(
    loss, jnp.zeros(5), num_chains=4, num_draws=200, num_burnin=20, **settings
  )
  assert found.status == status


@pytest.mark.nightly
def test_stiffness_away_from_the_point_counts():
  """At the origin of w1² w2² nothing is curved; along its arms it is."""

  def loss(w, x):
    return 20 * (w[0] * w[1]) ** 2 + 0 * jnp.mean(x)

  found = estimate(
    loss, jnp.zeros(2), step_size=1e-3, localization=1.0, nbeta=145.0,
    num_chains=16, num_draws=5000, num_burnin=1000,
  )  # fmt: skip
  assert found.discretization > 0.5 and found.status == Status.BIASED


@pytest.mark.nightly
def test_a_saddle_is_negative():
  def loss(w, x):
    return -jnp.sum(w**2) / 2 + jnp.sum(w**4) + 0 * jnp.mean(x)

  found = estimate(
    loss, jnp.zeros(5), step_size=1e-3, localization=1.0, nbeta=100.0,
    num_chains=4, num_draws=2000, num_burnin=500,
  )  # fmt: skip
  assert found.llc < 0 and found.status == Status.NEGATIVE


@pytest.mark.nightly
def test_calibration_finds_what_works():
  loss, w, data = regression()
  found = ej.calibrate_llc(
    loss, w, data, KEY, step_sizes=(1e-7, 3e-4, 1e-2, 10.0),
    localizations=(1.0, 10.0), num_chains=4, num_draws=800, num_burnin=100,
  )  # fmt: skip
  best = int(found.recommended)
  np.testing.assert_allclose(found.step_size[best], 3e-4)
  assert abs(found.estimates.llc[best] - 2) < 0.5
  text = found.explain()
  assert 'step_size=0.0003' in text and 'non-finite' in text
  nothing = ej.calibrate_llc(
    loss, w, data, KEY, step_sizes=(10.0,), localizations=(1.0,),
    num_chains=2, num_draws=20, num_burnin=0,
  )  # fmt: skip
  assert nothing.recommended == -1 and 'None' in nothing.explain()


def test_the_papers_preset_is_a_raw_elevation():
  loss, w, data = regression()
  found = estimate(loss, w, data=data, **ej.PAPER_SETTINGS)
  assert found.nbeta == 1 and found.losses.shape == (1, 500)
  np.testing.assert_allclose(found.elevation, found.llc, rtol=1e-6)
  # Localised to a variance of 1/γ, of which the steps reach 1 − exp(−t ε γ):
  # the elevation is tr(H)/2γ, about 4/20,000.
  assert 1e-5 < found.elevation < 1e-3


@pytest.mark.parametrize(
  'changes,words',
  [
    (dict(num_draws=3), 'num_draws=3'),
    (dict(num_chains=0), 'num_chains=0'),
    (dict(batch_size=2001), 'batch_size=2001'),
    (dict(sampler='hmc'), "'hmc' is unknown"),
  ],
)
def test_bad_settings(changes, words):
  loss, w, data = regression()
  settings = dict(
    step_size=1e-4, localization=1.0, num_chains=1, num_draws=8, num_burnin=0
  )
  with pytest.raises(ValueError, match=words):
    ej.estimate_llc(loss, w, data, KEY, **{**settings, **changes})
  with pytest.raises(ValueError, match='scalar'):
    ej.estimate_llc(lambda w, b: b[0] @ w, w, data, KEY, **settings)
  with pytest.raises(ValueError, match='1 examples'):
    one = jax.tree.map(lambda x: x[:1], data)
    ej.estimate_llc(loss, w, one, KEY, **settings)


@pytest.mark.nightly
def test_vmap_equals_loop():
  loss, _, data = regression()
  w = jnp.float32(np.random.default_rng(1).normal(size=(2, 4)))
  keys = jax.random.split(KEY, 2)

  def run(w, key):
    return ej.estimate_llc(
      loss, w, data, key, step_size=1e-4, localization=1.0, num_chains=2,
      num_draws=50, num_burnin=10, batch_size=64,
    )  # fmt: skip

  mapped = jax.jit(jax.vmap(run))(w, keys)
  for i in range(2):
    one = jax.jit(run)(w[i], keys[i])
    np.testing.assert_allclose(mapped.llc[i], one.llc, rtol=1e-3)
