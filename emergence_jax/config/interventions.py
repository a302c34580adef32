"""The interventions of a configuration, and the arms that they make."""

from collections.abc import Mapping
from typing import Any

from emergence_jax.base import names
from emergence_jax.base.arms import Arm
from emergence_jax.base.types import UserError
from emergence_jax.config import arms as arm_specs
from emergence_jax.config.building import build
from emergence_jax.interventions import INTERVENTIONS, Intervention


def parse(raw: Mapping[str, Any]) -> dict[str, Intervention]:
  """Label → intervention; one that is None is as if it were not there."""
  return {
    label: _intervention(label, given)
    for label, given in sorted((raw.get('interventions') or {}).items())
    if given is not None
  }


def _intervention(label: str, given: Any) -> Intervention:
  """An intervention; its kind is the key `name`, or its label."""
  path = f'config.interventions.{label}'
  if not isinstance(given, Mapping):
    raise UserError(f'{path}={given!r} must be a group of keys.')
  given = dict(given)
  word = given.pop('name', label)
  kind = names.find(f'{path}.name', word, INTERVENTIONS)
  if not (isinstance(kind, type) and issubclass(kind, Intervention)):
    raise UserError(
      f'{path}.name: {kind!r} is no intervention; derive it from '
      'emergence_jax.Intervention.'
    )
  return build(path, kind, given)


def arms_of(
  raw: Mapping[str, Any],
  interventions: Mapping[str, Intervention],
  numbers: Mapping[str, float],
) -> tuple[Arm, ...]:
  """The arms of a configuration.

  Args:
    raw: the configuration.
    interventions: its own.
    numbers: key that can vary → its value.
  """
  options = build('config.arms', arm_specs.ArmsConfig, raw.get('arms') or {})
  calibrated = options.calibrated or {}
  strengths = {
    label: arm_specs.strengths(label, calibrated.get(label, own.strengths))
    for label, own in interventions.items()
  }
  return arm_specs.parse(options, strengths, numbers)
