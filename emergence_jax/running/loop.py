"""The loop of a run: train, measure, write, save; resume after a kill.

The order within a checkpoint makes a kill harmless: the row is written, then
the population is saved. Whatever lies past the newest whole checkpoint is
dropped when the run goes on, and is computed again to the same bits.
"""

import contextlib
import enum
import json
import pathlib
import shlex
from collections.abc import Callable
from typing import NamedTuple

from emergence_jax.base import arms as arms_lib
from emergence_jax.base import progress as progress_lib
from emergence_jax.base.types import UserError
from emergence_jax.config import schema
from emergence_jax.interventions import intervention
from emergence_jax.machine import processes, profiling, stopping
from emergence_jax.running import extending, live, rundir
from emergence_jax.running import programs as programs_lib
from emergence_jax.running.sources import measuring
from emergence_jax.running.sources.saved import Saved
from emergence_jax.running.sources.training import SAVING, Training
from emergence_jax.store import checkpoints as checkpoints_lib
from emergence_jax.store import files, timeseries
from emergence_jax.store import layout as store_layout
from emergence_jax.store import rows as rows_lib


class Outcome(enum.Enum):
  """How a run ended."""

  FINISHED = 'finished'
  ALREADY_FINISHED = 'already finished'
  STOPPED = 'stopped'


def layout(config: schema.Config) -> dict:
  """Arguments of `layout.build` for the timeseries of a run."""
  task = config.task
  arms = config.arms
  return {
    **store_layout.declared(
      config.built.values(), task.task_names, task.level_names
    ),
    'chance_KxL': task.chance_KxL,
    'seeds': config.member_seeds,
    'arms': arms_lib.names_of_members(arms, config.seeds.count),
    'steps': config.steps,
    'train_steps': config.train.steps,
    'attributes': {
      'title': f'emergence_jax run: {config.raw["task"]["name"]}',
      'parameters': config.objective.num_params(),
      'config': json.dumps(config.raw, sort_keys=True),
      **({arms_lib.ATTRIBUTE: arms_lib.to_text(arms)} if arms else {}),
    },
  }


def _population_of(config: schema.Config) -> str:
  """The population in words: `5 arms of 8 seeds`."""
  arms = f'{len(config.arms)} arms of ' if config.arms else ''
  return f'{arms}{config.seeds.count} seeds'


def repair_timeseries(
  workdir: pathlib.Path,
  config: schema.Config,
  saved: list[int],
  log: Callable[[str], None],
) -> list[int]:
  """Repairs the timeseries of a run; returns the steps of its rows.

  Args:
    workdir: the run's directory, locked.
    config: its configuration.
    saved: steps of its saved populations; if the timeseries is gone, those can
      be measured again.
    log: takes a line about each damaged file.
  """
  if (workdir / store_layout.NAME).is_dir():
    return rows_lib.mend(workdir, log, **layout(config))
  if saved:
    log(
      f'{workdir / store_layout.NAME} is gone; what can be measured again '
      'will be.'
    )
    timeseries.create(workdir, **layout(config))
    rows = [s for s in config.steps.tolist() if s <= saved[-1]]
    rows_lib.Writer(workdir).mark_damaged(rows)
  return timeseries.reached(workdir)


def _start(workdir, config, programs, checkpoints, log):
  """The population to resume from, its step, and the writer."""
  restored = checkpoints.restore_latest(programs.abstract_population, log)
  if restored is None:
    rows = processes.agreed(lambda: timeseries.reached(workdir))
    # A kill can leave the rows up to the second save, by which the first is on
    # the disk.
    if len(rows) > 1 + config.checkpoints.save_every:
      raise UserError(
        f'{workdir} holds {len(rows)} measured checkpoints, up to step '
        f'{rows[-1]:,}, and no population to go on from: beginning again would '
        'erase them. Give another --workdir, bring its folder '
        f'{checkpoints_lib.FOLDER}/ back, or give --overwrite.'
      )
    made = layout(config)
    processes.agreed(lambda: timeseries.create(workdir, **made))
    writer = processes.lead(lambda: rows_lib.Writer(workdir))
    first = int(config.steps[0])
    if first:  # the history so far is that of the run it begins from
      writer.blank_history(first)
    return programs.init(), first, writer
  step = restored.now()
  writer = processes.lead(lambda: rows_lib.Writer(workdir))
  dropped, lost = writer.drop_after(step)
  again = f'; {dropped} rows past it are computed again' if dropped else ''
  log(f'going on from the checkpoint of step {step:,}{again}.')
  if lost:
    log(
      f'{", ".join(lost)} had been measured there later; call '
      'experiments.measure again once the run has come to its end.'
    )
  return restored, step, writer


