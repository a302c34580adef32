"""A training as a source: asked for a step, it trains up to it.

While the measures of a checkpoint are being compiled it goes on to the next
ones, which are kept and measured in their order.
"""

import collections
import dataclasses
import time
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from emergence_jax.base import progress as progress_lib
from emergence_jax.base.types import Population, PyTree, Status
from emergence_jax.config import schema
from emergence_jax.machine import processes, profiling, stopping
from emergence_jax.running import programs as programs_lib
from emergence_jax.running import rundir, train
from emergence_jax.running.sources.measuring import Snapshot
from emergence_jax.store import checkpoints as checkpoints_lib
from emergence_jax.store import files
from emergence_jax.store import rows as rows_lib

# A call trains for about so long, so that signals and progress get their turn.
_SEGMENT_SECONDS = 0.5
# What is done at a checkpoint besides measures, for the forecast.
SAVING = 'saving'
# Checkpoints that wait to be measured, and the bytes of them all, at most.
_MOST_AHEAD, _MOST_BYTES = 8, 2**28


class Pacer:
  """Chooses segment lengths of about `_SEGMENT_SECONDS`.

  Lengths do not change results, only when the host is asked.
  """

  def __init__(self):
    self._steps = 1

  def next(self, remaining: int) -> int:
    """Steps of the next segment."""
    return min(self._steps, remaining, train.MAX_SEGMENT)

  def record(self, steps: int, seconds: float) -> None:
    """Learns from a segment that took `seconds`."""
    fitting = int(steps * _SEGMENT_SECONDS / max(seconds, 1e-6))
    self._steps = max(1, min(fitting, 4 * steps))


class Point(NamedTuple):
  """Where a training stood.

  Attributes:
    step: its step.
    population: then.
    finite: bool [members], whether the loss was finite since the point before.
    means: name → [members], of the updates since then.
    fingerprint: of the population, made before it is measured: a save need not
      wait for a measure.
  """

  step: int
  population: Population
  finite: np.ndarray
  means: dict[str, np.ndarray]
  fingerprint: jax.Array | None = None


