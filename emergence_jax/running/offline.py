"""Measures saved checkpoints after a run, into its timeseries.

Keys, probes, options and mapping are those of the loop, and so are the
numbers, to the bit on the same layout.
"""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from emergence_jax.base import names as names_lib
from emergence_jax.base import progress
from emergence_jax.base.types import UserError
from emergence_jax.config import schedule, schema
from emergence_jax.machine import processes
from emergence_jax.measures import MEASURES
from emergence_jax.running import loop, rundir
from emergence_jax.running import programs as programs_lib
from emergence_jax.running.sources import measuring
from emergence_jax.running.sources.saved import Saved
from emergence_jax.store import checkpoints as checkpoints_lib
from emergence_jax.store import files, timeseries
from emergence_jax.store import rows as rows_lib


def _with_measures(raw: Mapping[str, Any], names, options) -> schema.Config:
  """A run's configuration, with these measures on and with these options."""
  measures = {k: v for k, v in raw['measures'].items() if v is not None}
  for name in names:
    names_lib.find('--measures', name, MEASURES)
    given = {**measures.get(name, {}), **options.get(name, {})}
    measures[name] = {k: v for k, v in given.items() if k != 'on'}
  config = schema.from_mapping({**raw, 'measures': measures})
  for name in names:
    if name in config.left_out:
      raise UserError(config.left_out[name])
  return config


def load_config(
  workdir: pathlib.Path,
  names: Sequence[str],
  options: Mapping[str, Mapping[str, Any]] | None = None,
) -> schema.Config:
  """The configuration of a run, with these measures in it.

  A measure has the options of the run's configuration file, also where
  `--measures` left it out of the run; one that is not in there has its
  defaults.

  Args:
    workdir: run directory.
    names: of measures.
    options: measure → options that take the place of those.

  Raises:
    UserError: if the directory holds no run, or for an unknown name.
  """
  return _with_measures(rundir.read_config(workdir), names, options or {})


class Measured(NamedTuple):
  """Attributes: checkpoints measured, and steps of those that could not be."""

  checkpoints: int
  failed: list[int]


def _done(own: schema.Config, names, notes) -> dict[str, set[int]]:
  """Measure → steps at which it was measured, by the run or since."""
  return {
    name: set(own.measures[name].due(own.steps) if name in own.measures else ())
    | set(notes.get(name, {}).get('steps', ()))
    for name in names
  }


def _work(config, names, pairs, saved, chosen, done, log) -> measuring.Work:
  """Step → measures that are requested, missing and possible there."""
  steps = config.steps.tolist()
  before = dict(zip(steps[1:], steps))
  work, alone = {}, set()
  for step in chosen:
    wanted = [
      n
      for n in names
      if step not in done[n] and step >= config.measures[n].from_step
    ]
    if before.get(step) not in saved and pairs & set(wanted):
      wanted = [n for n in wanted if n not in pairs]
      if step in before:  # the first has none
        alone.add(step)
    if wanted:
      work[step] = wanted
  if alone:
    log(
      f'{", ".join(sorted(pairs))} needs the checkpoint before as well, which '
      f'is not saved for {len(alone)} of them.'
    )
  return work


def _add(
  workdir, own, config, names, checkpoints, lock, chosen, log
) -> Measured:
  """Measures the remaining steps, and adds the values to their rows."""
  writer = processes.lead(lambda: rows_lib.Writer(workdir))
  pairs = {name for name in names if config.built[name].pair}
  reached = writer.reached()
  saved = [s for s in checkpoints.steps() if s in reached]
  chosen = [s for s in chosen if s in reached]
  done = _done(own, names, writer.notes())
  work = _work(config, names, pairs, saved, chosen, done, log)
  log(
    f'{len(saved)} saved checkpoints of {len(reached)} measured by the run; '
    f'{len(work)} to measure.'
  )
  programs = programs_lib.Programs(config)
  programs.compile_measures(sorted({n for some in work.values() for n in some}))

  def write(step: int, row: measuring.Row) -> None:
    lock.check()
    for name, values in row.by_measure.items():
      options = config.measures[name].options
      writer.add_to_row(step, values, name, options)

  source = Saved(config, programs, checkpoints, writer.finite_until, log)
  left = progress.Left(work, log)
  failed = measuring.measure(source, work, write, log, left)
  left.log_spent()
  return Measured(len(work) - len(failed), failed)