def _print(line: str) -> None:
  """Prints at once, also into a pipe or a batch job's log."""
  print(line, flush=True)


def _resume_hint(workdir: pathlib.Path) -> str:
  where = shlex.quote(str(workdir))
  return f'run the same command with --workdir={where} to go on.'


def remeasure_damaged_rows(
  config: schema.Config,
  workdir: pathlib.Path,
  checkpoints: checkpoints_lib.Checkpoints,
  lock: files.Lock,
  log: Callable[[str], None],
  programs: programs_lib.Programs | None = None,
) -> bool:
  """Measures damaged rows again where their populations are saved.

  Args:
    config: of the run.
    workdir: the run's directory.
    checkpoints: its saved populations.
    lock: of the directory.
    log: takes lines of text for the user.
    programs: compiled measures; compiled here, if need be, if absent.

  Returns:
    Whether there were any; if not, nothing is compiled.
  """
  writer = processes.lead(lambda: rows_lib.Writer(workdir))
  damaged, saved = writer.damaged(), checkpoints.steps()
  again = [s for s in damaged if s in saved]
  lost = ', '.join(f'{s:,}' for s in damaged if s not in saved)
  if again:
    if programs is None:
      programs = programs_lib.Programs(config)
      programs.compile_measures(config.measures)
    wanted = measuring.due(config.measures, programs.pairs, config.steps)

    def write(step: int, row: measuring.Row) -> None:
      lock.check()
      writer.write_row(step, row.values, row.status)
      log(f'step {step:,} was damaged and is measured again.')

    source = Saved(config, programs, checkpoints, writer.finite_until, log)
    measuring.measure(source, {s: wanted[s] for s in again}, write, log)
  if lost:
    log(
      f'the rows of these steps stay damaged, since no population is saved: '
      f'{lost}.'
    )
  return bool(again)


class _Watched(NamedTuple):
  """Attributes: a profile of some steps, where scalars go, who is told."""

  profile: profiling.Profile
  tracker: str
  on_row: Callable[[int], None]
  leaves_at_once: bool

  def compiling(self, workdir: pathlib.Path):
    """While programs are compiled: a signal need not wait for them."""
    if not self.leaves_at_once:
      return contextlib.nullcontext()
    return stopping.at_once(_resume_hint(workdir))


def _lacks_last(config: schema.Config, saved: list[int]) -> bool:
  """Whether a kill came between the last row and its population.

  The run then goes on from the one before. Where older ones are all there is,
  or none, somebody has removed them for want of space, and it is finished.
  """
  due = config.checkpoints.saved(config.steps)
  return bool(saved) and due[-2:-1] <= saved[-1:] < due[-1:]


def _run(config, workdir, checkpoints, stop, lock, log, watched) -> Outcome:
  """`run` with its checkpoints open and its signals handled."""
  saved = checkpoints.steps()
  reached = processes.agreed(
    lambda: repair_timeseries(workdir, config, saved, log)
  )
  if reached[-1:] == [config.train.steps] and not _lacks_last(config, saved):
    again = remeasure_damaged_rows(config, workdir, checkpoints, lock, log)
    return Outcome.FINISHED if again else Outcome.ALREADY_FINISHED
  clock = processes.lead(lambda: rundir.Clock(workdir))
  programs = programs_lib.Programs(config)
  with watched.compiling(workdir):
    seconds = programs.compile(log)
  log(
    f'{_population_of(config)} on {programs.layout}; training compiled in '
    f'{progress_lib.duration(seconds)}.'
  )
  population, step, writer = _start(workdir, config, programs, checkpoints, log)
  with progress_lib.Progress(
    config.train.steps,
    step,
    config.members,
    quiet=not processes.leads(),
  ) as progress:
    remeasure_damaged_rows(
      config, workdir, checkpoints, lock, progress.log, programs
    )
    wanted = measuring.due(config.measures, programs.pairs, config.steps)
    forecast = progress_lib.Forecast(
      {step: [*names, SAVING] for step, names in wanted.items()},
      intervention.windows(config.interventions.values(), config.train.steps),
    )
    source = Training(
      config, programs, writer, checkpoints, progress, forecast, stop, clock,
      lock, population, step, watched.profile, watched.leaves_at_once,
    )  # fmt: skip

    shown = live.open_log(
      watched.tracker if processes.leads() else '',
      workdir,
      layout(config),
      step,
    )

    def write(step: int, row: measuring.Row) -> None:
      writer.write_row(step, row.values, row.status)
      shown.row(step, row.values, source.point.means)
      watched.on_row(step)
      for name, seconds in row.seconds.items():
        forecast.done(name, seconds)

    work = {s: wanted[s] for s in source.left()}
    try:
      measuring.measure(source, work, write, progress.log)
      if spent := forecast.spent():
        progress.log(spent)
    finally:
      watched.profile.close()
      shown.close()
  checkpoints.wait()
  if source.stopped_by is None:
    return Outcome.FINISHED
  kept = 'and saved'
  if source.point.step not in checkpoints.steps():
    kept = f'and saved up to step {checkpoints.steps()[-1]:,}'
  log(f'stopped by {source.stopped_by} {kept}; {_resume_hint(workdir)}')
  return Outcome.STOPPED


