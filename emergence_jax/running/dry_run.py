"""What a run would take: parameters, schedule, disk, memory and time.

Within about a minute at any size: what is cheap is compiled and timed for one
seed; the time of the rest is told from its floating-point operations, counted
without compiling, at the rate of a matrix product on this machine. Each line
says which. What can be compiled until then says its memory.
"""

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from emergence_jax.base import prng
from emergence_jax.base.progress import duration, size
from emergence_jax.base.types import Measure
from emergence_jax.config import measures as measure_specs
from emergence_jax.config import schema
from emergence_jax.interventions import intervention
from emergence_jax.machine import compiling, flops, memory, mesh
from emergence_jax.running import levers, programs
from emergence_jax.running.sources import measuring

# Seconds: a call that would take longer is not timed, and after so many no
# more programs are; compiling the others is waited for until the minute is up.
_LONGEST_CALL, _BUDGET, _MINUTE = 3.0, 25.0, 60.0
# Of a matrix product's rate, by what programs of a small decoder reach.
_REACHED = 0.6
# What a run takes beside its programs and seeds, for files, figures and page:
# 270 to 710 MiB in four runs of `python -m experiments.bench memory`.
_FILES_AND_PAGE = 400 * 2**20


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


def _dear_steps(config: schema.Config) -> dict[str, tuple[int, int]]:
  """Label → steps that a member trains while it acts, and the first of them.

  On average over the members; where they are mapped together, all do.
  """
  usual = 1 if jax.default_backend() == 'cpu' else None
  alone = (config.seeds.at_once or usual) == 1
  steps = {}
  for label, own in config.interventions.items():
    spans = intervention.windows([own], config.train.steps)
    acting = sum(arm.intervention == label for arm in config.arms)
    share = acting / len(config.arms) if alone else 1
    length = sum(stop - start for start, stop in spans)
    if spans:
      steps[label] = (round(length * share), spans[0][0])
  return steps


def _training(config: schema.Config, member) -> Iterator[_Work]:
  """One update of one seed, with no intervention and with each.

  Args:
    config: of the run.
    member: shapes of the state of a seed.
  """
  number = jax.ShapeDtypeStruct((), jnp.int32)
  shapes = (member, levers.shapes(config), number, number)
  gradient = _counted(config, _gradient)

  def work(name: str, label: str, first: int, times: int) -> _Work:
    def make():
      own = levers.example(config, label)
      state = jax.jit(_member(config))(jnp.int32(0), own)
      return state, own, jnp.int32(first), jnp.int32(1)

    return _Work(name, levers.segment(config), shapes, make, times, gradient)

  dear = _dear_steps(config)
  plain = config.train.steps - sum(times for times, _ in dear.values())
  yield work('training', '', 0, max(0, plain))
  for label, (times, first) in dear.items():
    yield work(f'with {label}', label, first, times)


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


def _compiled(work: _Work):
  """The program of one seed."""
  return jax.jit(work.fn).lower(*work.shapes).compile()


def _peak(work: _Work) -> int | None:
  """Bytes that it needs, from compiling it alone."""
  return programs.peak_of(_compiled(work))


def _time(work: _Work) -> tuple[float, int | None]:
  """Seconds of a call, warm if that is short, and bytes that it needs."""
  program = _compiled(work)
  arguments = work.make()
  best = math.inf
  for _ in range(2):
    began = time.monotonic()
    jax.block_until_ready(program(*arguments))
    best = min(best, time.monotonic() - began)
    if best > _LONGEST_CALL / 2:
      break
  return best, programs.peak_of(program)


def _compile(works: Sequence[_Work], until: float) -> dict[str, int | None]:
  """Name → bytes, of those that are compiled in time."""
  threads = compiling.InThreads('compiling')
  threads.begin({work.name: functools.partial(_peak, work) for work in works})
  names = [work.name for work in works]
  threads.wait(names, until=lambda: time.monotonic() > until)
  late = set(threads.left(names))
  return {name: threads.result(name) for name in names if name not in late}


def _costs(config: schema.Config, member, devices) -> Iterator[str]:
  """Lines of a table: what training and each measure take, cheap ones first."""
  began = time.monotonic()
  rate = flops.matrix_rate(list(devices))
  # Seeds share the devices, which together are faster than one.
  shared = config.members * rate.single / rate.every
  yield f'  {"":<12}{"memory":>10}{"seconds":>10}{"times":>10}{"in all":>17}'
  total, peaks = 0.0, {}
  works = [*_training(config, member), *_measures(config)]
  works.sort(key=lambda work: work.flops)
  for work in works:
    each = work.flops / (_REACHED * rate.single)
    how = 'by its operations'
    in_time = time.monotonic() - began < _BUDGET
    if each < _LONGEST_CALL and in_time:
      each, peaks[work.name] = _time(work)
      how = 'timed'
    whole = work.times * each * shared
    total += whole
    peak = peaks.get(work.name)
    needed = size(peak) if peak else '–'
    yield (
      f'  {work.name:<12}{needed:>10}{each * shared:>10.3g}{work.times:>10,}'
      f'{duration(whole):>17}  {how}'
    )
  yield f'time          about {duration(total)}'
  untimed = [work for work in works if work.name not in peaks]
  peaks |= _compile(untimed, began + _MINUTE)
  late = [work.name for work in works if work.name not in peaks]
  yield from _fitting(config, member, peaks, late, devices)


def _fitting(config, member, peaks, late, devices) -> Iterator[str]:
  """Bytes of a seed, of the whole, and how many seeds the memory holds.

  Args:
    config: of the run.
    member: shapes of the state of one seed.
    peaks: name of a program → bytes that it needs for one seed.
    late: names of the programs that are not in `peaks`.
    devices: of the run.
  """
  # The population and the next while it trains; a copy for measures of pairs;
  # and where devices share the host's memory, what is being saved: its copy,
  # and what is made of it for the disk.
  on_cpu = jax.default_backend() == 'cpu'
  states = 5 if on_cpu else 2
  each = states * _tree_bytes(member) + _tree_bytes(member.params)
  largest = max((peak for peak in peaks.values() if peak), default=0)
  left = memory.available() - largest
  yield (
    f'memory        {size(each)} a seed, and what one program needs beside '
    f'them; {max(0, int(left // each)):,} seeds or fewer fit'
  )
  own = memory.most_of_process()
  if not on_cpu or own is None:
    return
  # This process has compiled what the run will, and has called it on one
  # device; each device of a CPU calls it for a seed at a time.
  together = min(len(devices), config.members)
  whole = own + config.members * each + together * largest + _FILES_AND_PAGE
  but = f', without compiling and calling {", ".join(late)}' if late else ''
  yield f'  in all      about {size(whole)}, programs included{but}'


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
