"""Released checkpoints as a source, one seed at a time.

A revision that cannot be read, or whose weights another step has, leaves its
row blank, says so and does not stop the others.
"""

import pathlib

from emergence_jax.base.types import Status, UserError
from emergence_jax.models import released
from emergence_jax.models.protocol import FlaxModel
from emergence_jax.running import programs as programs_lib
from emergence_jax.running.sources import hub, places, suites
from emergence_jax.running.sources.measuring import Log
from emergence_jax.running.sources.singly import OneByOne
from emergence_jax.store import files

# Fingerprints of the weights: seed/step → file → SHA-256.
FINGERPRINTS = 'revisions.json'


class Revisions(OneByOne):
  """A `Source` of released checkpoints.

  Args:
    workdir: of the timeseries; the fingerprints are kept there.
    suite: which revision is which row.
    model: that all of them have to be.
    dtype: of the parameters.
    devices: that share a model.
    programs: compiled measures.
    log: takes lines of text for the user.
  """

  def __init__(
    self,
    workdir: pathlib.Path,
    suite: suites.Suite,
    model: FlaxModel,
    dtype: str,
    devices: int,
    programs: programs_lib.OneSeed,
    log: Log,
  ):
    there = suite.revisions
    super().__init__(list(there), suites.union(there), programs, log)
    self._there, self._model, self._dtype = there, model, dtype
    self._final = suite.final
    self._devices = devices
    self._held: dict[int, int] = {}
    self._mark_repeats(workdir / FINGERPRINTS)

  def _mark_repeats(self, path: pathlib.Path) -> None:
    """Marks the revisions that are not to be measured."""
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
      for step, (other, file) in places.repeated(shards).items():
        why = f'its {file} is that of step {other:,}.'
        self._leave_out(seed, step, Status.REPEATED, why)
      self._mark_final(seed, shards)
    files.write_json(path, known)

  def _mark_final(self, seed: int, shards: dict[int, dict[str, str]]) -> None:
    """Marks revisions before the last that carry the released weights."""
    if seed not in self._final or len(shards) < 2:
      return
    try:
      final = self._final[seed].fingerprints()
    except hub.Unreachable:
      raise
    except (UserError, OSError):
      return
    for step in sorted(shards)[:-1]:
      same = [f for f, m in shards[step].items() if final.get(f) == m]
      if same and (step, seed) not in self._marks:
        why = f'its {same[0]} is that of {suites.MAIN}.'
        self._leave_out(seed, step, Status.REPEATED, why)

  def _read(self, seed, step):
    """Parameters of a revision."""
    place = self._there[seed].get(step)
    if place is None:
      return None
    try:
      model, params = released.load_checkpoint(
        place.fetch(), dtype=self._dtype, devices=self._devices
      )
      if model.module != self._model.module:
        raise UserError(f'{place} is of another shape than the others.')
    except hub.Unreachable:
      raise  # the same command goes on when it answers
    except UserError as error:
      self._leave_out(seed, step, Status.MISSING, error)
      return None
    return params

  def after(self, step):
    """Releases revisions that are no longer needed; always continues."""
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
