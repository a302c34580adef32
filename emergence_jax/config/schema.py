"""The schema of a run's configuration, and its checks."""

import dataclasses
import functools
import json
import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from emergence_jax.analysis.studies import REFERENCES
from emergence_jax.base import arms as arms_lib
from emergence_jax.base import checks, names
from emergence_jax.base.arms import Arm
from emergence_jax.base.labels import flatten
from emergence_jax.base.types import Measure, MeasureSpec, UserError
from emergence_jax.config import arms as arm_specs
from emergence_jax.config import interventions as intervention_specs
from emergence_jax.config import measures as measure_specs
from emergence_jax.config import optimizer as optimizer_lib
from emergence_jax.config import schedule
from emergence_jax.config.building import build, check_keys
from emergence_jax.config.groups import (
  CheckpointsConfig,
  ReferenceConfig,
  SeedsConfig,
  TrainConfig,
)
from emergence_jax.interventions import Intervention
from emergence_jax.machine import memory, mesh
from emergence_jax.models import MODELS
from emergence_jax.models.objective import Objective
from emergence_jax.models.protocol import ModelShape
from emergence_jax.store import files
from emergence_jax.tasks import TASKS
from emergence_jax.tasks.task import Task


@dataclasses.dataclass(frozen=True)
class Config:
  """A checked configuration.

  Attributes:
    task: the task.
    model: its shape.
    optimizer: the optimiser's options.
    train: training length.
    seeds: the population.
    checkpoints: the schedule.
    measures: name → when, how.
    raw: the same as plain JSON values, as it was given.
    built: name → the measure itself, built once for all that use it.
    left_out: measures that the task cannot give → why, as a sentence.
    arms: variations that are trained side by side; none without
      `config.arms` and `config.interventions`.
    interventions: label → what may act in an arm.
    start: `RUN@STEP`, whose population every arm begins from; empty for the
      first weights.
  """

  task: Task
  model: ModelShape
  optimizer: optimizer_lib.OptimizerConfig
  train: TrainConfig
  seeds: SeedsConfig
  checkpoints: CheckpointsConfig
  measures: Mapping[str, MeasureSpec]
  raw: Mapping[str, Any]
  built: Mapping[str, Measure] = dataclasses.field(default_factory=dict)
  left_out: Mapping[str, str] = dataclasses.field(default_factory=dict)
  arms: tuple[Arm, ...] = ()
  interventions: Mapping[str, Intervention] = dataclasses.field(
    default_factory=dict
  )
  start: str = ''

  @property
  def members(self) -> int:
    """Networks that are trained: seeds times arms."""
    return self.seeds.count * max(1, len(self.arms))

  @property
  def member_seeds(self) -> np.ndarray:
    """Number of the seed of each member, int [A · S], arm by arm."""
    first, count = self.seeds.first, self.seeds.count
    return arms_lib.members(self.arms, np.arange(first, first + count))

  @property
  def numbers(self) -> dict[str, float]:
    """Key that can vary between arms → its value here."""
    return arm_specs.current(self.optimizer, self.model)

  @functools.cached_property
  def objective(self) -> Objective:
    """The model under the task."""
    return Objective(self.model.build_for(self.task), self.task)

  @functools.cached_property
  def steps(self) -> np.ndarray:
    """The checkpoint schedule, int [C]; from the step that it starts at on."""
    steps = schedule.checkpoint_steps(
      self.checkpoints.schedule,
      self.train.steps,
      steps_per_epoch=self.task.epoch_steps,
    )
    first = arm_specs.start(self.start)[1] if self.start else 0
    return np.unique([first, *steps[steps > first]])


_GROUPS = (
  'task', 'model', 'optimizer', 'train', 'seeds', 'checkpoints', 'measures',
  'reference', 'arms', 'interventions',
)  # fmt: skip
# What a population depends on.
_OF_TRAINING = (
  'task', 'model', 'optimizer', 'train.precision', 'seeds.first', 'seeds.count',
  'arms.grid', 'arms.each', 'arms.controls', 'arms.calibrated',
  'interventions', 'start',
)  # fmt: skip
# Keys that may change when a run goes on: they move no number beyond rounding.
LAYOUT_KEYS = (
  'seeds.devices',
  'seeds.at_once',
  'seeds.devices_per_seed',
  'checkpoints.keep',
  'checkpoints.keep_period',
  'release.devices',
)
# And those that move nothing: what a run is set beside, what becomes of files.
FREE_KEYS = (
  'reference.name', 'release.delete', 'arms.margin', 'arms.least_learned',
)  # fmt: skip


