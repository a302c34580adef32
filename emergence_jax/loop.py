"""The loop on the host: train, measure, write, save; and go on after a kill.

The order within a checkpoint makes a kill harmless: the row is written, then
the population is saved. Whatever lies past the newest whole checkpoint is
dropped when the run goes on, and is computed again to the same bits.
"""

import contextlib
import dataclasses
import enum
import json
import pathlib
import signal
import threading
import time
from collections.abc import Callable

import jax
import numpy as np

from emergence_jax import checkpoints as checkpoints_lib
from emergence_jax import config as config_lib
from emergence_jax import programs as programs_lib
from emergence_jax import progress as progress_lib
from emergence_jax import rundir, timeseries, train
from emergence_jax.types import Population, PyTree, Status, UserError

# A call trains for about so long, so that signals and progress get their turn.
_SEGMENT_SECONDS = 0.5


class Outcome(enum.Enum):
  """How a run ended."""

  FINISHED = 'finished'
  ALREADY_FINISHED = 'already finished'
  STOPPED = 'stopped'


class StopRequest:
  """Turns the first SIGTERM or SIGINT into a request to stop."""

  def __init__(self):
    self.name: str | None = None

  @contextlib.contextmanager
  def installed(self):
    """Handles signals inside the context, if this is the main thread."""
    if threading.current_thread() is not threading.main_thread():
      yield self
      return
    old = {}

    def handle(number, frame):
      del frame
      self.name = signal.Signals(number).name
      # A second signal acts at once.
      signal.signal(number, old[number])

    for number in (signal.SIGTERM, signal.SIGINT):
      old[number] = signal.signal(number, handle)
    try:
      yield self
    finally:
      for number, handler in old.items():
        signal.signal(number, handler)


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


@dataclasses.dataclass
class _Run:
  """The pieces of a run under way."""

  config: config_lib.Config
  programs: programs_lib.Programs
  writer: timeseries.Writer
  checkpoints: checkpoints_lib.Checkpoints
  progress: progress_lib.Progress
  stop: StopRequest
  clock: rundir.Clock
  pacer: Pacer = dataclasses.field(default_factory=Pacer)

  def train_until(
    self, population: Population, step: int, target: int
  ) -> tuple[Population, int, np.ndarray]:
    """Trains to `target`, or to where a stop was requested.

    Returns:
      The population, its step, and bool [S]: all losses were finite.
    """
    finite = np.ones(self.config.seeds.count, bool)
    start, chunks = step, []
    while step < target and not self.stop.name:
      count = self.pacer.next(target - step)
      began = time.monotonic()
      population, history = self.programs.segment(population, count)
      history = jax.device_get(history)
      self.pacer.record(count, time.monotonic() - began)
      chunks.append((history.loss[:, :count], history.grad_norm[:, :count]))
      finite &= np.isfinite(chunks[-1][0]).all(1)
      step += count
      self.progress.update(step, float(np.median(chunks[-1][0][:, -1])))
    if chunks:
      loss, norm = (np.concatenate(x, 1) for x in zip(*chunks))
      self.writer.write_history(start, {'train_loss': loss, 'grad_norm': norm})
    return population, step, finite

  def measure(
    self,
    population: Population,
    previous: PyTree | None,
    row: int,
    step: int,
    finite: np.ndarray,
  ):
    """Writes the row of a checkpoint; `previous` is the one before's params."""
    values = {}
    for name, spec in self.config.measures.items():
      known = previous is not None or name not in self.programs.pairs
      if known and spec.is_due(row, step):
        measured = self.programs.measures[name](population, previous)
        values |= jax.device_get(measured)
    finite = finite & timeseries.finite_seeds(values)
    status = np.where(finite, Status.OK, Status.NON_FINITE)
    self.writer.write_row(step, values, status)
    return finite

  def _before(self, population: Population, step: int) -> PyTree | None:
    """Parameters at the newest row up to `step`, for measures of pairs."""
    if not self.programs.pairs:
      return None
    row = int(self.config.steps[self.config.steps <= step][-1])
    if row == step:
      written = step in self.checkpoints.steps()
      return self.programs.copy(population.params) if written else None
    found = self.checkpoints.restore(row, self.programs.abstract_population)
    if found is not None:
      return found.params
    names = ', '.join(sorted(self.programs.pairs))
    self.progress.say(
      f'the checkpoint of step {row:,} is gone, so {names} cannot be measured '
      'at the next one; keep at least two (config.checkpoints.keep).'
    )
    return None

  def go(self, population: Population, step: int) -> Outcome:
    """Runs from `step` to the end, or to a requested stop."""
    said = np.ones(self.config.seeds.count, bool)
    previous = self._before(population, step)
    for row, target in enumerate(self.config.steps.tolist()):
      if target < step or (target == step and step in self.checkpoints.steps()):
        continue
      population, step, finite = self.train_until(population, step, target)
      if step == target:
        finite = self.measure(population, previous, row, step, finite)
        for seed in np.flatnonzero(said & ~finite):
          self.progress.say(
            f'seed {self.config.seeds.first + seed} has non-finite values at '
            f'step {step}; its rows say so and the other seeds go on.'
          )
        said &= finite
        if self.programs.pairs:
          previous = self.programs.copy(population.params)
      self.checkpoints.save(population)
      self.clock.record(step)
      if self.stop.name:
        self.checkpoints.wait()
        return Outcome.STOPPED
    self.checkpoints.wait()
    return Outcome.FINISHED


