"""The loop on the host: train, measure, write, save; and go on after a kill.

The order within a checkpoint makes a kill harmless: the row is written, then
the population is saved. Whatever lies past the newest whole checkpoint is
dropped when the run goes on, and is computed again to the same bits.
"""

import dataclasses
import enum
import json
import pathlib
import shlex
import time
from collections.abc import Callable

import jax
import numpy as np

from emergence_jax import checkpoints as checkpoints_lib
from emergence_jax import config as config_lib
from emergence_jax import files, rundir, stopping, store, timeseries, train
from emergence_jax import programs as programs_lib
from emergence_jax import progress as progress_lib
from emergence_jax import rows as rows_lib
from emergence_jax.types import Population, PyTree, Status, UserError

# A call trains for about so long, so that signals and progress get their turn.
_SEGMENT_SECONDS = 0.5


class Outcome(enum.Enum):
  """How a run ended."""

  FINISHED = 'finished'
  ALREADY_FINISHED = 'already finished'
  STOPPED = 'stopped'


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
  writer: rows_lib.Writer
  checkpoints: checkpoints_lib.Checkpoints
  progress: progress_lib.Progress
  stop: stopping.StopRequest
  clock: rundir.Clock
  lock: files.Lock
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
    self.lock.check()
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
    """Writes the row of a checkpoint; `previous` is the one before's params.

    Returns:
      bool [S], all is finite, and what is not, in words.
    """
    values = {}
    bad = [] if finite.all() else ['the training loss']
    for name, spec in self.config.measures.items():
      known = previous is not None or name not in self.programs.pairs
      if known and spec.is_due(row, step):
        measured = self.programs.measures[name](population, previous)
        measured = jax.device_get(measured)
        good = rows_lib.finite_seeds(measured)
        bad += [] if np.all(good) else [name]
        finite = finite & good
        values |= measured
    status = np.where(finite, Status.OK, Status.NON_FINITE)
    self.writer.write_row(step, values, status)
    return finite, ', '.join(bad)

  def make_again(self) -> None:
    """Measures the damaged rows whose populations are saved."""
    steps, saved = self.config.steps.tolist(), self.checkpoints.steps()
    damaged = self.writer.damaged()
    for step in [s for s in damaged if s in saved]:
      row, previous = steps.index(step), None
      like = self.programs.abstract_population
      population = self.checkpoints.restore(step, like, self.progress.say)
      if row and self.programs.pairs and steps[row - 1] in saved:
        found = self.checkpoints.restore(
          steps[row - 1], like, self.progress.say
        )
        previous = None if found is None else found.params
      if population is not None:
        finite = self.writer.finite_until(step)
        self.measure(population, previous, row, step, finite)
        self.progress.say(f'step {step:,} was damaged and is measured again.')
    lost = ', '.join(f'{s:,}' for s in damaged if s not in saved)
    if lost:
      self.progress.say(
        f'the rows of these steps stay damaged, since no population is saved: '
        f'{lost}.'
      )

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
        finite, what = self.measure(population, previous, row, step, finite)
        for seed in np.flatnonzero(said & ~finite):
          self.progress.say(
            f'seed {self.config.seeds.first + seed} has non-finite values at '
            f'step {step:,} ({what}); the row says so and the other seeds go '
            'on.'
          )
        said &= finite
        if self.programs.pairs:
          previous = self.programs.copy(population.params)
      self.lock.check()
      # One that was stopped before its first step is there already.
      if step not in self.checkpoints.steps():
        self.checkpoints.save(population)
      self.clock.record(step)
      if self.stop.name:
        self.checkpoints.wait()
        return Outcome.STOPPED
    self.checkpoints.wait()
    return Outcome.FINISHED


def layout(config: config_lib.Config) -> dict:
  """What the timeseries of a run is made with: arguments of `store.build`."""
  built = (
    config_lib.build_measure(config, name, spec)
    for name, spec in config.measures.items()
  )
  task = config.task
  seeds = config.seeds
  return {
    **store.declared(built, task.task_names, task.level_names),
    'chance_KxL': task.chance_KxL,
    'seeds': np.arange(seeds.first, seeds.first + seeds.count),
    'steps': config.steps,
    'train_steps': config.train.steps,
    'attributes': {
      'title': f'emergence_jax run: {config.raw["task"]["name"]}',
      'parameters': config.objective.num_params(),
      'config': json.dumps(config.raw, sort_keys=True),
    },
  }


