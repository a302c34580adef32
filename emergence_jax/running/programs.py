"""The compiled programs of a run: one-seed functions over a population."""

import functools
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent import futures
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from emergence_jax.base import prng
from emergence_jax.base import progress as progress_lib
from emergence_jax.base.types import Measure, Population, PyTree
from emergence_jax.config import schema
from emergence_jax.config.precision import PRECISIONS
from emergence_jax.machine import mesh as mesh_lib
from emergence_jax.running import levers as levers_lib
from emergence_jax.running import references
from emergence_jax.running.train import Levers


def peak_of(program) -> int | None:
  """Bytes that a compiled program needs at once, if it can be known."""
  stats = program.memory_analysis()
  if stats is None:
    return None
  return (
    stats.argument_size_in_bytes
    + stats.output_size_in_bytes
    + stats.temp_size_in_bytes
    - stats.alias_size_in_bytes
  )


def shapes_of(measure: Measure, params: PyTree) -> tuple[PyTree, ...]:
  """Shapes of the arguments of a measure of one seed.

  Args:
    measure: the measure.
    params: shapes and types of the parameters.
  """
  seed = jax.ShapeDtypeStruct((), jnp.int32)
  inputs = jax.eval_shape(measure.inputs, seed)
  key = jax.eval_shape(lambda: prng.measure_key('', 0, 0))
  return (params, inputs, key, *((params,) * measure.pair))


def _compilers() -> futures.ThreadPoolExecutor:
  """Threads for compiling; several processes compile in the same order."""
  alone = jax.process_count() == 1
  return futures.ThreadPoolExecutor(mesh_lib.available_cores() if alone else 1)