def check_reference(raw: Mapping[str, Any]) -> None:
  """Raises a UserError if a configuration names an unknown reference."""
  options = build('config.reference', ReferenceConfig, raw.get('reference', {}))
  if options.name:
    names.find('config.reference.name', options.name, REFERENCES)


def _model(given: Mapping[str, Any]) -> ModelShape:
  """A shape from `size`, single values overriding it, or all of them."""
  given = dict(given)
  kind = names.find('config.model.name', given.pop('name', 'gpt'), MODELS)
  if not (isinstance(kind, type) and issubclass(kind, ModelShape)):
    raise UserError(
      f'config.model.name: {kind!r} is no shape of a model; derive it from '
      'emergence_jax.ModelShape.'
    )
  size = given.pop('size', None)
  if size is not None:
    chosen = names.choose('config.model.size', size, kind.SIZES)
    if set(chosen) <= set(given) and chosen != {k: given[k] for k in chosen}:
      raise UserError(
        f'config.model.size={size!r} has no effect, since the configuration '
        f'says {", ".join(f"{k}={given[k]}" for k in chosen)}; leave out one '
        'or the other.'
      )
    given = {**chosen, **given}
  if dataclasses.is_dataclass(kind):
    known = {f.name for f in dataclasses.fields(kind)} | {'name', 'size'}
    check_keys('config.model', given, known)
  return build('config.model', kind, given)


def plain(value: Any) -> Any:
  """JSON values of nested mappings and tuples."""
  if hasattr(value, 'to_dict'):
    value = value.to_dict()
  try:
    values = json.loads(json.dumps(value))
  except (TypeError, ValueError, RecursionError) as error:
    raise UserError(
      f'the configuration holds what is no number, text, list or group of them '
      f'({error}).'
    ) from error
  if not isinstance(values, Mapping):
    raise UserError(f'the configuration is {values!r} and no group of keys.')
  return values


def from_mapping(given: Mapping[str, Any]) -> Config:
  """Checks a ConfigDict, or a plain nested dict, from a configuration file.

  Raises:
    UserError: for an unknown key, name or size, a wrong type, or a value out
      of range; it names the key, the value and the remedy.
  """
  raw = plain(given)
  check_keys('config', raw, (*_GROUPS, 'start'))
  start = checks.of_type('config.start', raw.get('start', ''), str)
  for name, group in raw.items():
    if name != 'start' and not isinstance(group, Mapping):
      raise UserError(f'config.{name}={group!r} must be a group of keys.')
  check_reference(raw)
  task = dict(raw.get('task', {}))
  task_class = names.find('config.task.name', task.pop('name', None), TASKS)
  specs, off = measure_specs.parse(raw.get('measures', {}))
  config = Config(
    task=build('config.task', task_class, task),
    model=_model(raw.get('model', {})),
    optimizer=build(
      'config.optimizer',
      optimizer_lib.OptimizerConfig,
      raw.get('optimizer', {}),
    ),
    train=build('config.train', TrainConfig, raw.get('train', {})),
    seeds=build('config.seeds', SeedsConfig, raw.get('seeds', {})),
    checkpoints=build(
      'config.checkpoints', CheckpointsConfig, raw.get('checkpoints', {})
    ),
    measures=specs,
    raw=raw,
    start=start,
  )
  config = _with_arms(config)
  _check_ranges(config)
  measure_specs.build(config.objective, off)  # raises for a wrong option
  built, left_out = measure_specs.build(config.objective, specs)
  measures = {name: specs[name] for name in built}
  return dataclasses.replace(
    config, measures=measures, built=built, left_out=left_out
  )


def _with_arms(config: Config) -> Config:
  """A configuration with its arms and interventions, which are checked."""
  raw = config.raw
  interventions = intervention_specs.parse(raw)
  arms = intervention_specs.arms_of(raw, interventions, config.numbers)
  for label, own in interventions.items():
    path = f'config.interventions.{label}'
    own.check(path, config.objective, config.train.steps)
  for arm in arms:
    arm_specs.check_values(arm, config.optimizer, config.train.steps)
  return dataclasses.replace(config, arms=arms, interventions=interventions)


def count_members(raw: Mapping[str, Any]) -> int:
  """Networks that a configuration trains; JAX's backend is left alone."""
  seeds = build('config.seeds', SeedsConfig, raw.get('seeds', {})).count
  if not (raw.get('arms') or raw.get('interventions')):
    return seeds
  optimizer = build(
    'config.optimizer', optimizer_lib.OptimizerConfig, raw.get('optimizer', {})
  )
  numbers = arm_specs.current(optimizer, _model(raw.get('model', {})))
  arms = intervention_specs.arms_of(raw, intervention_specs.parse(raw), numbers)
  return seeds * max(1, len(arms))


