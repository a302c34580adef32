"""What a run would take: parameters, schedule, disk, memory and time.

Within about a minute at any size: what is cheap is compiled and timed for one
seed; the rest is told from its floating-point operations, counted without
compiling, at the rate of a matrix product on this machine. Each line says
which.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from emergence_jax.base import prng
from emergence_jax.base.progress import duration, size
from emergence_jax.base.types import Measure
from emergence_jax.config import measures as measure_specs
from emergence_jax.config import schema
from emergence_jax.machine import flops, memory, mesh
from emergence_jax.running import levers, programs
from emergence_jax.running.sources import measuring

# Seconds: a call that would take longer is not timed, and after so many no
# more programs are compiled.
_LONGEST_CALL, _BUDGET = 3.0, 25.0
# Of a matrix product's rate, by what programs of a small decoder reach.
_REACHED = 0.6


def _schedule(steps: np.ndarray) -> str:
  """Checkpoints as runs of equal strides: `0, 20 … 1,000 by 20; …`."""
  parts, i = [f'{steps[0]:,}'], 0
  while i < len(steps) - 1:
    stride = steps[i + 1] - steps[i]
    j = i + 1
    while j + 1 < len(steps) and steps[j + 1] - steps[j] == stride:
      j += 1
    parts.append(f'every {stride:,} to {steps[j]:,}')
    i = j
  return ', '.join(parts)


def _tree_bytes(tree) -> int:
  return sum(
    math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree)
  )


def timeseries_bytes(config: schema.Config) -> int:
  """Bytes of a finished timeseries before compression."""
  total = 0
  for name, spec in config.measures.items():
    measure = config.built[name]
    for field in measure.fields.values():
      cells = math.prod(len(measure.coords[d]) for d in field.dims)
      rows = len(spec.due(config.steps))
      total += cells * rows * np.dtype(field.dtype).itemsize
  return config.members * (total + 2 * 4 * config.train.steps)


def saved_count(config: schema.Config) -> int:
  """Saved populations on the disk at the end of a run."""
  options = config.checkpoints
  steps = options.saved(config.steps)
  if not options.keep:
    return len(steps)
  kept = set(steps[-options.keep :])
  if options.keep_period:
    kept |= {s for s in steps if s % options.keep_period == 0}
  return len(kept)


class _Work(NamedTuple):
  """A program of one seed.

  Attributes:
    name: in the table.
    fn: the program.
    shapes: of its arguments.
    make: makes them; of random weights, since those of zeros may leave work
      undone.
    times: how often it is called in the run.
    flops: operations of one call.
  """

  name: str
  fn: Callable
  shapes: tuple
  make: Callable[[], tuple]
  times: int
  flops: float


def _with_layers(config: schema.Config, layers: int) -> schema.Config:
  shape: Any = config.model  # a dataclass
  model = dataclasses.replace(shape, num_layers=layers)
  return dataclasses.replace(config, model=model)


def _counted(config: schema.Config, build: Callable) -> float:
  """Operations of a program; of a deep model from one and two of its layers.

  Every layer costs the same, and tracing all of them takes long.

  Args:
    config: of the run.
    build: configuration → program and shapes of its arguments.
  """
  layers = config.model.num_layers
  if layers <= 2:
    fn, arguments = build(config)
    return flops.count(fn, *arguments)
  of_one, of_two = (
    flops.count(fn, *arguments)
    for fn, arguments in (build(_with_layers(config, n)) for n in (1, 2))
  )
  return of_one + (layers - 1) * (of_two - of_one)


def _params(config: schema.Config):
  key = jax.random.key(0)
  return jax.eval_shape(config.objective.init, key)


def _member(config: schema.Config):
  """A function that makes the state of one seed, of its levers."""
  return levers.init(config)


def _gradient(config: schema.Config):
  """What nearly all of an update's operations are in."""
  task, seed = config.task, jax.ShapeDtypeStruct((), jnp.int32)
  key = jax.eval_shape(lambda: jax.random.key(0))
  batch = jax.eval_shape(
    lambda s, k: task.train_batch(task.prepare(s), k), seed, key
  )
  return jax.grad(config.objective.loss), (_params(config), batch)


def _measured(name: str, spec) -> Callable:
  """Configuration → a measure's program and shapes of its arguments."""

  def build(config: schema.Config):
    measure: Measure = measure_specs.make(config.objective, name, spec)
    return measure.fn, programs.shapes_of(measure, _params(config))

  return build


def _training(config: schema.Config, member) -> _Work:
  """One update of one seed; `member` has the shapes of its state."""
  own = levers.example(config)
  return _Work(
    'training',
    levers.segment(config),
    (member, levers.shapes(config), jax.ShapeDtypeStruct((), jnp.int32)),
    lambda: (jax.jit(_member(config))(jnp.int32(0), own), own, jnp.int32(1)),
    config.train.steps, _counted(config, _gradient),
  )  # fmt: skip


