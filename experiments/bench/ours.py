"""One timing of our own training, in a process of its own; prints JSON."""

import contextlib
import json
import sys
import time


def _joined(request: dict):
  """Several processes, if the request says so."""
  if request.get('processes', 1) == 1:
    return contextlib.nullcontext()
  from emergence_jax.machine import processes

  return processes.joined(
    processes.Options(
      coordinator_address=request['address'],
      num_processes=request['processes'],
      process_id=request['process'],
    )
  )


def measure(request: dict) -> dict:
  """Times a workload in a layout.

  Args:
    request: `config` (module, argument), `overrides` (group → values),
      `devices`, `at_once` (0: all of them), `seeds`, `steps`, `repeats`; of
      several processes also `processes`, `process` and `address`.

  Returns:
    `rate`, seed-steps per second (the best of the repeats), `compile`,
    seconds, `flops` of a seed-step, from the compiled gradient, `plain_flops`,
    the same if every sequence were computed for itself, `bytes` of the
    population and `parameters` of a seed.
  """
  import importlib

  import jax

  count = request.get('processes', 1)
  jax.config.update('jax_num_cpu_devices', max(1, request['devices'] // count))
  from emergence_jax.config import schema
  from emergence_jax.machine import processes
  from emergence_jax.running import programs

  module, argument = request['config']
  config = importlib.import_module(module).get_config(argument)
  for group, values in request['overrides'].items():
    config[group] = {**config.get(group, {}), **values}
  config.measures = {}
  config.seeds.update(
    count=request['seeds'],
    devices=request['devices'],
    at_once=request['at_once'] or request['seeds'],
  )
  checked = schema.from_mapping(config)
  built = programs.Programs(checked)
  seconds = built.compile()
  population = built.init()
  population, _ = built.segment(population, 1)
  jax.block_until_ready(population)
  steps, best = request['steps'], 0.0
  for _ in range(request['repeats']):
    began = time.perf_counter()
    population, history = built.segment(population, steps)
    # As in a run: the losses come to the host, and processes meet.
    processes.to_host(history)
    spent = max(processes.exchange(time.perf_counter() - began))
    best = max(best, request['seeds'] * steps / spent)
  return {
    'rate': best,
    'compile': seconds,
    **({} if count > 1 else _flops(checked)),
    'bytes': sum(x.nbytes for x in jax.tree.leaves(population)),
    'parameters': checked.objective.num_params(),
  }


def _flops(config) -> dict[str, float]:
  """Floating-point operations of one seed's gradient, as XLA counts them.

  Those of a few sequences, times how many there are, are what the plain
  computation takes: of so few no keys and values are looked up.
  """
  import jax

  from emergence_jax.machine import flops

  objective = config.objective
  task = objective.exams

  def gradient(key):
    params = objective.init(key)
    batch = task.train_batch(task.prepare(0), key)
    return params, batch

  params, batch = jax.eval_shape(gradient, jax.random.key(0))
  size = batch.tokens.shape[0]
  few = min(size, config.task.vocab_size)
  some = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct((few, *x.shape[1:]), x.dtype), batch
  )

  def counted(batch):
    if jax.default_backend() != 'cpu':
      # XLA does not look into the libraries that multiply there.
      return flops.count(jax.grad(objective.loss), params, batch)
    compiled = jax.jit(jax.grad(objective.loss)).lower(params, batch).compile()
    cost = compiled.cost_analysis()
    return float((cost[0] if isinstance(cost, list) else cost)['flops'])

  return {'flops': counted(batch), 'plain_flops': counted(some) * size / few}


def main(request: dict) -> None:
  """Prints what was measured."""
  with _joined(request):
    result = measure(request)
  print(json.dumps(result))


if __name__ == '__main__':
  main(json.loads(sys.argv[1]))
