"""Released checkpoints as a source, one seed at a time.

A revision that cannot be read, or whose weights another step has, leaves its
row blank, says so and does not stop the others.
"""

import pathlib
from collections.abc import Sequence

import numpy as np

from emergence_jax import files, rundir
from emergence_jax import programs as programs_lib
from emergence_jax.models import released
from emergence_jax.models.base import FlaxModel
from emergence_jax.sources import folders, hub
from emergence_jax.sources.base import Say, Snapshot
from emergence_jax.types import Population, PyTree, Status, UserError

# Fingerprints of the weights: seed/step → file → SHA-256.
FINGERPRINTS = 'revisions.json'


class Revisions:
  """A `Source` of released checkpoints.

  Args:
    workdir: of the timeseries; the fingerprints are kept there.
    there: seed → step → where.
    model: that all of them have to be.
    dtype: of the parameters.
    programs: compiled measures.
    say: takes lines of text for the user.
  """

  def __init__(
    self,
    workdir: pathlib.Path,
    there: folders.Revisions,
    model: FlaxModel,
    dtype: str,
    programs: programs_lib.OneSeed,
    say: Say,
  ):
    self.programs = programs
    self._there, self._model, self._dtype, self._say = there, model, dtype, say
    self._steps = folders.union(there)
    self._clock = rundir.Clock(workdir)
    self._held: dict[int, int] = {}
    self._marks = self._repeats(workdir / FINGERPRINTS)

  @property
  def seeds(self) -> Sequence[int]:
    """Numbers of the seeds."""
    return list(self._there)

  def _leave_out(self, seed: int, step: int, mark: Status, why) -> None:
    self._marks[step, seed] = mark
    self._say(f'seed {seed}, step {step:,} is left out: {why}')

  def _repeats(self, path: pathlib.Path) -> dict[tuple[int, int], Status]:
    """(step, seed) → status, of the revisions that are not to be measured."""
    self._marks: dict[tuple[int, int], Status] = {}
    known = files.read_json(path) or {}
    for seed, steps in self._there.items():
      shards = {}
      for step, place in steps.items():
        key = f'{seed}/{step}'
        try:
          if key not in known:
            known[key] = place.fingerprints()
          shards[step] = known[key]
        except hub.Unreachable:
          raise
        except (UserError, OSError) as error:
          self._leave_out(seed, step, Status.MISSING, error)
      for step, (other, file) in folders.repeated(shards).items():
        why = f'its {file} is that of step {other:,}.'
        self._leave_out(seed, step, Status.REPEATED, why)
    files.write_json(path, known)
    return self._marks

  def _load(self, seed: int, step: int) -> PyTree | None:
    """Parameters of a revision; None, with a mark, if there are none."""
    place = self._there[seed].get(step)
    if place is None:
      self._marks.setdefault((step, seed), Status.MISSING)
    if (step, seed) in self._marks:
      return None
    try:
      model, params = released.load_checkpoint(place.fetch(), dtype=self._dtype)
      if model.module != self._model.module:
        raise UserError(f'{place} is of another shape than the others.')
    except hub.Unreachable:
      raise  # the same command goes on when it answers
    except UserError as error:
      self._leave_out(seed, step, Status.MISSING, error)
      return None
    return params

  def _before(self, seed: int, step: int) -> PyTree | None:
    """Parameters at the seed's last usable revision before a step.

    They are read again, since to keep them would take a model a seed.
    """
    for other in reversed([s for s in self._steps if s < step]):
      params = self._load(seed, other)
      if params is not None:
        return params
    return None

  def at(self, step, names):
    """Every seed that has a usable revision of a step, one after another."""
    return self._each(step, bool(self.programs.pairs & set(names)))

  def _each(self, step: int, pair: bool):
    for place, seed in enumerate(self.seeds):
      params = self._load(seed, step)
      if params is None:
        continue
      previous = self._before(seed, step) if pair else None
      population = Population(
        np.array([step], np.int32), np.array([seed], np.int32), params, ()
      )
      yield Snapshot(np.array([place]), population, previous)
      # Before the next is read: there is room for one model.
      del params, previous, population

  def status(self, step):
    """Ok, or why a seed's revision is left out."""
    marks = [self._marks.get((step, seed), Status.OK) for seed in self.seeds]
    return np.array(marks)

  def after(self, step):
    """Notes the time, and lets go what is not needed; there is more to come."""
    self._clock.record(step)
    for seed, steps in self._there.items():
      if step in steps and (step, seed) not in self._marks:
        # The last usable one is read again by measures of pairs.
        held = self._held.get(seed)
        if held is not None:
          steps[held].drop()
        self._held[seed] = step
      if step == self._steps[-1] and seed in self._held:
        steps[self._held.pop(seed)].drop()
    return True
