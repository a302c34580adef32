"""Checks that the measures share."""

from emergence_jax.types import Field, Status, UserError


def status_field(dims: tuple[str, ...], of: str, *words: Status) -> Field:
  """The status of an estimate, with the words and numbers that it can have."""
  known = (Status.OK, *words, Status.NON_FINITE)
  listed = ', '.join(f'{int(word)} {word.words}' for word in known)
  return Field(dims, 'int8', f'status of {of}: {listed}', '1')


def at_least(measure: str, least: float, **values: float) -> None:
  """Raises a UserError that names the first option below `least`."""
  for name, value in values.items():
    if value < least:
      raise UserError(
        f'config.measures.{measure}.{name}={value} must be at least {least}.'
      )


def one_of(measure: str, known: tuple[str, ...], **values: str) -> None:
  """Raises a UserError that names the first option not among `known`."""
  for name, value in values.items():
    if value not in known:
      raise UserError(
        f'config.measures.{measure}.{name}={value!r} is unknown; known: '
        f'{", ".join(known)}.'
      )