def _check_options(workdir, own, config, names, notes) -> None:
  """Raises a UserError if a variable has values of other options."""
  for name in names:
    new = dict(config.measures[name].options)
    mine = name in own.measures
    if mine:
      old = dict(own.measures[name].options)
    else:
      old = notes.get(name, {}).get('options', new)
    if old != new:
      who = 'the run itself' if mine else 'an earlier call'
      remedy = (
        'measure a copy of the run made without it'
        if mine
        else 'give those, or --overwrite to measure all again'
      )
      raise UserError(
        f'{name} was measured in {workdir} by {who} with the options {old}, '
        f'and not with {new}; {remedy}.'
      )


def _add_variables(workdir, own, config, names, overwrite: bool) -> None:
  """Adds the variables of measures that a run did not have."""
  if overwrite:
    for name in set(names) - own.measures.keys():
      rows_lib.remove(workdir, name)
  notes = rows_lib.Writer(workdir).notes()
  _check_options(workdir, own, config, names, notes)
  for name in names:
    measure = config.built[name]
    timeseries.extend(workdir, name, measure.fields, measure.coords)


def measure(
  workdir: pathlib.Path,
  names: Sequence[str],
  log: Callable[[str], None],
  *,
  options: Mapping[str, Mapping[str, Any]] | None = None,
  overwrite: bool = False,
  wait: bool = False,
  steps: str = '',
) -> Measured:
  """Measures the saved checkpoints of a run and adds to its timeseries.

  What the run or an earlier call has measured is left alone, so that the same
  command goes on after a kill. Rows of the run that are damaged are measured
  again first.

  Args:
    workdir: run directory.
    names: of measures.
    log: takes lines of text for the user.
    options: measure → options that take the place of the configuration's.
    overwrite: whether what earlier calls have measured is measured again.
    wait: whether to wait for a run that is going on, instead of refusing.
    steps: range of steps, see `schedule.within`; all that are saved if empty.

  Returns:
    How many checkpoints were measured, and which could not be.

  Raises:
    UserError: if there is no run, it is in use, for an unknown measure, or for
      a range of steps of which none is saved.
  """
  load_config(workdir, names, options)  # raises for what is wrong with them
  agreed = processes.agreed
  log = processes.of_first(log)

  def check_it_exists():
    timeseries.load(workdir, lambda line: None)  # raises if there is none

  agreed(check_it_exists)
  with processes.lead(
    lambda: files.Lock(workdir, log if wait else None)
  ) as lock:
    raw = agreed(lambda: rundir.read_config(workdir, log))
    own = schema.from_mapping(raw)
    here = schema.on_this_machine(raw)
    if here != raw:
      log('this machine has other devices than the run had, and takes its own.')
    config = _with_measures(here, names, options or {})
    kept = config.checkpoints
    with checkpoints_lib.Checkpoints(
      workdir,
      keep=kept.keep,
      keep_period=kept.keep_period,
      run=schema.digest(raw),
    ) as checkpoints:
      saved = checkpoints.steps()
      chosen = schedule.within(saved, steps)  # before anything is removed
      agreed(lambda: loop.repair_timeseries(workdir, own, saved, log))
      loop.remeasure_damaged_rows(own, workdir, checkpoints, lock, log)
      agreed(lambda: _add_variables(workdir, own, config, names, overwrite))
      return _add(workdir, own, config, names, checkpoints, lock, chosen, log)
