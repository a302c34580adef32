"""Measuring saved checkpoints after a run, into its timeseries.

Keys, probes, options and mapping are those of the loop, and so are the
numbers, to the bit on the same layout.
"""

import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from emergence_jax import checkpoints as checkpoints_lib
from emergence_jax import config as config_lib
from emergence_jax import files, loop, rundir, timeseries
from emergence_jax import names as names_lib
from emergence_jax import programs as programs_lib
from emergence_jax import rows as rows_lib
from emergence_jax.measures import MEASURES
from emergence_jax.progress import duration
from emergence_jax.types import UserError


def _with(raw: Mapping[str, Any], names, options) -> config_lib.Config:
  """A run's configuration, with these measures on and with these options."""
  measures = {k: v for k, v in raw['measures'].items() if v is not None}
  for name in names:
    names_lib.find('--measures', name, MEASURES)
    given = {**measures.get(name, {}), **options.get(name, {})}
    measures[name] = {k: v for k, v in given.items() if k != 'on'}
  return config_lib.from_mapping({**raw, 'measures': measures})


def load_config(
  workdir: pathlib.Path,
  names: Sequence[str],
  options: Mapping[str, Mapping[str, Any]] | None = None,
) -> config_lib.Config:
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
  return _with(rundir.read_config(workdir), names, options or {})


class Measured(NamedTuple):
  """Attributes: checkpoints measured, and steps of those that could not be."""

  count: int
  failed: list[int]


class _Measuring:
  """One pass over the saved checkpoints of a run."""

  def __init__(self, workdir, own, config, names, checkpoints, lock, say):
    self._config, self._names, self._say = config, names, say
    self._checkpoints, self._lock = checkpoints, lock
    self._programs = programs_lib.Programs(config)
    self._writer = rows_lib.Writer(workdir)
    built = {
      n: config_lib.build_measure(config, n, config.measures[n]) for n in names
    }
    self._pairs = {name for name, measure in built.items() if measure.pair}
    notes = self._writer.notes()
    # Of what the run itself measured, and of what was added since.
    self._done = {
      name: set(
        own.measures[name].due(own.steps) if name in own.measures else ()
      )
      | set(notes.get(name, {}).get('steps', ()))
      for name in names
    }

  def _restore(self, step: int):
    return self._checkpoints.restore(
      step, self._programs.abstract_population, self._say
    )

  def _measure(self, step: int, before: int | None, names: list[str]) -> bool:
    """Measures one checkpoint and writes what was found; whether it could."""
    population = self._restore(step)
    previous = None
    if population is not None and self._pairs & set(names):
      found = self._restore(before)
      previous = None if found is None else found.params
    if population is None or (previous is None and self._pairs & set(names)):
      return False
    for name in names:
      values = self._programs.measures[name](population, previous)
      values = jax.device_get(values)
      self._lock.check()
      options = self._config.measures[name].options
      self._writer.add_to_row(step, values, name, options)
    return True

  def _work(self, saved: list[int], before: dict[int, int]):
    """step → measures that are wanted, not there yet, and possible."""
    work, alone = {}, set()
    for step in saved:
      names = [
        n
        for n in self._names
        if step not in self._done[n]
        and step >= self._config.measures[n].from_step
      ]
      if before.get(step) not in saved and self._pairs & set(names):
        names = [n for n in names if n not in self._pairs]
        if step in before:  # the first has none
          alone.add(step)
      if names:
        work[step] = names
    if alone:
      self._say(
        f'{", ".join(sorted(self._pairs))} needs the checkpoint before as '
        f'well, which is not saved for {len(alone)} of them.'
      )
    return work

  def run(self) -> Measured:
    """Measures what is left."""
    reached = set(self._writer.reached())
    saved = [s for s in self._checkpoints.steps() if s in reached]
    steps = self._config.steps.tolist()
    before = dict(zip(steps[1:], steps))
    work = self._work(saved, before)
    self._say(
      f'{len(saved)} saved checkpoints of {len(reached)} measured by the run; '
      f'{len(work)} to measure.'
    )
    if work:
      wanted = {n for names in work.values() for n in names}
      self._programs.compile_measures(sorted(wanted))
    began = time.monotonic()
    failed = []
    for i, (step, names) in enumerate(work.items()):
      if not self._measure(step, before.get(step), names):
        failed.append(step)
      spent = time.monotonic() - began
      left = duration(spent / (i + 1) * (len(work) - i - 1))
      self._say(f'step {step:,}: {i + 1} of {len(work)}, {left} left')
    return Measured(len(work) - len(failed), failed)


def _check_options(workdir, own, config, names, notes) -> None:
  """Values of other options do not go into one variable."""
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


def measure(
  workdir: pathlib.Path,
  names: Sequence[str],
  say: Callable[[str], None],
  *,
  options: Mapping[str, Mapping[str, Any]] | None = None,
  overwrite: bool = False,
  wait: bool = False,
) -> Measured:
  """Measures the saved checkpoints of a run and adds to its timeseries.

  What the run or an earlier call has measured is left alone, so that the same
  command goes on after a kill. Rows of the run that are damaged are measured
  again first.

  Args:
    workdir: run directory.
    names: of measures.
    say: takes lines of text for the user.
    options: measure → options that take the place of the configuration's.
    overwrite: whether what earlier calls have measured is measured again.
    wait: whether to wait for a run that is going on, instead of refusing.

  Returns:
    How many checkpoints were measured, and which could not be.

  Raises:
    UserError: if there is no run, it is in use, or for an unknown measure.
  """
  load_config(workdir, names, options)  # raises for what is wrong with them
  timeseries.load(workdir, lambda line: None)  # or if there is none
  with files.Lock(workdir, say if wait else None) as lock:
    raw = rundir.read_config(workdir, say)
    own = config_lib.from_mapping(raw)
    config = _with(raw, names, options or {})
    kept = config.checkpoints
    with checkpoints_lib.Checkpoints(
      workdir,
      keep=kept.keep,
      keep_period=kept.keep_period,
      run=config_lib.digest(raw),
    ) as checkpoints:
      loop.bring_in_line(workdir, own, checkpoints.steps(), say)
      loop.make_again(own, workdir, checkpoints, lock)
      if overwrite:
        for name in set(names) - own.measures.keys():
          rows_lib.remove(workdir, name)
      notes = rows_lib.Writer(workdir).notes()
      _check_options(workdir, own, config, names, notes)
      for name in names:
        built = config_lib.build_measure(config, name, config.measures[name])
        timeseries.extend(workdir, name, built.fields, built.coords)
      return _Measuring(
        workdir, own, config, names, checkpoints, lock, say
      ).run()