def bring_in_line(
  workdir: pathlib.Path,
  config: config_lib.Config,
  saved: list[int],
  say: Callable[[str], None],
) -> list[int]:
  """Mends the timeseries of a run; returns the steps of its rows.

  Args:
    workdir: the run's directory, locked.
    config: its configuration.
    saved: steps of its saved populations; if the timeseries is gone, those can
      be measured again.
    say: takes a line about each damaged file.
  """
  if (workdir / store.NAME).is_dir():
    return rows_lib.mend(workdir, say, **layout(config))
  if saved:
    say(f'{workdir / store.NAME} is gone; what can be measured again will be.')
    timeseries.create(workdir, **layout(config))
    rows = [s for s in config.steps.tolist() if s <= saved[-1]]
    rows_lib.Writer(workdir).mark_damaged(rows)
  return timeseries.reached(workdir)


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
        'erase them. Give another --workdir, bring its folder '
        f'{checkpoints_lib.FOLDER}/ back, or give --overwrite.'
      )
    timeseries.create(workdir, **layout(config))
    return programs.init(), 0, rows_lib.Writer(workdir)
  step = int(restored.step[0])
  writer = rows_lib.Writer(workdir)
  dropped, lost = writer.drop_after(step)
  again = f'; {dropped} rows past it are computed again' if dropped else ''
  say(f'going on from the checkpoint of step {step:,}{again}.')
  if lost:
    say(
      f'{", ".join(lost)} had been measured there later; call '
      'experiments.measure again once the run has come to its end.'
    )
  return restored, step, writer


def _say(line: str) -> None:
  """Prints at once, also into a pipe or a batch job's log."""
  print(line, flush=True)


def _resume_hint(workdir: pathlib.Path) -> str:
  where = shlex.quote(str(workdir))
  return f'run the same command with --workdir={where} to go on.'


def make_again(
  config: config_lib.Config,
  workdir: pathlib.Path,
  checkpoints: checkpoints_lib.Checkpoints,
  lock: files.Lock,
) -> bool:
  """Measures the damaged rows of a run whose populations are saved.

  Returns:
    Whether there were any; if not, nothing is compiled.
  """
  writer = rows_lib.Writer(workdir)
  if not set(writer.damaged()) & set(checkpoints.steps()):
    return False
  programs = programs_lib.Programs(config)
  programs.compile_measures(config.measures)
  last = config.train.steps
  with progress_lib.Progress(last, last, config.seeds.count) as progress:
    _Run(
      config, programs, writer, checkpoints, progress, stopping.StopRequest(),
      rundir.Clock(workdir), lock,
    ).make_again()  # fmt: skip
  return True


def _run(config, workdir, checkpoints, stop, lock, say) -> Outcome:
  """`run` with its checkpoints open and its signals handled."""
  saved, last = checkpoints.steps(), [config.train.steps]
  reached = bring_in_line(workdir, config, saved, say)
  # Its populations may be gone, for want of space.
  if last in (saved[-1:], reached[-1:]):
    again = make_again(config, workdir, checkpoints, lock)
    return Outcome.FINISHED if again else Outcome.ALREADY_FINISHED
  clock = rundir.Clock(workdir)
  programs = programs_lib.Programs(config)
  seconds = programs.compile()
  say(
    f'{config.seeds.count} seeds on {programs.layout}; compiled in '
    f'{progress_lib.duration(seconds)}.'
  )
  population, step, writer = _start(workdir, config, programs, checkpoints, say)
  with progress_lib.Progress(
    config.train.steps, step, config.seeds.count
  ) as progress:
    work = _Run(
      config, programs, writer, checkpoints, progress, stop, clock, lock
    )
    work.make_again()
    return work.go(population, step)


def _explained(error: Exception, workdir, lock) -> UserError | None:
  """What a user can do about an error of the file system, if that is it."""
  try:
    lock.check()
  except UserError as moved:
    return moved
  if rundir.is_disk_full(error):
    return UserError(
      f'the disk of {workdir} is full. The run is whole up to its last '
      f'checkpoint; free some space, then {_resume_hint(workdir)}'
    )
  return None


def run(
  config: config_lib.Config,
  workdir: pathlib.Path,
  say: Callable[[str], None] = _say,
  *,
  overwrite: bool = False,
) -> Outcome:
  """Runs a configuration in a directory, from where it stands to its end.

  Args:
    config: the checked configuration.
    workdir: the run's directory, new or of the same configuration.
    say: takes lines of text for the user.
    overwrite: whether a run that is there is erased first.

  Raises:
    UserError: if the run cannot go on; what was computed is kept.
  """
  config_lib.check_devices(config)  # first, and before anything is written
  rundir.make(workdir)
  stop = stopping.StopRequest()
  with files.Lock(workdir) as lock:
    if overwrite:
      rundir.erase(workdir)
    rundir.prepare(workdir, config, say)
    try:
      with (
        stop.installed(),
        checkpoints_lib.Checkpoints(
          workdir,
          keep=config.checkpoints.keep,
          keep_period=config.checkpoints.keep_period,
          run=config_lib.digest(config.raw),
        ) as checkpoints,
      ):
        outcome = _run(config, workdir, checkpoints, stop, lock, say)
    except Exception as error:
      explained = _explained(error, workdir, lock)
      if explained is None or isinstance(error, UserError):
        raise
      raise explained from error
  if outcome is Outcome.STOPPED:
    say(f'stopped by {stop.name} and saved; {_resume_hint(workdir)}')
  return outcome
