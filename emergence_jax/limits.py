"""Checks of single values: ranges, and what a machine can hold."""

import math
import os
import types
from typing import Any

import jax

from emergence_jax.types import UserError

# Steps, counts and seeds are int32 on the device.
LARGEST_INT = 2**31 - 1
LARGEST_FLOAT = 3.4e38
# A day of a fast accelerator, and 800 MB of coordinate.
MOST_STEPS = 100_000_000
MOST_CHECKPOINTS = 100_000


def check(
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


def check_type(key: str, value: Any, kind: type | types.UnionType) -> Any:
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
  if kind is str and isinstance(value, int) and is_number:
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


def memory() -> int:
  """Bytes that the devices can hold together; of a CPU, the machine's.

  Other processes of a run are taken to have as much.
  """
  there = jax.local_devices()
  if there[0].platform == 'cpu':
    return os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
  stats = [device.memory_stats() or {} for device in there]
  here = sum(s.get('bytes_limit', LARGEST_INT**2) for s in stats)
  return here * jax.process_count()


def _size(num_bytes: float) -> str:
  for unit in ('bytes', 'KiB', 'MiB', 'GiB', 'TiB'):
    if num_bytes < 1024:
      return f'{num_bytes:.3g} {unit}'
    num_bytes /= 1024
  return f'{num_bytes:,.0f} PiB'


def check_memory(what: str, num_bytes: float, remedy: str) -> None:
  """Raises a UserError for what is larger than the memory there is.

  Args:
    what: needs it; the subject of the sentence.
    num_bytes: how much, at least.
    remedy: a sentence.
  """
  there = memory()
  if num_bytes > there:
    raise UserError(
      f'{what} would need {_size(num_bytes)}, and there are {_size(there)}; '
      f'{remedy}'
    )
