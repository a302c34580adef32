"""Training a population: what a seed's trajectory may depend on."""

import chex
import jax
import numpy as np
import pytest

from emergence_jax.base.types import UserError
from emergence_jax.config import optimizer, schema
from emergence_jax.running import programs, train
from tests import small, tiers


def compiled(config):
  built = programs.Programs(schema.from_mapping(config))
  built.compile()
  return built


def run(config, *lengths):
  """Trains in segments; returns the population and per-step losses."""
  config.measures = {}
  built = compiled(config)
  population, losses = built.init(), []
  for steps in lengths:
    population, history = built.segment(population, steps)
    losses.append(np.asarray(history.loss)[:, :steps])
  return jax.device_get(population), np.concatenate(losses, 1)


def test_one_trace_serves_every_segment(monkeypatch):
  traces = []
  segment = train.make_segment

  def counting(*args):
    inner = segment(*args)

    def traced(member, levers, first, steps):
      traces.append(1)
      return inner(member, levers, first, steps)

    return traced

  monkeypatch.setattr(train, 'make_segment', counting)
  run(small.modadd_config(), 1, 2, 3)
  assert len(traces) == 1


@pytest.mark.parametrize(
  'make', tiers.some([small.modadd_config, small.algorithmic_config])
)
def test_cutting_into_segments_changes_nothing(make):
  whole, losses = run(make(), 4)
  parts, losses_parts = run(make(), 1, 3)
  chex.assert_trees_all_equal(whole, parts)
  np.testing.assert_array_equal(losses, losses_parts)
  assert whole.step.tolist() == [4, 4]
  assert np.isfinite(losses).all()


@pytest.mark.nightly
def test_a_seed_does_not_see_its_neighbours():
  four, _ = run(small.modadd_config(count=4), 5)
  alone = small.modadd_config(count=1, seeds=dict(first=2))
  one, _ = run(alone, 5)
  chex.assert_trees_all_close(
    jax.tree.map(lambda x: x[2:3], four), one, rtol=1e-5, atol=1e-7
  )


@pytest.mark.parametrize('at_once', [2, 3])
@pytest.mark.nightly
def test_mappings_agree_to_rounding(at_once):
  mapped, loss_mapped = run(small.modadd_config(count=4), 5)
  grouped, loss_grouped = run(
    small.modadd_config(count=4, seeds=dict(at_once=at_once, devices=1)), 5
  )
  np.testing.assert_allclose(loss_mapped, loss_grouped, rtol=1e-4)
  chex.assert_trees_all_close(
    mapped.params, grouped.params, rtol=1e-3, atol=1e-5
  )


def test_seeds_differ():
  population, losses = run(small.modadd_config(), 3)
  assert losses[0, 0] != losses[1, 0]
  first, second = (
    jax.tree.map(lambda x, i=i: x[i], population.params) for i in (0, 1)
  )
  with pytest.raises(AssertionError):
    chex.assert_trees_all_equal(first, second)


def test_no_host_transfer_inside_a_segment():
  built = compiled(small.modadd_config())
  population = built.init()
  steps = jax.device_put(
    np.int32(3), jax.sharding.NamedSharding(built.mesh, jax.P())
  )
  with jax.transfer_guard('disallow'):
    program = built.program(programs.TRAINING)
    population, history = program(population, built._levers, steps)
    jax.block_until_ready((population, history))
  assert population.step[0] == 3


def test_measures_leave_training_alone():
  without, _ = run(small.modadd_config(), 2, 2)
  built = compiled(small.modadd_config())
  population = built.init()
  for _ in range(2):
    population, _ = built.segment(population, 2)
    for measure in built.measures.values():
      jax.block_until_ready(measure(population, built.copy(population.params)))
  chex.assert_trees_all_equal(without, jax.device_get(population))


def test_training_lowers_the_loss():
  config = small.modadd_config(steps=400)
  _, losses = run(config, 400)
  # The lowest of the last steps: at this rate the loss has spikes.
  assert (losses[:, -100:].min(1) < losses[:, 0] / 2).all()


def test_learning_rate_schedule():
  options = optimizer.OptimizerConfig(rate=2.0, warmup=10)
  rate = optimizer.schedule(options, 110)
  found = [float(rate(i)) for i in (0, 5, 10, 60, 110)]
  np.testing.assert_allclose(found, [0, 1, 2, 1, 0], atol=1e-6)
  constant = optimizer.schedule(
    optimizer.OptimizerConfig(rate=2.0, warmup=10, decay='constant'), 50
  )
  np.testing.assert_allclose([constant(5), constant(40)], [1, 2])


def test_schedule_refuses_a_warmup_without_a_rest():
  with pytest.raises(UserError, match='warmup=10'):
    optimizer.schedule(optimizer.OptimizerConfig(warmup=10), 10)
