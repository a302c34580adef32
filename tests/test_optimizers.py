"""Every optimiser trains, is one of the literature's, and is resumed."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from emergence_jax.base.types import UserError
from emergence_jax.config import optimizer as optimizer_lib
from emergence_jax.config import schema
from emergence_jax.config.optimizer import KINDS, OptimizerConfig
from emergence_jax.running import levers, loop
from emergence_jax.store import timeseries
from tests import small

RATE = dict(rate=0.1, warmup=0, decay='constant', clip_norm=0.0)


def first_update(name, **options):
  """Of parameters (1, −2) with the gradient (0.5, 0.25)."""
  config = OptimizerConfig(name=name, **(RATE | options))
  made = optimizer_lib.make(config, 10)
  params = {'w': jnp.array([1.0, -2.0])}
  grads = {'w': jnp.array([0.5, 0.25])}
  updates, _ = made.update(grads, made.init(params), params)
  return np.asarray(updates['w'])


@pytest.mark.parametrize(
  'name,wanted',
  [
    # The sign, and what decays beside it: 0.1 · (1 + 0.5 · 1), …
    ('adamw', [-0.15, 0.0]),
    ('lion', [-0.15, 0.0]),
    # The decay is in the gradient: 0.5 + 0.5, 0.25 − 1.
    ('adam', [-0.1, 0.1]),
    ('sgd', [-0.1, 0.075]),
  ],
)
def test_first_updates_by_hand(name, wanted):
  found = first_update(name, weight_decay=0.5)
  np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_muon_makes_matrices_orthogonal():
  config = OptimizerConfig(name='muon', weight_decay=0.0, **RATE)
  made = optimizer_lib.make(config, 10)
  params = {'w': jnp.zeros((6, 6)), 'b': jnp.zeros(6)}
  grads = {'w': jax.random.normal(jax.random.key(0), (6, 6)), 'b': jnp.ones(6)}
  updates, _ = made.update(grads, made.init(params), params)
  values = np.linalg.svd(updates['w'] / -0.1, compute_uv=False)
  # Five iterations of Newton and Schulz come within a third.
  assert values.min() > 0.5 and values.max() < 1.5
  # Of vectors it is Adam, with Nesterov's momentum.
  assert (updates['b'] < -0.1).all() and np.ptp(updates['b']) < 1e-6


@pytest.mark.nightly
@pytest.mark.parametrize('name', [*KINDS, 'tests.test_optimizers:signs'])
def test_a_run_goes_on_to_the_same_bits(name, tmp_path):
  given = small.modadd_config(steps=6)
  given.optimizer = dict(name=name, rate=1e-3, warmup=2, decay='constant')
  whole = schema.from_mapping(given)
  loop.run(whole, tmp_path / 'whole', lambda line: None)
  given.train.steps = 4
  loop.run(schema.from_mapping(given), tmp_path / 'parts', lambda line: None)
  given.train.steps = 6
  loop.run(schema.from_mapping(given), tmp_path / 'parts', lambda line: None)
  one, other = (timeseries.load(tmp_path / n) for n in ('whole', 'parts'))
  np.testing.assert_array_equal(one.train_loss, other.train_loss)
  assert np.isfinite(one.train_loss).all()
  assert (one.train_loss[:, -1] != one.train_loss[:, 0]).all()


@pytest.mark.nightly
@pytest.mark.parametrize('name', KINDS)
def test_it_learns(name):
  given = small.modadd_config(steps=40)
  rate = 0.3 if name == 'sgd' else 3e-3
  given.optimizer = dict(
    name=name, rate=rate, warmup=0, decay='constant', weight_decay=0.0
  )
  config = schema.from_mapping(given)
  own = levers.example(config)
  member = levers.init(config)(0, own)
  _, history = jax.jit(levers.segment(config))(member, own, 0, 40)
  assert history.loss[39] < history.loss[0]


def signs(config, rate):
  """An optimiser of one's own."""
  return optax.sign_sgd(rate)


def nothing(config, rate):
  """No optimiser."""
  return rate


@pytest.mark.parametrize(
  'name,words',
  [
    ('adamww', "did you mean 'adamw'"),
    ('tests.test_optimizers:nothing', 'must give an optax'),
    ('tests.test_optimizers:nowhere', 'could not be imported'),
    ('tests.test_optimizers:RATE', 'could not be made'),
  ],
)
def test_names_that_are_none(name, words):
  with pytest.raises(UserError, match=words):
    optimizer_lib.make(OptimizerConfig(name=name, **RATE), 10)


def test_a_wrong_name_is_an_error_of_the_configuration():
  given = small.modadd_config()
  given.optimizer.name = 'adamv'
  with pytest.raises(UserError, match='config.optimizer.name'):
    schema.from_mapping(given)
