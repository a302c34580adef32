"""A run's saved populations as a source."""

from collections.abc import Callable, Sequence

import numpy as np

from emergence_jax.base.types import Status
from emergence_jax.config import schema
from emergence_jax.running import programs as programs_lib
from emergence_jax.running.sources.measuring import Log, Snapshot
from emergence_jax.store import checkpoints as checkpoints_lib


class Saved:
  """A `Source` of the populations that a run has saved.

  Args:
    config: of the run, with the measures that are wanted.
    programs: its compiled measures.
    checkpoints: the run's.
    finite_until: step → bool [S], whether the training loss was finite since
      the row before.
    log: takes lines of text for the user.
  """

  interrupted = None  # a signal ends the process

  def __init__(
    self,
    config: schema.Config,
    programs: programs_lib.Programs,
    checkpoints: checkpoints_lib.Checkpoints,
    finite_until: Callable[[int], np.ndarray],
    log: Log,
  ):
    steps = config.steps.tolist()
    self.programs = programs
    self._seeds = config.member_seeds.tolist()
    self._checkpoints, self._log = checkpoints, log
    self._finite_until = finite_until
    self._before = dict(zip(steps[1:], steps))

  @property
  def seeds(self) -> Sequence[int]:
    """Numbers of the seeds."""
    return self._seeds

  def _restore(self, step: int | None):
    if step not in self._checkpoints.steps():
      return None
    like = self.programs.abstract_population
    return self._checkpoints.restore(step, like, self._log)

  def at(self, step, names):
    """All seeds at a saved step; None if they cannot be read."""
    population, previous = self._restore(step), None
    if population is None:
      return None
    if self.programs.pairs & set(names):
      restored = self._restore(self._before.get(step))
      previous = None if restored is None else restored.params
    everyone = np.arange(len(self._seeds))
    return iter([Snapshot(everyone, population, previous)])

  def status(self, step):
    """Whether the loss was finite since the row before."""
    return np.where(self._finite_until(step), Status.OK, Status.NON_FINITE)

  def is_stopping(self):
    """A signal ends the process, and the same call goes on."""
    return False

  def after(self, step):
    """Nothing to do; always continues."""
    del step
    return True
