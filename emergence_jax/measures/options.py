"""Checks that the measures share."""

import math

from emergence_jax import limits
from emergence_jax.types import Field, Status, UserError


def status_field(dims: tuple[str, ...], of: str, *words: Status) -> Field:
  """The status of an estimate, with the words and numbers that it can have."""
  known = (Status.OK, *words, Status.NON_FINITE)
  listed = ', '.join(f'{int(word)} {word.words}' for word in known)
  return Field(dims, 'int8', f'status of {of}: {listed}', '1')


# Examples, draws and the like of one measure: more is a slip of the pen.
_MOST = 10_000_000


def at_least(measure: str, least: float, **values: float) -> None:
  """Raises a UserError that names the first option below `least`.

  Whole numbers are bounded from above as well.
  """
  for name, value in values.items():
    high = _MOST if isinstance(value, int) else math.inf
    limits.check(f'config.measures.{measure}.{name}', value, least, high)


def above_zero(measure: str, **values: float) -> None:
  """Raises a UserError that names the first option that is not above 0."""
  for name, value in values.items():
    limits.check(f'config.measures.{measure}.{name}', value, 0, above=True)


def one_of(measure: str, known: tuple[str, ...], **values: str) -> None:
  """Raises a UserError that names the first option not among `known`."""
  for name, value in values.items():
    if value not in known:
      raise UserError(
        f'config.measures.{measure}.{name}={value!r} is unknown; known: '
        f'{", ".join(known)}.'
      )
