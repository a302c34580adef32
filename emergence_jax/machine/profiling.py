"""A trace of some steps of a run, for a profiler's viewer."""

import pathlib
import re

import jax

from emergence_jax.base.types import UserError

FOLDER = 'profile'


class Profile:
  """Traces a run from one step to another, measures in between included.

  Args:
    folder: where the trace is written; TensorBoard and Perfetto show it.
    first: step at which it begins.
    last: step at which it ends.
  """

  def __init__(self, folder: pathlib.Path, first: int, last: int):
    self._folder, self._first, self._last = folder, first, last
    self._tracing = False

  def until(self, step: int, target: int) -> int:
    """How far to train at once, so that the trace begins and ends in time."""
    ends = [e for e in (self._first, self._last) if step < e < target]
    return min(ends, default=target)

  def at(self, step: int) -> None:
    """Begins or ends the trace, if this is the step."""
    if self._tracing and step >= self._last:
      self.close()
    elif not self._tracing and self._first <= step < self._last:
      jax.profiler.start_trace(str(self._folder))
      self._tracing = True

  def close(self) -> None:
    """Ends a trace that is going on."""
    if self._tracing:
      jax.profiler.stop_trace()
      self._tracing = False


class NoProfile(Profile):
  """Traces nothing."""

  def __init__(self):
    super().__init__(pathlib.Path(), -1, -1)


def parse(text: str, workdir: pathlib.Path, steps: int) -> Profile:
  """The profile that `START:STOP` asks for.

  Raises:
    UserError: for another form, or steps that the run does not have.
  """
  match = re.fullmatch(r'(\d{1,12}):(\d{1,12})', text)
  if match is None or not int(match[1]) < int(match[2]) <= steps:
    raise UserError(
      f'--profile={text!r} must be START:STOP, two steps of the run in this '
      f'order, the last at most {steps:,}; for example 100:110.'
    )
  return Profile(workdir / FOLDER, int(match[1]), int(match[2]))
