"""Timings of our own measures, in a process of its own; prints JSON."""

import importlib
import json
import sys
import time


def _best(call, repeats: int = 3) -> float:
  """Seconds of a call, warm, the best of some."""
  import jax

  jax.block_until_ready(call())
  times = []
  for _ in range(repeats):
    began = time.perf_counter()
    jax.block_until_ready(call())
    times.append(time.perf_counter() - began)
  return min(times)


def sgld(request: dict) -> float:
  """Steps of all chains a second, diagnostics included."""
  import jax
  import jax.numpy as jnp

  import emergence_jax as ej
  from emergence_jax.config import schema
  from emergence_jax.config.presets import modadd

  if request['model'] == 'modadd':
    config = schema.from_mapping({
      **modadd.get_config('113').to_dict(), 'measures': {}
    })  # fmt: skip
    objective = config.objective
    params = objective.init(jax.random.key(0))
    data = objective.exams.training_examples(0, jax.random.key(1), 10**6)
    loss = objective.mean_example_loss
  else:
    keys = jax.random.split(jax.random.key(0), 4)
    params = [jax.random.normal(k, (10, 10)) / 10**0.5 for k in keys[:3]]
    data = jax.random.normal(keys[3], (5000, 10))

    def loss(params, x):
      for w in params:
        x = x @ w
      return jnp.mean(x**2)

  @jax.jit
  def run(params, data, key):
    return ej.estimate_llc(
      loss, params, data, key, step_size=1e-6, localization=100.0, nbeta=100.0,
      num_draws=request['steps'], num_burnin=0, num_chains=request['chains'],
      batch_size=request['batch'],
    ).llc  # fmt: skip

  seconds = _best(lambda: run(params, data, jax.random.key(2)))
  return request['chains'] * request['steps'] / seconds


def _nano_problem(batch_size: int):
  """Loss, parameters and a batch of nano."""
  import jax

  from emergence_jax.config import schema
  from emergence_jax.config.presets import algorithmic

  config = schema.from_mapping({
    **algorithmic.get_config('nano').to_dict(), 'measures': {}
  })  # fmt: skip
  objective = config.objective
  params = objective.init(jax.random.key(0))
  batch = objective.exams.training_examples(0, jax.random.key(1), batch_size)
  return objective.loss, params, batch


def lanczos(request: dict) -> float:
  """Seconds of the top five eigenvalues of nano by 30 Lanczos steps.

  `way` is `counted` (what we offer: a further look for repeated ones),
  `plain` (one sequence alone), or `eigsh` (SciPy's, on the same products).
  """
  import jax
  import numpy as np
  from scipy.sparse import linalg as sparse

  import emergence_jax as ej
  from emergence_jax.numerics import krylov, leaves, operators

  loss, params, batch = _nano_problem(request['batch'])
  key, way = jax.random.key(2), request.get('way', 'counted')

  @jax.jit
  def counted(params, batch, key):
    return ej.hessian_eigenvalues(loss, params, batch, key, k=5, num_matvecs=30)

  @jax.jit
  def plain(params, batch, key):
    flat_P, _ = leaves.ravel(params)
    product = operators.hessian(loss, params, batch)
    return krylov.ritz(
      krylov.lanczos(
        product, flat_P.size, key, num_matvecs=30, dtype=flat_P.dtype
      )
    )

  product = jax.jit(lambda v_P: operators.hessian(loss, params, batch)(v_P))
  size = leaves.ravel(params)[0].size

  def eigsh():
    operator = sparse.LinearOperator(
      (size, size), lambda v: np.asarray(product(np.float32(v).ravel())),
      dtype=np.float32,
    )  # fmt: skip
    return sparse.eigsh(operator, 5, which='LA', ncv=30, tol=1e-3)

  calls = {
    'counted': lambda: counted(params, batch, key),
    'plain': lambda: plain(params, batch, key),
    'eigsh': eigsh,
  }
  return _best(calls[way], 2)


def nano(request: dict) -> dict:
  """Seconds of each measure, with the options of the configuration."""
  import jax
  import jax.numpy as jnp

  from emergence_jax.config import measures as measure_specs
  from emergence_jax.config import schema

  module, argument = request.get('config', ('configs.algorithmic', 'nano'))
  given = importlib.import_module(module).get_config(argument)
  config = schema.from_mapping(given)
  params = jax.jit(config.objective.init)(jax.random.key(0))
  seconds = {}
  for name, spec in config.measures.items():
    measure = measure_specs.make(config.objective, name, spec)
    probe = jax.jit(measure.inputs)(jnp.int32(0))
    arguments = (params, probe, jax.random.key(1)) + (params,) * measure.pair
    compiled = jax.jit(measure.fn).lower(*arguments).compile()
    began = time.perf_counter()
    jax.block_until_ready(compiled(*arguments))
    seconds[name] = time.perf_counter() - began
  return seconds


def population(request: dict) -> dict:
  """Seconds of each measure of many seeds at once, as in a run; of two calls.

  Returns:
    `step`, seconds of a training step of all seeds; `measures`, name →
    seconds; `compile`, name → seconds of compiling it, one after the other.
    Each is printed to stderr as it is known.
  """
  import jax

  from emergence_jax.config import schema
  from emergence_jax.running import programs

  module, argument = request['config']
  config = importlib.import_module(module).get_config(argument)
  config.seeds.update(count=request['seeds'], devices=1)
  checked = schema.from_mapping(config)
  built = programs.Programs(checked)
  compiling = {}
  for name in checked.measures:
    began = time.perf_counter()
    built.compile_measures([name])
    compiling[name] = time.perf_counter() - began
    print(f'{name}: compiled in {compiling[name]:.0f} s', file=sys.stderr)
  built.compile()
  state = built.init()
  # Of weights that have left their initial values a little.
  state, _ = jax.block_until_ready(built.segment(state, 1))
  steps = request['steps']
  began = time.perf_counter()
  state, _ = jax.block_until_ready(built.segment(state, steps))
  step = (time.perf_counter() - began) / steps
  times = {'step': step, 'measures': {}, 'compile': compiling}
  for name, measure in built.measures.items():
    seconds = _best(lambda m=measure: m(state, state.params), 1)
    times['measures'][name] = seconds
    print(f'{name}: {seconds:.3f} s', file=sys.stderr, flush=True)
  return times


def main():
  """Runs what the request names."""
  request = json.loads(sys.argv[1])
  if request['what'] == 'population':
    print(json.dumps(population(request)))
    return
  if request['what'] == 'nano':
    print(json.dumps(nano(request)))
    return
  run = {'sgld': sgld, 'lanczos': lanczos}[request['what']]
  print(json.dumps({'value': run(request)}))


if __name__ == '__main__':
  main()
