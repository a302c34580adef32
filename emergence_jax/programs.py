"""The compiled programs of a run: one-seed functions over a population."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp

from emergence_jax import config as config_lib
from emergence_jax import mesh as mesh_lib
from emergence_jax import optim, prng, train
from emergence_jax.types import Population, PyTree


class Programs:
  """Everything of a run that is compiled, ahead of time and once each.

  Attributes:
    mesh: the seed mesh.
    abstract_population: shapes and shardings of the population.
    segment: (population, steps) → (population, history); consumes its input.
    measures: name → (population, parameters before) → dict of arrays
      [S, ...]; see `pairs`.
    pairs: names of the measures that use the parameters of the checkpoint
      before; the others ignore them.
  """

  def __init__(self, config: config_lib.Config):
    self._config = config
    seeds = config.seeds
    self.mesh = mesh_lib.seed_mesh(seeds.count, seeds.devices)
    self._chunk = seeds.chunk or mesh_lib.default_chunk(self.mesh)
    self._sharded = mesh_lib.sharded(self.mesh)
    optimizer = optim.make(config.optimizer, config.train.steps)
    objective = config.objective
    self._init = self._map(
      train.make_init(objective, optimizer), per_seed=(True,)
    )
    self._segment = self._map(
      train.make_segment(objective, optimizer), per_seed=(True, False)
    )
    self.abstract_population: Population = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self._sharded),
      jax.eval_shape(self._init, self._seeds()),
    )
    self._compiled: dict[str, Any] = {}
    self.measures: dict[str, Callable[[Population, PyTree], dict]] = {}
    self.pairs: set[str] = set()
    # Training consumes its population, so what comes later needs a copy.
    self.copy = jax.jit(lambda tree: jax.tree.map(jnp.copy, tree))

  @property
  def layout(self) -> str:
    """The devices and the mapping, in words."""
    devices = self.mesh.devices.size
    kind = self.mesh.devices.flat[0].platform
    local = self._config.seeds.count // devices
    at_once = {0: 'all at once', 1: 'one after another'}.get(
      self._chunk, f'{self._chunk} at once'
    )
    plural = 's' if devices > 1 else ''
    each = '' if local == 1 else f', {local} on each, {at_once}'
    return f'{devices} {kind} device{plural}{each}'

  def _map(self, fn, per_seed, chunk=0):
    return mesh_lib.map_seeds(
      fn, self.mesh, per_seed=per_seed, chunk=chunk or self._chunk
    )

  def _seeds(self) -> jax.Array:
    seeds = self._config.seeds
    numbers = jnp.arange(
      seeds.first, seeds.first + seeds.count, dtype=jnp.int32
    )
    return jax.device_put(numbers, self._sharded)

  def _compile_segment(self):
    step = jax.ShapeDtypeStruct((), jnp.int32)
    jitted = jax.jit(self._segment, donate_argnums=0)
    return jitted.lower(self.abstract_population, step).compile()

  def _compile_measure(self, name: str, spec):
    """Compiles a measure and places its probe; returns both."""
    measure = config_lib.build_measure(self._config, name, spec)
    if measure.probe_per_seed:
      probe = jax.jit(jax.vmap(measure.probe), out_shardings=self._sharded)(
        self._seeds()
      )
    else:
      everywhere = mesh_lib.replicated(self.mesh)
      probe = jax.jit(measure.probe, out_shardings=everywhere)(jnp.int32(0))

    def one(params, seed, step, probe, *previous):
      key = prng.measure_key(name, seed, step)
      return measure.fn(params, probe, key, *previous)

    abstract = self.abstract_population
    arguments = [abstract.params, abstract.seed, abstract.step, probe]
    per_seed = [True, True, True, measure.probe_per_seed]
    if measure.pair:
      self.pairs.add(name)
      arguments.append(abstract.params)
      per_seed.append(True)
    mapped = self._map(one, tuple(per_seed), spec.chunk)
    return jax.jit(mapped).lower(*arguments).compile(), probe

  def compile_measures(self, names: Iterable[str]) -> None:
    """Compiles the measures of these names, as the configuration has them."""
    for name in names:
      program, probe = self._compile_measure(name, self._config.measures[name])
      self._compiled[name] = program
      self.measures[name] = self._bind(program, probe, name in self.pairs)

  def compile(self) -> float:
    """Compiles everything; returns the seconds it took."""
    began = time.monotonic()
    self._compiled['segment'] = self._compile_segment()
    self.compile_measures(self._config.measures)
    return time.monotonic() - began

  @staticmethod
  def _bind(program, probe, pair):
    def call(population: Population, previous: PyTree = None):
      before = (previous,) if pair else ()
      # Measures say by a status what is not a number; who hunts one in
      # training (JAX_DEBUG_NANS) must get as far as that.
      with jax.debug_nans(False):
        return program(
          population.params, population.seed, population.step, probe, *before
        )

    return call

  def init(self) -> Population:
    """The population at step 0."""
    return jax.jit(self._init)(self._seeds())

  def segment(self, population: Population, steps: int):
    """Trains `steps` ≤ `train.MAX_SEGMENT` steps; consumes the population."""
    return self._compiled['segment'](population, jnp.int32(steps))

  def memory(self) -> dict[str, int]:
    """Peak bytes of each compiled program on one device, by its analysis."""
    peaks = {}
    for name, program in self._compiled.items():
      stats = program.memory_analysis()
      if stats is not None:
        peaks[name] = (
          stats.argument_size_in_bytes
          + stats.output_size_in_bytes
          + stats.temp_size_in_bytes
          - stats.alias_size_in_bytes
        )
    return peaks
