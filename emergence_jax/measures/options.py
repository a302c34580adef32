"""Checks that the measures share."""

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from emergence_jax.base import checks
from emergence_jax.base.types import Field, Status, UserError
from emergence_jax.tasks.task import Exams


def status_field(dims: tuple[str, ...], of: str, *words: Status) -> Field:
  """The status of an estimate, with the words and numbers that it can have."""
  known = (Status.OK, *words, Status.NON_FINITE)
  listed = ', '.join(f'{int(word)} {word.words}' for word in known)
  return Field(dims, 'int8', f'status of {of}: {listed}', '1')


class NotOffered(UserError):
  """The exams do not have what a measure needs."""


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


def chosen(measure: str, exams: Exams, tasks: str) -> list[int]:
  """Places of the chosen tasks among those of the exams; all if none is named.

  Args:
    measure: name of the measure.
    exams: that have the tasks.
    tasks: their names, with commas between them.

  Raises:
    UserError: for a task that the exams do not have.
  """
  known = list(exams.task_names)
  names = tasks.split(',') if tasks else known
  for name in names:
    if name not in known:
      raise UserError(
        f'config.measures.{measure}.tasks={tasks!r} has {name!r}, which is '
        f'unknown; the tasks are {", ".join(known)}.'
      )
  return [i for i, name in enumerate(known) if name in names]


def spread(results: dict, places: Sequence[int], count: int) -> dict:
  """Results of some tasks, placed among all: [k, ...] → [count, ...].

  A status says of the others that they were not due; numbers are nan.
  """

  def fill(x):
    is_number = jnp.issubdtype(x.dtype, jnp.inexact)
    other = jnp.nan if is_number else int(Status.NOT_REACHED)
    blank = jnp.full((count, *x.shape[1:]), other, x.dtype)
    return blank.at[np.array(places)].set(x)

  if len(places) == count:
    return results
  return {name: fill(x) for name, x in results.items()}


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
    checks.in_range(f'config.measures.{measure}.{name}', value, least, high)


def above_zero(measure: str, **values: float | None) -> None:
  """Raises a UserError that names the first option that is not above 0.

  None is let through.
  """
  for name, value in values.items():
    if value is None:
      continue
    checks.in_range(f'config.measures.{measure}.{name}', value, 0, above=True)


def one_of(measure: str, known: tuple[str, ...], **values: str) -> None:
  """Raises a UserError that names the first option not among `known`."""
  for name, value in values.items():
    if value not in known:
      raise UserError(
        f'config.measures.{measure}.{name}={value!r} is unknown; known: '
        f'{", ".join(known)}.'
      )