def _measures(config: schema.Config) -> Iterator[_Work]:
  """Every measure of one seed."""
  pairs = {name for name, measure in config.built.items() if measure.pair}
  times = measuring.times(config.measures, pairs, config.steps)
  shapes = _params(config)
  for name, measure in config.built.items():

    def make(name=name, measure=measure):
      params = jax.jit(config.objective.init)(jax.random.key(1))
      inputs = jax.jit(measure.inputs)(jnp.int32(0))
      key = prng.measure_key(name, 0, 0)
      return (params, inputs, key, *((params,) * measure.pair))

    yield _Work(
      name, measure.fn, programs.shapes_of(measure, shapes), make, times[name],
      _counted(config, _measured(name, config.measures[name])),
    )  # fmt: skip


class _Timed(NamedTuple):
  """Attributes: seconds of one call, and bytes that it needs at once."""

  seconds: float
  peak: int | None


def _time(work: _Work) -> _Timed:
  """Compiles a program for one seed and calls it, warm if that is short."""
  compiled = jax.jit(work.fn).lower(*work.shapes).compile()
  arguments = work.make()
  best = math.inf
  for _ in range(2):
    began = time.monotonic()
    jax.block_until_ready(compiled(*arguments))
    best = min(best, time.monotonic() - began)
    if best > _LONGEST_CALL / 2:
      break
  return _Timed(best, programs.peak_of(compiled))


def _costs(config: schema.Config, member, devices) -> Iterator[str]:
  """Lines of a table: what training and each measure take, cheap ones first."""
  began = time.monotonic()
  rate = flops.matrix_rate(list(devices))
  # Seeds share the devices, which together are faster than one.
  shared = config.members * rate.single / rate.every
  yield f'  {"":<12}{"memory":>10}{"seconds":>10}{"times":>10}{"in all":>17}'
  total, largest = 0.0, 0
  works = [_training(config, member), *_measures(config)]
  works.sort(key=lambda work: work.flops)
  for work in works:
    each, peak = work.flops / (_REACHED * rate.single), None
    how = 'by its operations'
    in_time = time.monotonic() - began < _BUDGET
    if each < _LONGEST_CALL and in_time:
      each, peak = _time(work)
      largest = max(largest, peak or 0)
      how = 'timed'
    whole = work.times * each * shared
    total += whole
    needed = size(peak) if peak else '–'
    yield (
      f'  {work.name:<12}{needed:>10}{each * shared:>10.3g}{work.times:>10,}'
      f'{duration(whole):>17}  {how}'
    )
  yield f'time          about {duration(total)}'
  yield from _fitting(member, largest)


def _fitting(member, largest: int) -> Iterator[str]:
  """Bytes of a seed, and how many seeds the memory holds."""
  # The population and the next while it trains; a copy for measures of pairs;
  # and where devices share the host's memory, what is being saved: its copy,
  # and what is made of it for the disk.
  states = 5 if jax.default_backend() == 'cpu' else 2
  each = states * _tree_bytes(member) + _tree_bytes(member.params)
  left = memory.available() - largest
  yield (
    f'memory        {size(each)} a seed, and what one program needs beside '
    f'them; {max(0, int(left // each)):,} seeds or fewer fit'
  )


def describe(config: schema.Config) -> Iterator[str]:
  """Describes a configuration, line by line, as the lines become known."""
  member = jax.eval_shape(
    _member(config), jax.ShapeDtypeStruct((), jnp.int32), levers.shapes(config)
  )
  seeds = config.members
  saved = seeds * _tree_bytes(member)
  steps, count = config.steps, saved_count(config)
  layout = config.seeds
  devices = mesh.seed_mesh(
    seeds, layout.devices, layout.devices_per_seed
  ).devices.flat
  kind = devices[0].platform
  yield f'parameters    {config.objective.num_params():,} a seed'
  arms = f'{len(config.arms)} arms of ' if config.arms else ''
  yield (
    f'seeds         {arms}{config.seeds.count} on {len(devices)} {kind} devices'
  )
  for arm in config.arms:
    yield f'  arm         {arm.name}'
  yield f'training      {config.train.steps:,} steps'
  yield f'checkpoints   {len(steps)}: {_schedule(steps)}'
  yield 'disk'
  yield f'  timeseries  {size(timeseries_bytes(config))} before compression'
  yield f'  populations {size(saved * count)} ({count} of {size(saved)})'
  yield 'cost          memory of one seed; seconds of all seeds, this machine'
  yield from _costs(config, member, devices)