def _check_ranges(config: Config) -> None:
  if config.seeds.at_once is not None:
    checks.in_range(
      'config.seeds.at_once', config.seeds.at_once, 1, config.members
    )
  for name, spec in config.measures.items():
    if spec.seeds_at_once is not None:
      path = f'config.measures.{name}.seeds_at_once'
      checks.in_range(path, spec.seeds_at_once, 1, config.members)
  positions = config.model.num_positions
  if positions is not None and config.task.length - 1 > positions:
    raise UserError(
      f'config.model.num_positions={positions} is less than '
      f'the {config.task.length - 1} tokens of a sequence; raise it.'
    )
  _ = config.steps  # raises for a bad schedule
  optimizer_lib.make(config.optimizer, config.train.steps)  # so does this


def start_devices(given: Mapping[str, Any]) -> None:
  """Prepares the devices of a configuration; call it before JAX starts.

  Raises:
    UserError: if `config.seeds` is wrong.
  """
  raw = plain(given)
  seeds = build('config.seeds', SeedsConfig, raw.get('seeds', {}))
  mesh.start(count_members(raw), seeds.devices, seeds.devices_per_seed)


def _fewer(arms: int, seeds: int, fitting: float) -> str:
  """What to do where `fitting` seeds of all arms fit, and not all seeds."""
  if fitting >= 1:
    whole = math.floor(fitting)
    return (
      f'the memory holds {whole:,} of the seeds: --parts='
      f'{math.ceil(seeds / whole)} goes through them in so many runs and joins '
      'these.'
    )
  if not arms:
    return 'lower its numbers.'
  return (
    f'of one seed {math.floor(fitting * arms)} arms fit: give the others to '
    'runs of their own (the baseline is in each).'
  )


def check_devices(config: Config) -> None:
  """Raises a UserError if the seeds do not fit the machine's devices.

  JAX starts its backend, so that this comes after `mesh.start`.
  """
  seeds, model, members = config.seeds, config.model, config.members
  mesh.seed_mesh(members, seeds.devices, seeds.devices_per_seed)
  # Parameters and the optimiser's two moments, in float32.
  weights, arms = model.num_weights_for(config.task), len(config.arms)
  seed_bytes = 3 * 4 * weights * max(1, arms)
  memory.check(
    f'{f"{arms} arms of " if arms else ""}{seeds.count:,} seeds of {weights:,} '
    f'parameters or more (config.model: {model})', seed_bytes * seeds.count,
    _fewer(arms, seeds.count, memory.available() / seed_bytes),
  )  # fmt: skip
  tokens = config.task.batch_size * config.task.length
  memory.check(
    f'config.task.batch_size={config.task.batch_size}',
    4 * tokens * model.activations_per_token(), 'lower it.',
  )  # fmt: skip
  for name, spec in config.measures.items():
    measure_specs.check_inputs(name, config.built[name], spec.options, members)


def on_this_machine(raw: Mapping[str, Any]) -> Mapping[str, Any]:
  """A run's configuration, adapted to the devices of this machine.

  What was run on eight devices can be read and measured on a laptop.
  """
  given = raw.get('seeds', {})
  seeds = build('config.seeds', SeedsConfig, given)
  try:
    mesh.seed_mesh(count_members(raw), seeds.devices, seeds.devices_per_seed)
  except UserError:
    devices = ('devices', 'devices_per_seed')
    return {**raw, 'seeds': {k: given[k] for k in given if k not in devices}}
  return raw


def digest(raw: Mapping[str, Any]) -> int:
  """Checksum (uint32) of all keys that the populations depend on."""
  kept = {
    key: value
    for key, value in flatten(raw).items()
    if key.startswith(_OF_TRAINING)
  }
  return int(files.checksum(kept), 16)


def differences(
  old: Mapping[str, Any],
  new: Mapping[str, Any],
  free: Collection[str] = (),
) -> dict[str, tuple[Any, Any]]:
  """Keys whose values differ → (old, new); None where absent.

  Keys of `free` may differ.
  """
  old, new = flatten(old), flatten(new)
  return {
    key: (old.get(key), new.get(key))
    for key in sorted((old.keys() | new.keys()) - set(free))
    if old.get(key) != new.get(key)
  }