@dataclasses.dataclass
class Training:
  """A `Source` that trains, and saves its population behind its rows.

  Attributes:
    config: of the run.
    programs: all that is compiled.
    writer: of the timeseries; the history of every update goes there.
    checkpoints: where populations are saved.
    progress: shown to a person.
    forecast: of the time left.
    stop: whether a signal asked to stop.
    clock: how long the run took.
    lock: of its folder.
    population: where the training stands; consumed.
    step: its step.
    profile: traces some steps.
    leaves_at_once: whether the process ends behind a stop, so that a measure
      that goes on need not be waited for.
    stopped_by: the signal by which all processes stop; None if none came.
  """

  config: schema.Config
  programs: programs_lib.Programs
  writer: rows_lib.Writer
  checkpoints: checkpoints_lib.Checkpoints
  progress: progress_lib.Progress
  forecast: progress_lib.Forecast
  stop: stopping.StopRequest
  clock: rundir.Clock
  lock: files.Lock
  population: Population
  step: int
  profile: profiling.Profile = dataclasses.field(
    default_factory=profiling.NoProfile
  )
  leaves_at_once: bool = False
  stopped_by: str | None = None
  _pacer: Pacer = dataclasses.field(default_factory=Pacer)

  def __post_init__(self):
    self._finite = np.ones(self.config.members, bool)
    self._means: dict[str, np.ndarray] = {}
    # Those that are not measured yet.
    self._points: collections.deque[Point] = collections.deque()
    self._previous = self._before()
    self._saved = frozenset(self.config.checkpoints.saved(self.config.steps))

  @property
  def seeds(self) -> Sequence[int]:
    """Numbers of the seeds."""
    return self.config.member_seeds.tolist()

  @property
  def point(self) -> Point:
    """What is measured next; else where the training stands."""
    if self._points:
      return self._points[0]
    return Point(self.step, self.population, self._finite, self._means)

  def left(self) -> list[int]:
    """Steps of the missing rows, from the current one on."""
    last = self._last_row()
    return [
      s
      for s in self.config.steps.tolist()
      if s > self.step or (s == self.step and s != last)
    ]

  def _last_row(self) -> int | None:
    """The step of the newest row."""
    reached = self.writer.reached()
    return reached[-1] if reached else None

  def _before(self) -> PyTree | None:
    """Parameters at the newest row up to here, for measures of pairs."""
    if not self.programs.pairs:
      return None
    row = self._last_row()
    if row is None:
      return None
    if row == self.step:
      return self.programs.copy(self.population.params)
    previous = self.checkpoints.restore(row, self.programs.abstract_population)
    if previous is not None:
      return previous.params
    names = ', '.join(sorted(self.programs.pairs))
    self.progress.log(
      f'the checkpoint of step {row:,} is gone, so {names} cannot be measured '
      'at the next one; keep at least two (config.checkpoints.keep).'
    )
    return None

  def _meet(self, seconds: float = 0.0) -> float:
    """The longest time over processes; a signal to one of them stops all.

    What counts is what they said here, and not a signal that comes between
    two meetings: they must stop at the same step.
    """
    everyone = processes.exchange((seconds, self.stop.name), 'a segment')
    said = [name for _, name in everyone if name]
    self.stopped_by = said[0] if said else None
    return max(seconds for seconds, _ in everyone)

  def _train_until(self, target: int) -> None:
    """Trains to `target`, or until a stop is requested."""
    start, losses, norms = self.step, [], []
    self.profile.at(self.step)
    self._meet()
    while self.step < target and not self.stopped_by:
      end = self.profile.until(self.step, target)
      end = self.forecast.until(self.step, end)
      count = self._pacer.next(end - self.step)
      began = time.monotonic()
      self.population, history = self.programs.segment(self.population, count)
      history = processes.to_host(history)
      seconds = self._meet(time.monotonic() - began)
      self._pacer.record(count, seconds)
      self.forecast.trained(self.step, count, seconds)
      losses.append(history.loss[:, :count])
      norms.append(history.grad_norm[:, :count])
      self.step += count
      self.profile.at(self.step)
      median = float(np.median(losses[-1][:, -1]))
      ends = self.step, self.config.train.steps
      self.progress.update(
        self.step, median, self.forecast.left(*ends), self.forecast.bound(*ends)
      )
    self.lock.check()
    self._finite = np.ones(self.config.members, bool)
    if losses:
      loss, norm = np.concatenate(losses, 1), np.concatenate(norms, 1)
      self._finite = np.isfinite(loss).all(1)
      self._means = {'train_loss': loss.mean(1), 'grad_norm': norm.mean(1)}
      self.writer.write_history(start, {'train_loss': loss, 'grad_norm': norm})

  def _reach(self, step: int) -> None:
    """Trains to a checkpoint, and keeps it until it is measured."""
    if self._points and self._points[-1].population is self.population:
      kept = self.programs.copy_population(self.population)
      self._points[-1] = self._points[-1]._replace(population=kept)
    self._train_until(step)
    if self.step == step:
      self._points.append(
        Point(
          step, self.population, self._finite, self._means,
          checkpoints_lib.fingerprint(self.population),
        )
      )  # fmt: skip

  def _following(self) -> int | None:
    """The next checkpoint that there is room for."""
    later = self.config.steps[self.config.steps > self.step]
    size = sum(x.nbytes for x in jax.tree.leaves(self.population))
    room = min(_MOST_AHEAD, _MOST_BYTES // size)
    return int(later[0]) if later.size and len(self._points) < room else None

  def _is_asked_to_stop(self) -> bool:
    return self.stop.name is not None

  def at(self, step, names):
    """All seeds at a step; None if a stop was requested before."""
    if not self._points:
      self._reach(step)
    while not self.stopped_by and not self.programs.ready(names):
      following = self._following()
      if following is not None:
        self._reach(following)
      else:
        self.programs.work.wait(
          names, self.progress.log, self._is_asked_to_stop
        )
        self._meet()
    if not self._points or self.stopped_by:
      return None
    everyone = np.arange(self.config.members)
    return iter([Snapshot(everyone, self.point.population, self._previous)])

  @property
  def interrupted(self):
    """Whether to stop, where a measure may be left; else None."""
    alone = not processes.several()
    return self.is_stopping if self.leaves_at_once and alone else None

  def status(self, step):
    """Whether the loss was finite since the row before."""
    del step
    return np.where(self.point.finite, Status.OK, Status.NON_FINITE)

  def is_stopping(self):
    """Whether a stop was requested; the row is measured on resuming."""
    self._meet()
    return self.stopped_by is not None

  def _is_to_be_saved(self, step: int) -> bool:
    """Whether the population of a step is to be saved."""
    saved = self.checkpoints.steps()
    if step in saved:  # stopped before its first step
      return False
    row = self._last_row()
    if self.programs.pairs and row not in (None, step, *saved):
      # The next row would lack its partner: better to go on from before both.
      return False
    return bool(self.stopped_by) or step in self._saved

  def after(self, step):
    """Saves the population, if it is due; returns whether to continue."""
    point = self.point
    stays = self.programs.pairs and not self.stopped_by
    if stays and point.step == step:
      self._previous = self.programs.copy(point.population.params)
    began = time.monotonic()
    self.lock.check()
    if self._is_to_be_saved(point.step):
      self.checkpoints.save(point.population, point.fingerprint)
    self.clock.record(point.step)
    self.forecast.done(SAVING, time.monotonic() - began)
    self._meet()
    if self.stopped_by:
      return False
    self._points.popleft()
    return True
