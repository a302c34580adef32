"""Checks of single values: their ranges and types."""

import math
import types
from typing import Any

from emergence_jax.base.types import UserError

# Steps, counts and seeds are int32 on the device.
LARGEST_INT = 2**31 - 1
LARGEST_FLOAT = 3.4e38
# A day of a fast accelerator, and 800 MB of coordinate.
MOST_STEPS = 100_000_000
MOST_CHECKPOINTS = 100_000


def in_range(
  key: str,
  value: float,
  low: float,
  high: float = math.inf,
  *,
  above: bool = False,
  below: bool = False,
  remedy: str = '',
) -> None:
  """Raises a UserError for a value outside a range, nan included.

  Args:
    key: full name, for the message.
    value: a number.
    low: least value.
    high: greatest value.
    above: whether `low` itself is excluded.
    below: whether `high` itself is excluded.
    remedy: a sentence for the end of the message.
  """
  good = low <= value <= high
  good &= not (above and value == low) and not (below and value == high)
  if good:
    return
  words = f'above {low:,}' if above else f'at least {low:,}'
  if high < math.inf:
    words += f' and {"below" if below else "at most"} {high:,}'
  after = f' {remedy}' if remedy else ''
  raise UserError(f'{key}={value} must be {words}.{after}')


def of_type(key: str, value: Any, kind: type | types.UnionType) -> Any:
  """A value of that type, and finite; whole numbers will do for others.

  Where the type is `… | None`, None is what is chosen automatically.

  Raises:
    UserError: for another type, or a number that no device can hold.
  """
  if isinstance(kind, types.UnionType):
    if value is None:
      return None
    (kind,) = (k for k in kind.__args__ if k is not types.NoneType)
  assert isinstance(kind, type)
  is_number = isinstance(value, int | float) and not isinstance(value, bool)
  if kind is str and is_number:  # `20`, or `0.01`, on a command line
    return str(value)
  if kind is float and isinstance(value, int | float) and is_number:
    if not abs(value) <= LARGEST_FLOAT:
      raise UserError(f'{key}={value} must be a finite number.')
    return float(value)
  if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
    raise UserError(
      f'{key}={value!r} is of type {type(value).__name__}; it must be '
      f'{kind.__name__}.'
    )
  if isinstance(value, int) and abs(value) > LARGEST_INT:
    raise UserError(f'{key}={value} must be at most {LARGEST_INT:,}.')
  return value
