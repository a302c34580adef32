"""One timing of our own training, in a process of its own; prints JSON."""

import json
import sys
import time


def measure(request: dict) -> dict:
  """Times a workload in a layout.

  Args:
    request: `config` (module, argument), `overrides` (group → values),
      `devices`, `at_once` (0: all of them), `seeds`, `steps`, `repeats`.

  Returns:
    `rate`, seed-steps per second (the best of the repeats), `compile`,
    seconds, and `flops` of a seed-step, from the compiled gradient.
  """
  import importlib

  import jax

  jax.config.update('jax_num_cpu_devices', max(1, request['devices']))
  from emergence_jax import config as config_lib
  from emergence_jax import programs

  module, argument = request['config']
  config = importlib.import_module(module).get_config(argument)
  for group, values in request['overrides'].items():
    config[group].update(values)
  config.measures = {}
  config.seeds.update(
    count=request['seeds'],
    devices=request['devices'],
    at_once=request['at_once'] or request['seeds'],
  )
  checked = config_lib.from_mapping(config)
  built = programs.Programs(checked)
  seconds = built.compile()
  population = built.init()
  population, _ = built.segment(population, 3)
  jax.block_until_ready(population)
  steps, best = request['steps'], 0.0
  for _ in range(request['repeats']):
    began = time.perf_counter()
    population, _ = built.segment(population, steps)
    jax.block_until_ready(population)
    spent = time.perf_counter() - began
    best = max(best, request['seeds'] * steps / spent)
  return {'rate': best, 'compile': seconds, 'flops': _flops(checked)}


def _flops(config) -> float:
  """Floating-point operations of one seed's gradient, as XLA counts them."""
  import jax

  objective = config.objective
  task = objective.exams

  def gradient(key):
    params = objective.init(key)
    batch = task.train_batch(task.prepare(0), key)
    return params, batch

  params, batch = jax.eval_shape(gradient, jax.random.key(0))
  compiled = jax.jit(jax.grad(objective.loss)).lower(params, batch).compile()
  cost = compiled.cost_analysis()
  cost = cost[0] if isinstance(cost, list) else cost
  return float(cost['flops'])


if __name__ == '__main__':
  print(json.dumps(measure(json.loads(sys.argv[1]))))
