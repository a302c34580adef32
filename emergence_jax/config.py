"""A run's configuration: its schema, checked once, and what it builds."""

import dataclasses
import difflib
import inspect
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from emergence_jax import optim, schedule
from emergence_jax.measures import MEASURES
from emergence_jax.models import gpt
from emergence_jax.objective import Objective
from emergence_jax.tasks import TASKS
from emergence_jax.types import MeasureSpec, UserError


@dataclasses.dataclass(frozen=True)
class SeedsConfig:
  """Which seeds, and how they share the devices.

  Attributes:
    count: number of seeds.
    first: number of the first one; the others follow it.
    devices: devices to spread them over; 0 takes what fits.
    chunk: seeds at once on a device; 0 is one on a CPU, all on accelerators.
  """

  count: int = 8
  first: int = 0
  devices: int = 0
  chunk: int = 0


@dataclasses.dataclass(frozen=True)
class TrainConfig:
  """Attributes: steps: number of updates."""

  steps: int = 100_000


@dataclasses.dataclass(frozen=True)
class CheckpointsConfig:
  """When to measure and save, and what to keep.

  Attributes:
    schedule: see `schedule.checkpoint_steps`.
    keep: newest saved populations to keep; 0 keeps all.
    keep_period: also keep those of steps that are multiples of it; 0: none.
  """

  schedule: str = '20:1000,100:10000,500:50000,2000'
  keep: int = 3
  keep_period: int = 0


@dataclasses.dataclass(frozen=True)
class Config:
  """A checked configuration.

  Attributes:
    task: the task.
    model: the decoder's shape.
    optimizer: the optimiser's options.
    train: training length.
    seeds: the population.
    checkpoints: the schedule.
    measures: name → when, how.
    raw: the same as plain JSON values, as it was given.
  """

  task: Any
  model: gpt.GPTConfig
  optimizer: optim.OptimizerConfig
  train: TrainConfig
  seeds: SeedsConfig
  checkpoints: CheckpointsConfig
  measures: Mapping[str, MeasureSpec]
  raw: Mapping[str, Any]

  @property
  def objective(self) -> Objective:
    """The model under the task."""
    return Objective(gpt.GPT(self.model, self.task.vocab_size), self.task)

  @property
  def steps(self) -> np.ndarray:
    """The checkpoint schedule, int [C]."""
    return schedule.checkpoint_steps(
      self.checkpoints.schedule,
      self.train.steps,
      steps_per_epoch=self.task.epoch_steps,
    )


# Keys that may change when a run goes on: they move no number beyond rounding.
LAYOUT_KEYS = (
  'seeds.devices',
  'seeds.chunk',
  'checkpoints.keep',
  'checkpoints.keep_period',
)


def closest(word: str, known) -> str:
  """A sentence that names the nearest of the known words, and all of them."""
  known = sorted(known)
  near = difflib.get_close_matches(str(word), known, n=1, cutoff=0.4)
  hint = f'did you mean {near[0]!r}? ' if near else ''
  return f'{hint}known: {", ".join(known)}.'


def choose(key: str, word: str, known: Mapping[str, Any]) -> Any:
  """`known[word]`, or an error that names the key and the nearest word."""
  if word not in known:
    raise UserError(f'{key}={word!r} is unknown; {closest(word, known)}')
  return known[word]


def _check_keys(path: str, given: Mapping[str, Any], known) -> None:
  for key, value in given.items():
    if key not in known:
      raise UserError(
        f'{path}.{key}={value!r} is an unknown key; {closest(key, known)}'
      )


def _check_type(key: str, value: Any, kind: type) -> Any:
  if kind is float and isinstance(value, int) and not isinstance(value, bool):
    return float(value)
  if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
    raise UserError(
      f'{key}={value!r} is of type {type(value).__name__}; it must be '
      f'{kind.__name__}.'
    )
  return value


def _build(path: str, cls: type, given: Mapping[str, Any]) -> Any:
  """An instance of a flat dataclass, its keys and types checked."""
  if not isinstance(given, Mapping):
    raise UserError(f'{path}={given!r} must be a group of keys.')
  fields = {f.name: f for f in dataclasses.fields(cls)}
  _check_keys(path, given, fields)
  missing = [
    name
    for name, f in fields.items()
    if f.default is dataclasses.MISSING and name not in given
  ]
  if missing:
    raise UserError(f'{path}.{missing[0]} is missing.')
  return cls(
    **{
      k: _check_type(f'{path}.{k}', v, fields[k].type) for k, v in given.items()
    }
  )


