"""The arms of a configuration: grids of numbers, named arms, interventions.

  config.arms = dict(grid='optimizer.rate=1e-3,2e-3;optimizer.weight_decay=1,2')
  config.arms = dict(each=dict(fast='optimizer.rate=4e-3'))

The baseline, the configuration itself, is always an arm. Each strength of an
intervention is an arm, with its placebo; the sham is one more.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from emergence_jax.base import checks, names
from emergence_jax.base.arms import (
  BASELINE,
  LEAST_LEARNED,
  PLACEBO,
  SHAM,
  Arm,
)
from emergence_jax.base.types import UserError
from emergence_jax.config import optimizer as optimizer_lib
from emergence_jax.config.optimizer import OptimizerConfig

# Numbers that a step uses, and that do not change the shape of anything.
VARIABLE = (
  'optimizer.rate', 'optimizer.warmup', 'optimizer.weight_decay',
  'optimizer.b1', 'optimizer.b2', 'optimizer.clip_norm', 'model.init_std',
)  # fmt: skip
_MOST = 1000


@dataclasses.dataclass(frozen=True)
class ArmsConfig:
  """Variations of the configuration, trained side by side as one population.

  Attributes:
    grid: `KEY=VALUE,VALUE;KEY=VALUE,VALUE`, an arm for every combination; the
      keys are those of `optimizer`'s numbers and `model.init_std`.
    each: name of an arm → `KEY=VALUE, KEY=VALUE`.
    controls: whether interventions get a sham and placebos.
    margin: a shift of emergence within ± so many steps counts as none; 0 is a
      tenth of the baseline's median step.
    least_learned: an arm whose training loss has made a smaller share of the
      baseline's fall by the end of its window has stopped learning.
    calibrate: whether smaller strengths are tried first, on other seeds, and
      those kept at which learning goes on.
    calibrated: what that has chosen; written by the run.
  """

  grid: str = ''
  each: dict | None = None
  controls: bool = True
  margin: float = 0.0
  least_learned: float = LEAST_LEARNED
  calibrate: bool = False
  calibrated: dict | None = None

  def __post_init__(self):
    checks.in_range('config.arms.margin', self.margin, 0)
    checks.in_range('config.arms.least_learned', self.least_learned, 0, 1)


def _key(path: str, word: str) -> str:
  """A key that can vary."""
  key = word.strip().removeprefix('config.')
  if key not in VARIABLE:
    raise UserError(
      f'{path}: {key!r} cannot vary between the arms of a run, which share one '
      f'program; {names.closest(key, VARIABLE)} For other keys give --sweep, a '
      'run for each value.'
    )
  return key


def _number(path: str, word: str) -> float:
  try:
    value = float(word)
  except ValueError:
    raise UserError(f'{path}: {word.strip()!r} is no number.') from None
  return checks.of_type(path, value, float)


def _changes(path: str, text: str, between: str) -> list[tuple[str, str]]:
  """Key and text of parts `KEY=TEXT`."""
  parts = []
  for part in text.split(between):
    key, equals, value = part.partition('=')
    if not equals or not value.strip():
      raise UserError(
        f'{path}={text!r}: {part.strip()!r} is not of the form KEY=VALUE.'
      )
    parts.append((_key(path, key), value))
  keys = [key for key, _ in parts]
  if twice := {key for key in keys if keys.count(key) > 1}:
    raise UserError(f'{path}={text!r} names {min(twice)} twice.')
  return parts


def _label(numbers: Mapping[str, float]) -> str:
  """For example `rate 0.002, weight_decay 0.5`."""
  return ', '.join(
    f'{key.rpartition(".")[2]} {value:g}' for key, value in numbers.items()
  )


def _of_grid(text: str) -> Iterator[Arm]:
  """An arm for each point of a grid."""
  path = 'config.arms.grid'
  axes = [
    [(key, _number(path, word)) for word in values.split(',')]
    for key, values in _changes(path, text, ';')
  ]
  for point in itertools.product(*axes):
    numbers = dict(point)
    yield Arm(_label(numbers), numbers)


def _named(each: Mapping[str, Any]) -> Iterator[Arm]:
  """The arms that have a name of their own."""
  for name, text in sorted(each.items()):  # whatever the order in a file
    path = f'config.arms.each.{name}'
    if not isinstance(text, str):
      raise UserError(f'{path}={text!r} must be a text KEY=VALUE, KEY=VALUE.')
    parts = _changes(path, text, ',')
    yield Arm(name, {key: _number(path, word) for key, word in parts})


def _of_intervention(
  label: str, strengths: Sequence[float], controls: bool
) -> Iterator[Arm]:
  """An arm for each strength, its placebo, and the sham."""
  if controls:
    yield Arm(f'{label} {SHAM}', intervention=label, control=SHAM)
  for strength in strengths:
    name = f'{label} {strength:+g}'
    placebo = f'{name} {PLACEBO}' if controls else ''
    yield Arm(
      name, intervention=label, strength=strength, placebo=placebo
    )  # fmt: skip
    if controls:
      yield Arm(
        placebo, intervention=label, strength=strength, control=PLACEBO
      )  # fmt: skip


def strengths(label: str, text: str) -> list[float]:
  """The strengths of an intervention: numbers with commas between them."""
  path = f'config.interventions.{label}.strengths'
  values = [_number(path, word) for word in text.split(',')]
  for value in values:
    if not value:
      raise UserError(
        f'{path}={text!r}: a strength of 0 is the sham, which is an arm anyway.'
      )
    if values.count(value) > 1:
      raise UserError(f'{path}={text!r} names {value:g} twice.')
  return values


def current(optimizer: OptimizerConfig, model: Any) -> dict[str, float]:
  """Key that can vary → its value in a configuration."""
  values = {}
  for key in VARIABLE:
    group, _, name = key.partition('.')
    value = getattr(optimizer if group == 'optimizer' else model, name, None)
    if value is not None:
      values[key] = value
  return values


def check_values(arm: Arm, optimizer: OptimizerConfig, steps: int) -> None:
  """Raises a UserError for a number that cannot be."""
  own: dict[str, Any] = {}
  for key, value in arm.numbers.items():
    group, _, name = key.partition('.')
    if group != 'optimizer':
      checks.in_range(f'config.{key}', value, 0, above=True)
    elif name == 'warmup':
      if value != int(value):
        raise UserError(f'config.{key}={value} must be a whole number.')
      own[name] = int(value)
    else:
      own[name] = value
  optimizer_lib.check(dataclasses.replace(optimizer, **own), steps)


def start(text: str, path: str = 'config.start') -> tuple[str, int]:
  """Run directory and step of `RUN@STEP`, which is the value of a key."""
  folder, _, step = text.rpartition('@')
  if not folder or not step.isdecimal():
    raise UserError(
      f'{path}={text!r} must be RUN@STEP: a run directory, and the step '
      'of one of its saved checkpoints.'
    )
  return folder, int(step)


def parse(
  given: ArmsConfig, interventions: Mapping[str, Sequence[float]],
  current: Mapping[str, float],
) -> tuple[Arm, ...]:  # fmt: skip
  """The arms of a configuration; none if it asks for none.

  Args:
    given: the group `config.arms`.
    interventions: label → strengths.
    current: key that can vary → its value in the configuration.

  Raises:
    UserError: for a key that cannot vary, or two arms that are the same.
  """
  made: list[Arm] = []
  if given.grid:
    made += _of_grid(given.grid)
  made += _named(given.each or {})
  for label, values in sorted(interventions.items()):
    made += _of_intervention(label, values, given.controls)
  if not made:
    return ()
  for arm in made:
    for key in arm.numbers:
      if key not in current:
        raise UserError(
          f'config.arms: {key} is no key of this model, whose '
          f'{key.partition(".")[0]} has none; leave it out.'
        )
  baseline = Arm(BASELINE, control=BASELINE)
  # A point of the grid at which nothing changes is the baseline.
  changed = [arm for arm in made if arm.intervention or _differs(arm, current)]
  for name in given.each or {}:
    if name not in {arm.name for arm in changed}:
      raise UserError(
        f'config.arms.each.{name} changes nothing, and is the same as the '
        'baseline, which is an arm anyway; leave it out.'
      )
  _check_distinct([baseline, *changed], current)
  return (baseline, *changed)


def _differs(arm: Arm, current: Mapping[str, float]) -> bool:
  return any(value != current[key] for key, value in arm.numbers.items())


def _check_distinct(arms: Sequence[Arm], current) -> None:
  """Raises a UserError for two arms of one name, or of the same values."""
  if len(arms) > _MOST:
    raise UserError(
      f'config.arms makes {len(arms):,} arms, and at most {_MOST:,} are '
      'possible; give fewer values.'
    )
  seen: dict[Any, str] = {}
  for arm in arms:
    values = {**current, **arm.numbers}
    same = (
      tuple(values.items()), arm.intervention, arm.strength, arm.control,
    )  # fmt: skip
    for key in (arm.name, same):
      if key in seen:
        raise UserError(
          f'config.arms: {arm.name!r} and {seen[key]!r} are the same arm; '
          'leave one out.'
        )
      seen[key] = arm.name
