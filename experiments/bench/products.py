"""`bench products`: what a training step of one seed on one device is made of.

All matrix products of the gradient are taken from its traced program, and each
is timed by itself, in the shapes that it has; so are the parts that are none.
What they add up to is the limit of a step that computes nothing twice and
nothing at the same time.
"""

import collections
import json
import sys
import time

from experiments.bench import peers, train
from experiments.bench.formatting import Table

_KINDS = {
  'mod-31 (default job)': ('modadd', {}),
  'mod-113, batch 256': ('modadd:113', {'batch_size': 256}),
  'nano': ('algorithmic:nano', {}),
}
_SECONDS = 0.3


def _equations(jaxpr):
  """All equations of a program, those of programs within it too."""
  from emergence_jax.machine import flops

  for equation in jaxpr.eqns:
    yield equation
    for program in flops.inner(equation.params):
      yield from _equations(program)


def _products(fn, *args) -> collections.Counter:
  """(shapes, dimensions) of each product → how often it is there."""
  import jax

  closed = jax.make_jaxpr(fn)(*args)
  return collections.Counter(
    (*(x.aval.shape for x in e.invars), e.params['dimension_numbers'])
    for e in _equations(closed.jaxpr)
    if e.primitive.name == 'dot_general'
  )


def _seconds(fn, *args) -> float:
  """Seconds of a call among many, in one program."""
  import jax

  def many(count, args):
    def once(i, carry):
      del i
      args, made = carry
      # Each call depends on the one before, and all of its result is kept.
      some = sum(1e-9 * x.ravel()[0] for x in jax.tree.leaves(made))
      args = jax.tree.map(lambda x: x.at[(0,) * x.ndim].add(some), args)
      return args, fn(*args)

    return jax.lax.fori_loop(0, count, once, (args, fn(*args)))[1]

  program = jax.jit(many)
  jax.block_until_ready(program(1, args))
  count, spent = 1, 0.0
  while spent < _SECONDS:
    count = 4 * count
    began = time.perf_counter()
    jax.block_until_ready(program(count, args))
    spent = time.perf_counter() - began
  times = []
  for _ in range(3):
    began = time.perf_counter()
    jax.block_until_ready(program(count, args))
    times.append((time.perf_counter() - began) / count)
  return min(times)


def _both_ways(fn):
  """A function with its gradient."""
  import jax

  def both(x):
    y, back = jax.vjp(fn, x)
    return y, back(y)

  return both


def _others(config, batch) -> dict[str, float]:
  """Seconds of what is no product, forth and back, of a step."""
  import jax
  import jax.numpy as jnp
  from flax import linen as nn

  from emergence_jax.running import levers as levers_lib

  model, objective = config.model, config.objective
  rows, length = batch.tokens.shape[0], batch.tokens.shape[1] - 1
  # The last block computes the places that are scored.
  queries = objective.exams.num_scored or length
  places = rows * ((model.num_layers - 1) * length + queries)
  wide = jnp.ones((places, model.d_ff))
  stream = jnp.ones((2 * places + rows * queries, model.d_model))
  scores = jnp.ones((places, model.num_heads, length))

  def norm(x):
    x = x - x.mean(-1, keepdims=True)
    return x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6)

  activation = nn.gelu if model.activation == 'gelu' else nn.relu
  parts = {
    model.activation: _seconds(_both_ways(activation), wide),
    'softmax': _seconds(_both_ways(nn.softmax), scores),
  }
  if model.norm:
    parts['LayerNorm'] = _seconds(_both_ways(norm), stream)
  params = objective.init(jax.random.key(0))
  numbers = levers_lib.example(config).numbers
  optimiser = levers_lib.optimizer(config)(numbers)
  state = optimiser.init(params)
  parts['optimiser'] = _seconds(
    lambda p: optimiser.update(p, state, p)[0], params
  )
  return parts


def _measure(request: dict) -> dict:
  """The parts of one workload, in a process with one device."""
  import jax
  import jax.numpy as jnp

  from emergence_jax.cli import config_flag
  from emergence_jax.config import schema
  from emergence_jax.machine import flops
  from emergence_jax.running.programs import Programs

  jax.config.update('jax_num_cpu_devices', 1)
  name, task = _KINDS[request['name']]
  raw = config_flag.load(name)
  raw['measures'], raw['seeds'] = {}, {'count': 1}
  raw['task'].update(task)
  config = schema.from_mapping(raw)
  objective = config.objective
  params = objective.init(jax.random.key(0))
  batch = config.task.train_batch(config.task.prepare(0), jax.random.key(1))
  rows, total = [], 0.0
  counted = _products(jax.value_and_grad(objective.loss), params, batch)
  for (left, right, dimensions), times in counted.items():

    def product(a, b, dimensions=dimensions):
      return jax.lax.dot_general(a, b, dimensions)

    sides = jnp.ones(left), jnp.ones(right)
    operations = flops.count(product, *sides)
    seconds = _seconds(product, *sides)
    total += times * seconds
    rows.append([f'{left} × {right}', times, operations, seconds])
  programs = Programs(config)
  programs.compile()
  population = programs.init()
  steps, best = request['steps'], float('inf')
  for _ in range(4):
    began = time.perf_counter()
    population, _ = jax.block_until_ready(programs.segment(population, steps))
    best = min(best, (time.perf_counter() - began) / steps)
  return {
    'products': rows, 'seconds': total, 'step': best,
    'others': _others(config, batch),
  }  # fmt: skip


def run(folder: str | None, seeds: int, *, with_peers: bool) -> list[Table]:
  """Each workload by itself."""
  del folder, seeds, with_peers
  peak, tables = train.matmul_peak(), []
  for name in _KINDS:
    made = peers.last_json(
      sys.executable, '-m', 'experiments.bench.products',
      json.dumps({'name': name, 'steps': 20}),
    )  # fmt: skip
    step = made['step']
    rows = [
      [shape, times, operations / seconds / 1e9, 1e3 * times * seconds,
       f'{times * seconds / step:.0%}']
      for shape, times, operations, seconds in sorted(
        made['products'], key=lambda row: -row[1] * row[3]
      )
    ]  # fmt: skip
    operations = sum(row[1] * row[2] for row in made['products'])
    seconds = made['seconds']
    rows.append([
      'all products', None, operations / seconds / 1e9, 1e3 * seconds,
      f'{seconds / step:.0%}',
    ])  # fmt: skip
    for part, seconds in made['others'].items():
      rows.append([part, None, None, 1e3 * seconds, f'{seconds / step:.0%}'])
    rows.append(['the step', None, operations / step / 1e9, 1e3 * step, '100%'])
    tables.append(
      Table(
        f'{name}: a step of one seed on one device, of all cores',
        ['what', 'times', 'GFLOP/s', 'ms', 'of the step'],
        rows,
        [f'A large product runs at {peak / 1e9:.0f} GFLOP/s.'],
      )
    )
  return tables


if __name__ == '__main__':
  print(json.dumps(_measure(json.loads(sys.argv[1]))))