def _extend_if_longer(workdir, config, log) -> None:
  """Extends the timeseries if the configuration has more steps.

  Raises:
    UserError: if it cannot; it says why.
  """
  extending.recover(workdir)
  if not (workdir / store_layout.NAME).is_dir():
    return
  kept = rundir.read_config(workdir, log)
  if extending.is_longer(kept, config.raw):
    old = schema.from_mapping(kept)
    extending.check(old, config)
    rows_lib.mend(workdir, log, **layout(old))
    extending.extend(workdir, old, layout(config), log)


def _prepare(workdir, config, overwrite: bool, log) -> None:
  """Prepares a run's files, in its locked directory."""
  if overwrite:
    rundir.erase(workdir)
  _extend_if_longer(workdir, config, log)
  rundir.prepare(workdir, config, log)


def _explained(error: Exception, workdir, lock) -> UserError | None:
  """What a user can do about an error of disk or memory; else None."""
  if processes.leads():  # the others may not be there any more
    try:
      getattr(lock, 'own', lock).check()
    except UserError as moved:
      return moved
  if 'RESOURCE_EXHAUSTED' in str(error):
    first = str(error).partition('RESOURCE_EXHAUSTED')[2].splitlines()[0]
    return UserError(
      f'a device has too little memory{first[:200]}. Take fewer seeds at once '
      '(--config.seeds.at_once=…, of one measure '
      '--config.measures.NAME.seeds_at_once=…), fewer examples at once '
      '(--config.measures.NAME.examples_at_once=…), or several devices a seed '
      '(--config.seeds.devices_per_seed=…); --dry_run prints what each needs. '
      f'Then {_resume_hint(workdir)}'
    )
  if rundir.is_disk_full(error):
    return UserError(
      f'the disk of {workdir} is full. The run is whole up to its last '
      f'checkpoint; free some space, then {_resume_hint(workdir)}'
    )
  return None


def run(
  config: schema.Config,
  workdir: pathlib.Path,
  log: Callable[[str], None] = _print,
  *,
  overwrite: bool = False,
  profile: str = '',
  tracker: str = '',
  on_row: Callable[[int], None] = lambda step: None,
  leaves_at_once: bool = False,
) -> Outcome:
  """Runs a configuration in a directory to its end, resuming what exists.

  Args:
    config: the checked configuration.
    workdir: the run's directory, new or of the same configuration.
    log: takes lines of text for the user.
    overwrite: whether a run that is there is erased first.
    profile: `START:STOP`, steps of which a trace is written to `profile/`.
    tracker: where scalars are sent while the run goes on, of `live.KINDS`;
      nowhere if empty.
    on_row: called behind every row, with its step.
    leaves_at_once: whether the process ends behind a signal, so that neither
      programs that are compiled then nor a measure are waited for.

  Raises:
    UserError: if the run cannot go on; what was computed is kept.
  """
  schema.check_devices(config)  # first, and before anything is written
  live.check(tracker)
  traced: profiling.Profile = profiling.NoProfile()
  if profile:
    traced = profiling.parse(profile, workdir, config.train.steps)
  flags = {'workdir': str(workdir), 'overwrite': overwrite, 'profile': profile}
  processes.check_same(
    {'config': config.raw, **flags, 'log': tracker}, schema.differences
  )
  log = processes.of_first(log)
  processes.agreed(lambda: rundir.make(workdir))
  stop = stopping.StopRequest()
  with processes.lead(lambda: files.Lock(workdir)) as lock:
    processes.agreed(lambda: _prepare(workdir, config, overwrite, log))
    try:
      with (
        stop.installed(),
        checkpoints_lib.Checkpoints(
          workdir,
          keep=config.checkpoints.keep,
          keep_period=config.checkpoints.keep_period,
          run=schema.digest(config.raw),
        ) as checkpoints,
      ):
        watched = _Watched(traced, tracker, on_row, leaves_at_once)
        return _run(config, workdir, checkpoints, stop, lock, log, watched)
    except Exception as error:
      explained = _explained(error, workdir, lock)
      if explained is None or isinstance(error, UserError):
        raise
      raise explained from error
