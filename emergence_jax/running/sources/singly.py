"""Base of sources that hold one seed's parameters in memory at a time."""

import abc
from collections.abc import Callable, Iterator, Sequence

import jax.numpy as jnp
import numpy as np

from emergence_jax.base.types import Population, PyTree, Status
from emergence_jax.running import programs as programs_lib
from emergence_jax.running.sources.measuring import Log, Snapshot


class OneByOne(abc.ABC):
  """A `Source` that reads each seed's parameters when it comes to them.

  A missing one is marked and logged once, and does not stop the others.

  Args:
    seeds: their numbers.
    steps: of all rows, increasing.
    programs: compiled measures.
    log: takes lines of text for the user.

  Attributes:
    known: (step, seed) → measures that need not be taken.
  """

  known: Callable[[int, int], set[str]] = staticmethod(lambda step, seed: set())
  interrupted = None  # a signal ends the process

  def __init__(
    self,
    seeds: Sequence[int],
    steps: Sequence[int],
    programs: programs_lib.OneSeed,
    log: Log,
  ):
    self.seeds, self.programs = list(seeds), programs
    self._steps, self._log = list(steps), log
    # (step, seed) → why there is nothing to measure.
    self._marks: dict[tuple[int, int], Status] = {}

  @abc.abstractmethod
  def _read(self, seed: int, step: int) -> PyTree | None:
    """Parameters of a seed at a step; None, perhaps with a mark, if none."""

  def _leave_out(self, seed: int, step: int, mark: Status, why) -> None:
    self._marks[step, seed] = mark
    self._log(f'seed {seed}, step {step:,} is left out: {why}')

  def _load(self, seed: int, step: int) -> PyTree | None:
    """Parameters of a seed at a step; None, with a mark, if there are none."""
    if (step, seed) in self._marks:
      return None
    params = self._read(seed, step)
    if params is None:
      self._marks.setdefault((step, seed), Status.MISSING)
    return params

  def _before(self, seed: int, step: int) -> PyTree | None:
    """Parameters at the seed's last usable step before one.

    They are read again, since to keep them would take a model a seed.
    """
    for other in reversed([s for s in self._steps if s < step]):
      params = self._load(seed, other)
      if params is not None:
        return params
    return None

  def at(self, step: int, names: Sequence[str]) -> Iterator[Snapshot]:
    """Every seed that has parameters at a step, one after another."""
    for place, seed in enumerate(self.seeds):
      known = self.known(step, seed)
      wanted = [name for name in names if name not in known]
      if names and not wanted:
        continue
      pair = bool(self.programs.pairs & set(wanted))
      params = self._load(seed, step)
      if params is None:
        continue
      previous = self._before(seed, step) if pair else None
      population = Population(
        jnp.array([step], jnp.int32), jnp.array([seed], jnp.int32), params, ()
      )
      yield Snapshot(np.array([place]), population, previous, wanted)
      # Before the next is read: there is room for one model.
      del params, previous, population

  def status(self, step: int) -> np.ndarray:
    """Ok, or why a seed is left out."""
    marks = [self._marks.get((step, seed), Status.OK) for seed in self.seeds]
    return np.array(marks)

  def is_stopping(self) -> bool:
    """A signal ends the process, and the same call goes on."""
    return False

  def after(self, step: int) -> bool:
    """Nothing to do; always continues."""
    del step
    return True
