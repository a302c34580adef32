"""Checks that the measures share."""

import math
from typing import Any

from emergence_jax import limits
from emergence_jax.tasks.base import Exams
from emergence_jax.types import Field, Status, UserError


def status_field(dims: tuple[str, ...], of: str, *words: Status) -> Field:
  """The status of an estimate, with the words and numbers that it can have."""
  known = (Status.OK, *words, Status.NON_FINITE)
  listed = ', '.join(f'{int(word)} {word.words}' for word in known)
  return Field(dims, 'int8', f'status of {of}: {listed}', '1')


class NotOffered(UserError):
  """A measure cannot be had of these exams."""


def needs(measure: str, exams: Exams, offer: str) -> Any:
  """The exams, if they have what a measure needs beyond `Exams`.

  Raises:
    NotOffered: if they do not.
  """
  if not hasattr(exams, offer):
    raise NotOffered(
      f'{measure} needs {offer!r} of the exams, which {type(exams).__name__} '
      'does not offer.'
    )
  return exams


# Examples, draws and the like of one measure: more is a slip of the pen.
_MOST = 10_000_000


def at_least(measure: str, least: float, **values: float | None) -> None:
  """Raises a UserError that names the first option below `least`.

  Whole numbers are bounded from above as well; None is let through.
  """
  for name, value in values.items():
    if value is None:
      continue
    high = _MOST if isinstance(value, int) else math.inf
    limits.check(f'config.measures.{measure}.{name}', value, least, high)


def above_zero(measure: str, **values: float | None) -> None:
  """Raises a UserError that names the first option that is not above 0.

  None is let through.
  """
  for name, value in values.items():
    if value is None:
      continue
    limits.check(f'config.measures.{measure}.{name}', value, 0, above=True)


def one_of(measure: str, known: tuple[str, ...], **values: str) -> None:
  """Raises a UserError that names the first option not among `known`."""
  for name, value in values.items():
    if value not in known:
      raise UserError(
        f'config.measures.{measure}.{name}={value!r} is unknown; known: '
        f'{", ".join(known)}.'
      )