def create_timeseries(workdir: pathlib.Path, config: config_lib.Config) -> None:
  """Creates the empty timeseries of a run."""
  fields, coords = {}, {}
  for name, spec in config.measures.items():
    measure = config_lib.build_measure(config, name, spec)
    fields |= measure.fields
    coords |= measure.coords
  task = config.task
  coords |= {'task': list(task.task_names), 'level': list(task.level_names)}
  seeds = config.seeds
  timeseries.create(
    workdir,
    fields=fields,
    coords=coords,
    chance_KxL=task.chance_KxL,
    seeds=np.arange(seeds.first, seeds.first + seeds.count),
    steps=config.steps,
    train_steps=config.train.steps,
    attributes={
      'title': f'emergence_jax run: {config.raw["task"]["name"]}',
      'parameters': config.objective.num_params(),
      'config': json.dumps(config.raw, sort_keys=True),
    },
  )


def _start(workdir, config, programs, checkpoints, say):
  """The population to go on from, its step, and a writer that is in line."""
  restored = checkpoints.restore_latest(programs.abstract_population, say)
  if restored is None:
    rows = timeseries.reached(workdir)
    # A kill can leave two rows before the first checkpoint is on the disk.
    if len(rows) > 2:
      raise UserError(
        f'{workdir} holds {len(rows)} measured checkpoints, up to step '
        f'{rows[-1]:,}, and no population to go on from: beginning again would '
        'erase them. Give another --workdir, or bring its folder '
        f'{checkpoints_lib.FOLDER}/ back.'
      )
    create_timeseries(workdir, config)
    return programs.init(), 0, timeseries.Writer(workdir)
  step = int(restored.step[0])
  writer = timeseries.Writer(workdir)
  dropped = writer.drop_after(step)
  again = f'; {dropped} rows past it are computed again' if dropped else ''
  say(f'going on from the checkpoint of step {step:,}{again}.')
  return restored, step, writer


def _say(line: str) -> None:
  """Prints at once, also into a pipe or a batch job's log."""
  print(line, flush=True)


def _resume_hint(workdir: pathlib.Path) -> str:
  return f'run the same command with --workdir={workdir} to go on.'


def _run(config, workdir, programs, checkpoints, stop, say) -> Outcome:
  """`run` with its checkpoints open and its signals handled."""
  if checkpoints.steps()[-1:] == [config.train.steps]:
    return Outcome.ALREADY_FINISHED
  # Its populations may be gone, for want of space.
  if timeseries.reached(workdir)[-1:] == [config.train.steps]:
    return Outcome.ALREADY_FINISHED
  clock = rundir.Clock(workdir)
  seconds = programs.compile()
  say(
    f'{config.seeds.count} seeds on {programs.layout}; compiled in '
    f'{progress_lib.duration(seconds)}.'
  )
  population, step, writer = _start(workdir, config, programs, checkpoints, say)
  with progress_lib.Progress(
    config.train.steps, step, config.seeds.count
  ) as progress:
    work = _Run(config, programs, writer, checkpoints, progress, stop, clock)
    return work.go(population, step)


def run(
  config: config_lib.Config,
  workdir: pathlib.Path,
  say: Callable[[str], None] = _say,
) -> Outcome:
  """Runs a configuration in a directory, from where it stands to its end.

  Args:
    config: the checked configuration.
    workdir: the run's directory, new or of the same configuration.
    say: takes lines of text for the user.

  Raises:
    UserError: if the run cannot go on; what was computed is kept.
  """
  programs = programs_lib.Programs(config)  # the devices must fit, first
  rundir.prepare(workdir, config, say)
  stop = StopRequest()
  try:
    with (
      stop.installed(),
      checkpoints_lib.Checkpoints(
        workdir,
        keep=config.checkpoints.keep,
        keep_period=config.checkpoints.keep_period,
      ) as checkpoints,
    ):
      outcome = _run(config, workdir, programs, checkpoints, stop, say)
  except Exception as error:
    if not rundir.is_disk_full(error):
      raise
    raise UserError(
      f'the disk of {workdir} is full. The run is whole up to its last '
      f'checkpoint; free some space, then {_resume_hint(workdir)}'
    ) from error
  if outcome is Outcome.STOPPED:
    say(f'stopped by {stop.name} and saved; {_resume_hint(workdir)}')
  return outcome
