"""Makes dataclasses of groups of keys, their names and types checked."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from emergence_jax.base import checks, names
from emergence_jax.base.types import UserError


def check_keys(path: str, given: Mapping[str, Any], known) -> None:
  """Raises a UserError for a key that is not known."""
  for key, value in given.items():
    if key not in known:
      raise UserError(
        f'{path}.{key}={value!r} is an unknown key; {names.closest(key, known)}'
      )


def build(path: str, cls: type, given: Mapping[str, Any]) -> Any:
  """An instance of a flat dataclass, its keys and types checked."""
  if not isinstance(given, Mapping):
    raise UserError(f'{path}={given!r} must be a group of keys.')
  if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
    raise UserError(f'{path}: {cls!r} is no dataclass, whose fields are keys.')
  fields = {f.name: f for f in dataclasses.fields(cls)}
  kinds: dict[str, Any] = {name: f.type for name, f in fields.items()}
  check_keys(path, given, fields)
  missing = [
    name
    for name, f in fields.items()
    if f.default is dataclasses.MISSING and name not in given
  ]
  if missing:
    raise UserError(f'{path}.{missing[0]} is missing.')
  return cls(
    **{k: checks.of_type(f'{path}.{k}', v, kinds[k]) for k, v in given.items()}
  )
