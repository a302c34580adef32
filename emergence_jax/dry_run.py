"""What a run would take: parameters, schedule, memory and disk."""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from emergence_jax import config as config_lib
from emergence_jax import specs
from emergence_jax.programs import Programs
from emergence_jax.progress import duration, size

_TIMED_STEPS = 10


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


def timeseries_bytes(config: config_lib.Config) -> int:
  """Bytes of a finished timeseries before compression."""
  total = 0
  for name, spec in config.measures.items():
    measure = specs.make(config.objective, name, spec)
    for field in measure.fields.values():
      cells = math.prod(len(measure.coords[d]) for d in field.dims)
      rows = len(spec.due(config.steps))
      total += cells * rows * np.dtype(field.dtype).itemsize
  return config.seeds.count * (total + 2 * 4 * config.train.steps)


def saved_count(config: config_lib.Config) -> int:
  """Saved populations on the disk at the end of a run."""
  steps, options = config.steps, config.checkpoints
  if not options.keep:
    return len(steps)
  kept = set(steps[-options.keep :].tolist())
  if options.keep_period:
    kept |= {s for s in steps.tolist() if s % options.keep_period == 0}
  return len(kept)


def _rows(config: config_lib.Config, programs: Programs, name: str) -> int:
  """Checkpoints at which a measure is due."""
  due = config.measures[name].due(config.steps)
  # The first checkpoint has none before it.
  return len(due) - (name in programs.pairs and 0 in due)


def _seconds(call: Callable[[], Any]) -> float:
  """Time of a call, warm."""
  jax.block_until_ready(call())
  began = time.monotonic()
  jax.block_until_ready(call())
  return time.monotonic() - began


def costs(config: config_lib.Config, programs: Programs) -> Iterator[str]:
  """Lines of a table: memory and time of each measure and of training."""
  peaks = programs.memory()
  population = programs.init()
  previous = programs.copy(population.params)
  total = 0.0

  def line(name: str, program: str, each: float, times: int) -> str:
    peak, whole = size(peaks.get(program, 0)), duration(times * each)
    return f'  {name:<12}{peak:>10}{each:>11.3g}{times:>10,}{whole:>14}'

  yield f'  {"":12}{"memory":>10}{"seconds":>11}{"times":>10}{"in all":>14}'
  for name, measure in programs.measures.items():
    each = _seconds(lambda m=measure: m(population, previous))
    times = _rows(config, programs, name)
    total += times * each
    yield line(name, name, each, times)
  # Training consumes its population, so it comes last.
  steps = min(_TIMED_STEPS, config.train.steps)
  population, _ = programs.segment(population, steps)
  jax.block_until_ready(population)
  began = time.monotonic()
  jax.block_until_ready(programs.segment(population, steps))
  each = (time.monotonic() - began) / steps
  total += config.train.steps * each
  yield line('training', 'segment', each, config.train.steps)
  yield f'time          about {duration(total)}, by one warm call of each'


def describe(config: config_lib.Config) -> Iterator[str]:
  """Compiles a configuration's programs and describes them, line by line."""
  programs = Programs(config)
  saved = _tree_bytes(programs.abstract_population)
  steps, count = config.steps, saved_count(config)
  yield f'parameters    {config.objective.num_params():,} a seed'
  yield f'seeds         {config.seeds.count} on {programs.layout}'
  yield f'training      {config.train.steps:,} steps'
  yield f'checkpoints   {len(steps)}: {_schedule(steps)}'
  yield 'disk'
  yield f'  timeseries  {size(timeseries_bytes(config))} before compression'
  yield f'  populations {size(saved * count)} ({count} of {size(saved)})'
  yield f'compiling     {duration(programs.compile())}'
  yield 'cost          peak memory on one device; all seeds, this machine'
  yield from costs(config, programs)