class Programs:
  """The compiled programs of a run, each compiled once, ahead of time.

  Attributes:
    mesh: the seed mesh.
    abstract_population: shapes and shardings of the population.
    segment: (population, steps) → (population, history); consumes its input.
    measures: name → (population, parameters before) → dict of arrays
      [S, ...]; see `pairs`.
    pairs: names of the measures that use the parameters of the checkpoint
      before; the others ignore them.
  """

  def __init__(self, config: schema.Config):
    self._config = config
    seeds = config.seeds
    self.mesh = mesh_lib.seed_mesh(
      config.members, seeds.devices, seeds.devices_per_seed
    )
    self._at_once = seeds.at_once or mesh_lib.default_at_once(self.mesh)
    self._sharded = mesh_lib.sharded(self.mesh)
    self._init = self._map(levers_lib.init(config), per_seed=(True, True))
    self._segment = self._map(
      levers_lib.segment(config, self._spread), per_seed=(True, True, False)
    )
    # References are read from the disk where members are made or trained, and
    # not where a run is measured or loaded.
    self._abstract_levers = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(
        (config.members, *x.shape), x.dtype, sharding=self._sharded
      ),
      levers_lib.shapes(config),
    )
    self.abstract_population: Population = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(
        x.shape, x.dtype, sharding=mesh_lib.placed(self.mesh, x)
      ),
      jax.eval_shape(self._init, self._seeds(), self._abstract_levers),
    )
    self._compiled: dict[str, Any] = {}
    self.measures: dict[str, Callable[[Population, PyTree], dict]] = {}
    self.pairs: set[str] = set()
    # Training consumes its population, so what comes later needs a copy.
    self._where = jax.tree.map(lambda x: x.sharding, self.abstract_population)
    self.copy = jax.jit(
      lambda tree: jax.tree.map(jnp.copy, tree),
      out_shardings=self._where.params,
    )

  @functools.cached_property
  def _levers(self) -> Levers:
    return references.levers(self._config, self._sharded)

  @property
  def layout(self) -> str:
    """The devices and the mapping, in words."""
    devices = self.mesh.devices.size
    kind = self.mesh.devices.flat[0].platform
    processes = len({d.process_index for d in self.mesh.devices.flat})
    groups = self.mesh.shape[mesh_lib.SEED_AXIS]
    local = self._config.members // groups
    at_once = {None: 'all at once', 1: 'one after another'}.get(
      self._at_once, f'{self._at_once} at once'
    )
    plural = 's' if devices > 1 else ''
    shared = devices // groups
    where = 'each' if shared == 1 else f'every {shared}'
    each = f', {local} on {where}' if local * shared > 1 else ''
    each += f', {at_once}' if local > 1 else ''
    of = f' of {processes} processes' if processes > 1 else ''
    idle = jax.device_count() - devices
    if idle > 0 and not self._config.seeds.devices:
      each += f' ({idle} more would take other numbers of seeds)'
    return f'{devices} {kind} device{plural}{of}{each}'

  def _spread(self, batch: PyTree) -> PyTree:
    return mesh_lib.spread_examples(self.mesh, batch)

  def _map(self, fn, per_seed, at_once=None):
    return mesh_lib.map_seeds(
      fn, self.mesh, per_seed=per_seed, at_once=at_once or self._at_once
    )

  def _seeds(self) -> jax.Array:
    numbers = self._config.member_seeds.astype(np.int32)
    return jax.device_put(numbers, self._sharded)

  def _compile_segment(self):
    step = jax.ShapeDtypeStruct((), jnp.int32)
    products = PRECISIONS[self._config.train.precision].products
    jitted = jax.jit(
      self._segment,
      donate_argnums=0,
      out_shardings=(self._where, self._sharded),
    )
    with jax.default_matmul_precision(products):
      return jitted.lower(
        self.abstract_population, self._abstract_levers, step
      ).compile()

  def _inputs(self, measure: Measure) -> PyTree:
    """The inputs of a measure, where its program expects them."""
    if measure.inputs_per_seed:
      make = jax.jit(jax.vmap(measure.inputs), out_shardings=self._sharded)
      return make(self._seeds())
    everywhere = mesh_lib.replicated(self.mesh)
    return jax.jit(measure.inputs, out_shardings=everywhere)(np.int32(0))

  def _compile_measure(self, name: str, measure: Measure, inputs, at_once):
    """Compiles a measure for inputs of these shapes."""

    def of_seed(params, seed, step, inputs, *previous):
      key = prng.measure_key(name, seed, step)
      with jax.named_scope(name):
        return measure.fn(params, inputs, key, *previous)

    abstract = self.abstract_population
    arguments = [abstract.params, abstract.seed, abstract.step, inputs]
    per_seed = [True, True, True, measure.inputs_per_seed]
    if measure.pair:
      arguments.append(abstract.params)
      per_seed.append(True)
    mapped = self._map(of_seed, tuple(per_seed), at_once)
    with jax.default_matmul_precision('highest'):
      return jax.jit(mapped).lower(*arguments).compile()

  def _begin_measures(self, pool, names: Iterable[str]) -> dict[str, tuple]:
    """Name → its program, as a future, and its inputs."""
    begun = {}
    for name in names:
      spec = self._config.measures[name]
      measure = self._config.built[name]
      if measure.pair:
        self.pairs.add(name)
      # Processes run the same programs in the same order, so that only
      # compiling, which runs none, is left to threads.
      inputs = self._inputs(measure)
      program = pool.submit(
        self._compile_measure, name, measure, inputs, spec.seeds_at_once
      )
      begun[name] = program, inputs
    return begun

  def _end_measures(self, begun: dict[str, tuple]) -> None:
    for name, (future, inputs) in begun.items():
      self._compiled[name] = future.result()
      self.measures[name] = self._bind(
        self._compiled[name], inputs, name in self.pairs
      )

  def compile_measures(self, names: Iterable[str]) -> None:
    """Compiles the measures of these names, as the configuration has them."""
    with _compilers() as pool:
      self._end_measures(self._begin_measures(pool, names))

  def compile(self, log: Callable[[str], None] = lambda line: None) -> float:
    """Compiles everything, side by side; returns the seconds it took.

    Args:
      log: takes a line every few seconds, on what is being compiled.
    """
    began = time.monotonic()
    _ = self._levers  # what they refer to may not be there
    with _compilers() as pool:
      segment = pool.submit(self._compile_segment)
      begun = self._begin_measures(pool, self._config.measures)
      begun_as = {'training': segment}
      begun_as |= {name: future for name, (future, _) in begun.items()}
      progress_lib.watch(begun_as, 'compiling', log)
      self._compiled['segment'] = segment.result()
      self._end_measures(begun)
    return time.monotonic() - began

  @staticmethod
  def _bind(program, inputs, pair):
    def call(population: Population, previous: PyTree = None):
      before = (previous,) if pair else ()
      # Measures say by a status what is not a number; who hunts one in
      # training (JAX_DEBUG_NANS) must get as far as that.
      with jax.debug_nans(False):
        return program(
          population.params, population.seed, population.step, inputs, *before
        )

    return call

  def init(self) -> Population:
    """The population that the run begins with."""
    if self._config.start:
      return references.started(self._config, self.abstract_population)
    make = jax.jit(self._init, out_shardings=self._where)
    return make(self._seeds(), self._levers)

  def segment(self, population: Population, steps: int):
    """Trains `steps` ≤ `train.MAX_SEGMENT` steps; consumes the population."""
    return self._compiled['segment'](population, self._levers, np.int32(steps))


class OneSeed:
  """Compiled measures of single seeds, whose parameters have no seed axis.

  Of large models, which are in memory one at a time. They compile when they
  are first called, and once.

  Attributes:
    measures: as of `Programs`; results have a leading axis of one.
    pairs: names of the measures that use the parameters before.
  """

  def __init__(self, measures: Mapping[str, Measure]):
    self.pairs = {n for n, measure in measures.items() if measure.pair}
    self.measures = {n: self._bind(n, m) for n, m in measures.items()}

  def _bind(self, name: str, measure: Measure):
    program, inputs_of = jax.jit(measure.fn), jax.jit(measure.inputs)
    # Those of the seed that was measured last.
    made: dict[int, PyTree] = {}

    def call(population: Population, previous: PyTree = None):
      seed = int(population.seed[0])
      own = seed if measure.inputs_per_seed else 0
      if own not in made:
        made.clear()
        made[own] = inputs_of(jnp.int32(own))
      key = prng.measure_key(name, seed, population.step[0])
      before = (previous,) if measure.pair else ()
      with jax.debug_nans(False), jax.default_matmul_precision('highest'):
        result = program(population.params, made[own], key, *before)
      return {k: jax.device_get(v)[None] for k, v in result.items()}

    return call
