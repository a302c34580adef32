"""What a run would take: parameters, schedule, memory and disk."""

import math

import jax
import numpy as np

from emergence_jax import config as config_lib
from emergence_jax.programs import Programs
from emergence_jax.progress import duration, size


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
    measure = config_lib.build_measure(config, name, spec)
    for field in measure.fields.values():
      cells = math.prod(len(measure.coords[d]) for d in field.dims)
      rows = math.ceil(len(config.steps) / spec.every)
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


def describe(config: config_lib.Config) -> str:
  """Compiles a configuration's programs and describes them, in lines."""
  programs = Programs(config)
  seconds = programs.compile()
  saved = _tree_bytes(programs.abstract_population)
  steps, count = config.steps, saved_count(config)
  lines = [
    f'parameters    {config.objective.num_params():,} a seed',
    f'seeds         {config.seeds.count} on {programs.layout}',
    f'training      {config.train.steps:,} steps',
    f'checkpoints   {len(steps)}: {_schedule(steps)}',
    f'compiling     {duration(seconds)}',
    'memory        peak of each program on one device, by its analysis',
  ]
  for name, peak in programs.memory().items():
    lines.append(f'  {name:<11} {size(peak)}')
  lines += [
    'disk',
    f'  timeseries  {size(timeseries_bytes(config))} before compression',
    f'  populations {size(saved * count)} ({count} of {size(saved)})',
  ]
  return '\n'.join(lines)
