"""Devices that share a seed, and training in fewer bits."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from emergence_jax.base.types import UserError
from emergence_jax.config import schema
from emergence_jax.config.precision import PRECISIONS
from emergence_jax.machine import mesh
from emergence_jax.models import released
from emergence_jax.running import levers, loop, programs, releases, train
from emergence_jax.store import timeseries
from tests import release, small

# The size of the tiny models' numbers, over some steps of training.
CLOSE = dict(rtol=2e-4, atol=2e-5)


def everything(steps=4, **seeds):
  given = small.algorithmic_config(steps=steps, count=2)
  given.measures = {
    'behaviour': {'examples': 4}, 'rank': {'examples': 8},
    'fisher': {'examples': 8},
  }  # fmt: skip
  given.seeds.update(**seeds)
  return schema.from_mapping(given)


def built(config):
  found = programs.Programs(config)
  found.compile()
  return found


def numbers(config):
  """Of 4 steps: losses, measures, and what training has left."""
  made = built(config)
  start = made.init()
  before = made.copy(start.params)
  population, history = made.segment(start, 4)
  measured = {n: m(population, before) for n, m in made.measures.items()}
  return jax.device_get((history.loss, measured, population.params))


@pytest.mark.nightly
def test_two_devices_that_share_a_seed_agree_with_one():
  """One seed after the other on one device, and both devices on each."""
  loss, measured, params = numbers(everything(devices=1))
  shared = everything(devices=2, devices_per_seed=2)
  made = programs.Programs(shared)
  assert made.mesh.shape == {'seed': 1, 'model': 2}
  assert '2 on every 2' in made.layout
  other_loss, other, other_params = numbers(shared)
  np.testing.assert_allclose(other_loss, loss, **CLOSE)
  chex.assert_trees_all_close(other_params, params, **CLOSE)
  for name, values in measured.items():
    for key, value in values.items():
      np.testing.assert_allclose(
        other[name][key], value, rtol=5e-3, atol=1e-4, err_msg=key
      )


@pytest.mark.nightly
def test_devices_that_share_a_seed_hold_parts_of_it():
  made = built(everything(devices=2, devices_per_seed=2))
  population, _ = made.segment(made.init(), 1)
  kernel = population.params['block_0']['mlp_in']['kernel']
  moments = population.opt_state[1][0].mu['block_0']['mlp_in']['kernel']
  for leaf in (kernel, moments):
    assert leaf.addressable_shards[0].data.size == leaf.size // 2
  whole = sum(x.size for x in jax.tree.leaves(population.params))
  here = sum(
    x.addressable_shards[0].data.size
    for x in jax.tree.leaves(population.params)
  )
  assert here < 0.51 * whole


@pytest.mark.nightly
def test_a_run_goes_on_when_devices_share_its_seeds(tmp_path):
  """The layout may change between two calls, and the numbers agree."""
  given = small.modadd_config(steps=4)
  alone = schema.from_mapping(given)
  loop.run(alone, tmp_path / 'alone', lambda line: None)
  given.train.steps = 2
  loop.run(schema.from_mapping(given), tmp_path / 'run', lambda line: None)
  given.train.steps = 4
  given.seeds.update(devices=2, devices_per_seed=2)
  said = []
  loop.run(schema.from_mapping(given), tmp_path / 'run', said.append)
  assert any('going on' in line for line in said)
  one, other = (timeseries.load(tmp_path / n) for n in ('alone', 'run'))
  np.testing.assert_allclose(other.train_loss, one.train_loss, **CLOSE)
  np.testing.assert_allclose(other.rankme, one.rankme, rtol=1e-3)


@pytest.mark.parametrize('count', [1, 3, 5])
@pytest.mark.parametrize('at_once', [None, 1, 2])
def test_what_is_mapped_over_seeds_that_do_not_divide(count, at_once):
  """The last is repeated, and left out."""
  spread = mesh.seed_mesh(count, 2 if count > 1 else 1)

  def one_seed(x, shared, y):
    return {'sum': jnp.sum(x) + shared, 'y': y}

  mapped = jax.jit(
    mesh.map_seeds(
      one_seed, spread, per_seed=(True, False, True), at_once=at_once
    ),
    out_shardings=mesh.sharded(spread, count),
  )
  x, y = jnp.arange(2.0 * count).reshape(count, 2), jnp.arange(count)
  result = mapped(x, jnp.float32(1), y)
  np.testing.assert_array_equal(result['sum'], x.sum(1) + 1)
  np.testing.assert_array_equal(result['y'], y)


@pytest.mark.nightly
def test_seeds_that_do_not_divide_use_all_devices(tmp_path):
  """Each as by itself, to the bit; and what is saved knows no devices."""

  def three(steps, **seeds):
    given = small.modadd_config(count=3, steps=steps)
    given.seeds.update(seeds)
    return schema.from_mapping(given)

  spread, alone = (three(4, devices=n) for n in (None, 1))
  assert '2 cpu devices, at most 2 on each' in programs.Programs(spread).layout
  begun, whole = tmp_path / 'begun', tmp_path / 'whole'
  with small.compiled_as_for_users():
    assert loop.run(three(2), begun).name == 'FINISHED'
    assert loop.run(spread, begun).name == 'FINISHED'
    assert loop.run(alone, whole).name == 'FINISHED'
  one, other = (timeseries.load(x).load() for x in (begun, whole))
  xr.testing.assert_equal(one, other)


@pytest.mark.parametrize(
  'count, devices, per_seed, words',
  [
    (2, None, 4, 'config.seeds.devices_per_seed=4, but JAX sees 2'),
    (2, 1, 2, 'does not divide over 1 devices, 2 for each'),
  ],
)
def test_layouts_that_do_not_fit_are_refused(count, devices, per_seed, words):
  with pytest.raises(UserError, match=words):
    mesh.seed_mesh(count, devices, per_seed)


@pytest.mark.nightly
def test_fewer_bits_keep_parameters_and_gradients_in_float32():
  given = small.algorithmic_config()
  config = schema.from_mapping(given)
  objective = config.objective
  params = objective.init(jax.random.key(0))
  batch = config.task.train_batch(config.task.prepare(0), jax.random.key(1))
  exact, whole = jax.value_and_grad(objective.loss)(params, batch)
  loss_of = train._in_precision(objective, 'bfloat16')
  loss, grads = jax.value_and_grad(loss_of)(params, batch)
  assert loss.dtype == jnp.float32
  chex.assert_trees_all_equal_dtypes(grads, params)
  # Eight bits of a mantissa: relative errors of 2^-8, some of them together.
  np.testing.assert_allclose(loss, exact, rtol=2**-8)
  assert loss != exact
  flat, other = (jax.flatten_util.ravel_pytree(g)[0] for g in (whole, grads))
  assert jnp.linalg.norm(flat - other) < 0.05 * jnp.linalg.norm(flat)


@pytest.mark.nightly
def test_a_population_of_fewer_bits_trains_alike():
  given = small.modadd_config(steps=4)
  histories = []
  for precision in PRECISIONS:
    given.train.precision = precision
    config = schema.from_mapping(given)
    own = levers.example(config)
    member = levers.init(config)(0, own)
    after, history = jax.jit(levers.segment(config))(member, own, 0, 4)
    chex.assert_trees_all_equal_dtypes(after, member)
    histories.append(history.loss[:4])
  whole, products, fewer = histories
  np.testing.assert_allclose(products, whole, rtol=2**-10)
  np.testing.assert_allclose(fewer, whole, rtol=0.02)
  assert not np.array_equal(fewer, whole)


def test_precision_is_part_of_what_a_run_is():
  given = small.modadd_config()
  one = schema.from_mapping(given)
  given.train.precision = 'bfloat16'
  other = schema.from_mapping(given)
  assert schema.digest(one.raw) != schema.digest(other.raw)
  given.train.precision = 'float8'
  with pytest.raises(UserError, match='config.train.precision'):
    schema.from_mapping(given)


def test_a_run_of_more_devices_is_read_here(tmp_path):
  """As one that a pod has made, on a laptop."""
  workdir = tmp_path / 'run'
  given = small.modadd_config(steps=2)
  loop.run(schema.from_mapping(given), workdir, lambda line: None)
  raw = {**schema.plain(given)}
  raw['seeds'] = {**raw['seeds'], 'devices': 64, 'devices_per_seed': 32}
  here = schema.on_this_machine(raw)
  assert 'devices' not in here['seeds']
  assert here['seeds']['count'] == 2
  assert schema.on_this_machine(schema.plain(given)) == (schema.plain(given))


@pytest.mark.nightly
def test_two_devices_share_a_released_model(tmp_path):
  """Each holds a part of every large matrix; the numbers agree."""
  root = tmp_path / 'tiny'
  release.train(root, [0], [0, 4])
  folder = root / 'tiny-seed0' / 'step4'
  _, alone = released.load_checkpoint(folder)
  _, shared = released.load_checkpoint(folder, devices=2)
  chex.assert_trees_all_equal(jax.device_get(shared), jax.device_get(alone))
  parts = [x.addressable_shards[0].data.size for x in jax.tree.leaves(shared)]
  assert sum(parts) < 0.51 * sum(x.size for x in jax.tree.leaves(alone))
  given = {
    'release': {'sets': 'patterns'},
    'measures': {
      'choice': {}, 'rank': {'examples': 8}, 'barrier': small.ALL['barrier'],
    },
  }  # fmt: skip
  found = []
  for devices in (1, 2):
    given['release']['devices'] = devices
    workdir = tmp_path / str(devices)
    assert releases.measure(given, root, workdir, log=list) == 2
    found.append(timeseries.load(workdir).load())
  for name in ('accuracy', 'log_prob', 'rankme', 'loss_barrier'):
    np.testing.assert_allclose(
      found[1][name], found[0][name], rtol=1e-3, atol=1e-5, err_msg=name
    )
  given['release']['devices'] = 3
  with pytest.raises(UserError, match='3 devices are to share a model'):
    releases.measure(given, root, tmp_path / '3', log=list)
