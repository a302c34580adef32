"""The compiled programs of a run: one-seed functions over a population."""

import functools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from emergence_jax.base import prng
from emergence_jax.base.types import Measure, Population, PyTree
from emergence_jax.config import schema
from emergence_jax.config.precision import PRECISIONS
from emergence_jax.machine import compiling
from emergence_jax.machine import mesh as mesh_lib
from emergence_jax.running import levers as levers_lib
from emergence_jax.running import references
from emergence_jax.running.train import Levers

TRAINING = 'training'


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


class _FixedExamples:
  """The fixed examples of some measures, where their programs expect them.

  Those of a kind are made by one program, since measures share most of what
  they are made of, when the first is asked for.

  Args:
    measures: name → measure.
    seeds: int32 [S].
    mesh: where the seeds are.

  Attributes:
    shapes: name → shapes, types and placement.
  """

  def __init__(self, measures: Mapping[str, Measure], seeds, mesh):
    self.shapes: dict[str, PyTree] = {}
    self._makers: dict[str, Callable[[], dict[str, PyTree]]] = {}
    self._made: dict[str, PyTree] = {}
    for per_seed in (True, False):
      of_seed = {
        name: measure.inputs
        for name, measure in measures.items()
        if measure.inputs_per_seed == per_seed
      }
      where = mesh_lib.replicated(mesh)
      if per_seed:
        where = mesh_lib.sharded(mesh, len(seeds))

      def make(seed, of_seed=of_seed):
        return {name: inputs(seed) for name, inputs in of_seed.items()}

      if per_seed:
        make, given = jax.vmap(make), seeds
      else:
        given = np.int32(0)
      shapes = jax.eval_shape(make, given)
      self.shapes |= jax.tree.map(
        lambda x, where=where: jax.ShapeDtypeStruct(
          x.shape, x.dtype, sharding=where
        ),
        shapes,
      )
      maker = functools.partial(compiling.run_once, make, where, given)
      self._makers |= dict.fromkeys(of_seed, maker)

  def __getitem__(self, name: str) -> PyTree:
    if name not in self._made:
      self._made |= self._makers[name]()
    return self._made[name]


class Programs:
  """The compiled programs of a run, each compiled once, in threads.

  Attributes:
    mesh: the seed mesh.
    abstract_population: shapes and shardings of the population.
    segment: (population, steps) → (population, history); consumes its input.
    measures: name → (population, parameters before) → dict of arrays
      [S, ...]; see `pairs`.
    pairs: names of the measures that use the parameters of the checkpoint
      before; the others ignore them.
    work: what is compiled in threads: the measures, and `TRAINING`.
  """

  def __init__(self, config: schema.Config):
    self._config = config
    seeds = config.seeds
    self.mesh = mesh_lib.seed_mesh(
      config.members, seeds.devices, seeds.devices_per_seed
    )
    self._at_once = seeds.at_once or mesh_lib.default_at_once(self.mesh)
    self._sharded = mesh_lib.sharded(self.mesh, config.members)
    self._init = self._map(levers_lib.init(config), per_seed=(True, True))
    self._of_member = self._map(
      levers_lib.segment(config, self._spread),
      per_seed=(True, True, False, False),
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
    self.work = compiling.InThreads('compiling')
    self.measures: dict[str, Callable[[Population, PyTree], dict]] = {}
    self.pairs: set[str] = set()
    # Training consumes its population, so what comes later needs a copy.
    self._where = jax.tree.map(lambda x: x.sharding, self.abstract_population)

    def copy(tree):
      return jax.tree.map(jnp.copy, tree)

    self.copy = jax.jit(copy, out_shardings=self._where.params)
    self.copy_population = jax.jit(copy, out_shardings=self._where)

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
    local = -(-self._config.members // groups)
    at_once = {None: 'all at once', 1: 'one after another'}.get(
      self._at_once, f'{self._at_once} at once'
    )
    plural = 's' if devices > 1 else ''
    shared = devices // groups
    where = 'each' if shared == 1 else f'every {shared}'
    most = 'at most ' if self._config.members % groups else ''
    each = f', {most}{local} on {where}' if local * shared > 1 else ''
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

  def _segment(self, population: Population, levers: Levers, steps: jax.Array):
    return self._of_member(population, levers, population.step[0], steps)

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

  def _begin(self, training: bool, names: Sequence[str]) -> None:
    """Begins to compile, in the order in which programs are needed."""
    names = [name for name in names if name not in self.measures]
    begun: dict[str, Callable[[], Any]] = {}
    if training:
      begun[TRAINING] = self._compile_segment
    fixed = _FixedExamples(
      {name: self._config.built[name] for name in names},
      self._seeds(),
      self.mesh,
    )
    for name in names:
      measure = self._config.built[name]
      if measure.pair:
        self.pairs.add(name)
      at_once = self._config.measures[name].seeds_at_once
      begun[name] = functools.partial(
        self._compile_measure, name, measure, fixed.shapes[name], at_once
      )
      self.measures[name] = self._bind(name, fixed)
    self.work.begin(begun)

  def compile_measures(self, names: Iterable[str]) -> None:
    """Compiles the measures of these names, as the configuration has them."""
    names = list(names)
    self._begin(False, names)
    self.work.wait(names)

  def compile(self, log: Callable[[str], None] = lambda line: None) -> float:
    """Compiles the training, and begins to compile the measures.

    They are compiled beside the training, which need not wait for them; of
    several processes, which are to run the same programs in the same order,
    all are compiled before.

    Args:
      log: takes a line every few seconds, on what is being compiled.

    Returns:
      The seconds it took.
    """
    began = time.monotonic()
    _ = self._levers  # what they refer to may not be there
    last = sorted(
      self._config.measures, key=lambda n: self._config.measures[n].from_step
    )
    self._begin(TRAINING not in self.work, last)
    alone = jax.process_count() == 1
    self.work.wait([TRAINING, *(() if alone else last)], log)
    return time.monotonic() - began

  def ready(self, names: Iterable[str]) -> bool:
    """Whether all the measures of these names are compiled."""
    return not self.work.left(names)

  def program(self, name: str):
    """The compiled program of a measure, or of the `TRAINING`."""
    return self.work.result(name)

  def _bind(self, name: str, fixed: _FixedExamples):
    def call(population: Population, previous: PyTree = None):
      before = (previous,) if name in self.pairs else ()
      program, inputs = self.program(name), fixed[name]
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
    return compiling.run_once(
      self._init, self._where, self._seeds(), self._levers
    )

  def segment(self, population: Population, steps: int):
    """Trains `steps` ≤ `train.MAX_SEGMENT` steps; consumes the population."""
    return self.program(TRAINING)(population, self._levers, np.int32(steps))


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
    program = jax.jit(measure.fn)
    inputs_of = functools.partial(compiling.run_once, measure.inputs, None)
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