def _model(given: Mapping[str, Any]) -> gpt.GPTConfig:
  """A shape from `size`, single values overriding it, or all of them."""
  given = dict(given)
  size = given.pop('size', None)
  if size is not None:
    row = choose('config.model.size', size, gpt.SIZES)
    names = ('num_layers', 'd_model', 'num_heads', 'd_ff')
    given = {**dict(zip(names, row)), **given}
  known = {f.name for f in dataclasses.fields(gpt.GPTConfig)} | {'size'}
  _check_keys('config.model', given, known)
  return _build('config.model', gpt.GPTConfig, given)


def _measures(given: Mapping[str, Any]) -> dict[str, MeasureSpec]:
  specs = {}
  for name, options in given.items():
    choose('config.measures', name, MEASURES)
    if options is None:
      continue  # switched off
    options = dict(options)
    path = f'config.measures.{name}'
    every = _check_type(f'{path}.every', options.pop('every', 1), int)
    chunk = _check_type(f'{path}.chunk', options.pop('chunk', 0), int)
    first = _check_type(f'{path}.from_step', options.pop('from_step', 0), int)
    if every < 1 or chunk < 0 or first < 0:
      raise UserError(
        f'{path}: every={every} must be at least 1, chunk={chunk} and '
        f'from_step={first} at least 0.'
      )
    specs[name] = MeasureSpec(every, chunk, options, first)
  return specs


def _plain(value: Any) -> Any:
  """JSON values of nested mappings and tuples."""
  if hasattr(value, 'to_dict'):
    value = value.to_dict()
  return json.loads(json.dumps(value))


def from_mapping(given: Mapping[str, Any]) -> Config:
  """Checks a ConfigDict, or a plain nested dict, from a configuration file.

  Raises:
    UserError: for an unknown key, name or size, a wrong type, or a value out
      of range; it names the key, the value and the remedy.
  """
  raw = _plain(given)
  groups = {f.name for f in dataclasses.fields(Config)} - {'raw'}
  _check_keys('config', raw, groups)
  task = dict(raw.get('task', {}))
  task_class = choose('config.task.name', task.pop('name', None), TASKS)
  config = Config(
    task=_build('config.task', task_class, task),
    model=_model(raw.get('model', {})),
    optimizer=_build(
      'config.optimizer', optim.OptimizerConfig, raw.get('optimizer', {})
    ),
    train=_build('config.train', TrainConfig, raw.get('train', {})),
    seeds=_build('config.seeds', SeedsConfig, raw.get('seeds', {})),
    checkpoints=_build(
      'config.checkpoints', CheckpointsConfig, raw.get('checkpoints', {})
    ),
    measures=_measures(raw.get('measures', {})),
    raw=raw,
  )
  _check_ranges(config)
  return config


def _check_ranges(config: Config) -> None:
  for key, value, least in (
    ('train.steps', config.train.steps, 1),
    ('seeds.count', config.seeds.count, 1),
    ('seeds.first', config.seeds.first, 0),
    ('seeds.devices', config.seeds.devices, 0),
    ('seeds.chunk', config.seeds.chunk, 0),
    ('checkpoints.keep', config.checkpoints.keep, 0),
    ('checkpoints.keep_period', config.checkpoints.keep_period, 0),
  ):
    if value < least:
      raise UserError(f'config.{key}={value} must be at least {least}.')
  if config.task.length - 1 > config.model.num_positions:
    raise UserError(
      f'config.model.num_positions={config.model.num_positions} is less than '
      f'the {config.task.length - 1} tokens of a sequence; raise it.'
    )
  _ = config.steps  # raises for a bad schedule
  optim.schedule(config.optimizer, config.train.steps)
  for name, spec in config.measures.items():
    build_measure(config, name, spec)


def build_measure(config: Config, name: str, spec: MeasureSpec):
  """The `Measure` that a spec asks for.

  Raises:
    UserError: for an option that the measure does not have, or a bad value.
  """
  make = MEASURES[name]
  known = dict(inspect.signature(make).parameters)
  del known['objective']
  path = f'config.measures.{name}'
  _check_keys(
    path, spec.options, known.keys() | {'every', 'chunk', 'from_step'}
  )
  for key, value in spec.options.items():
    _check_type(f'{path}.{key}', value, type(known[key].default))
  return make(config.objective, **spec.options)


def flatten(raw: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
  """Nested mapping → {'seeds.count': 8, …}; an empty group is a value too.

  >>> flatten({'measures': {'rank': {}, 'llc': {'every': 2}}})
  {'measures.rank': {}, 'measures.llc.every': 2}
  """
  flat = {}
  for key, value in raw.items():
    if isinstance(value, Mapping) and value:
      flat |= flatten(value, f'{prefix}{key}.')
    else:
      flat[prefix + key] = value
  return flat


def differences(
  old: Mapping[str, Any], new: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
  """Flat keys whose values differ → (old, new); None where absent."""
  old, new = flatten(old), flatten(new)
  return {
    key: (old.get(key), new.get(key))
    for key in sorted(old.keys() | new.keys())
    if old.get(key) != new.get(key)
  }
