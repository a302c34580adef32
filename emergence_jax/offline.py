"""Measuring saved checkpoints after a run, into its timeseries.

Keys, probes and mapping are those of the loop, and so are the numbers, to the
bit on the same layout.
"""

import json
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax

from emergence_jax import checkpoints as checkpoints_lib
from emergence_jax import config as config_lib
from emergence_jax import programs as programs_lib
from emergence_jax import timeseries
from emergence_jax.measures import MEASURES
from emergence_jax.progress import duration
from emergence_jax.types import UserError


def read_config(workdir: pathlib.Path) -> dict:
  """The configuration of a run as it was given.

  Raises:
    UserError: if the directory holds no run.
  """
  path = workdir / 'config.json'
  if not path.exists():
    raise UserError(
      f'{workdir} holds no run (no config.json); give the directory of one.'
    )
  return json.loads(path.read_text())


def load_config(
  workdir: pathlib.Path, names: Sequence[str]
) -> config_lib.Config:
  """The configuration of a run, with these measures in it.

  A measure that the run did not have gets its default options.

  Raises:
    UserError: if the directory holds no run, or for an unknown name.
  """
  raw = read_config(workdir)
  measures = {k: v for k, v in raw['measures'].items() if v is not None}
  for name in names:
    config_lib.choose('--measures', name, MEASURES)
    measures.setdefault(name, {})
  return config_lib.from_mapping({**raw, 'measures': measures})


def _done_in_loop(workdir: pathlib.Path, config, name: str) -> set[int]:
  """Steps at which the run itself measured `name`."""
  if read_config(workdir)['measures'].get(name) is None:
    return set()
  return set(config.measures[name].due(config.steps))


class Measured(NamedTuple):
  """Attributes: checkpoints measured, and steps of those that could not be."""

  count: int
  failed: list[int]


class _Measuring:
  """One pass over the saved checkpoints of a run."""

  def __init__(self, workdir, config, names, checkpoints, say):
    self._config, self._names, self._say = config, names, say
    self._checkpoints = checkpoints
    self._programs = programs_lib.Programs(config)
    self._writer = timeseries.Writer(workdir)
    self._notes = dict(self._writer.notes.get(timeseries.MEASURED_LATER, {}))
    built = {
      n: config_lib.build_measure(config, n, config.measures[n]) for n in names
    }
    self._pairs = {name for name, measure in built.items() if measure.pair}
    self._done = {
      name: _done_in_loop(workdir, config, name)
      | set(self._notes.get(name, {}).get('steps', ()))
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
      self._writer.add_to_row(step, jax.device_get(values))
      blank = {
        'options': dict(self._config.measures[name].options),
        'steps': [],
      }
      self._notes.setdefault(name, blank)['steps'].append(step)
      # After the values: a kill in between measures them again.
      self._writer.notes[timeseries.MEASURED_LATER] = self._notes
    return True

  def _work(self, saved: list[int], before: dict[int, int]):
    """step → measures that are wanted, not there yet, and possible."""
    work, alone = {}, set()
    for step in saved:
      names = [n for n in self._names if step not in self._done[n]]
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


def measure(
  workdir: pathlib.Path, names: Sequence[str], say: Callable[[str], None]
) -> Measured:
  """Measures the saved checkpoints of a run and adds to its timeseries.

  What the run or an earlier call has measured is left alone, so that the same
  command goes on after a kill.

  Args:
    workdir: run directory.
    names: of measures.
    say: takes lines of text for the user.

  Returns:
    How many checkpoints were measured, and which could not be.

  Raises:
    UserError: if there is no run, or for an unknown measure.
  """
  config = load_config(workdir, names)
  timeseries.load(workdir)  # raises if there is none
  for name in names:
    built = config_lib.build_measure(config, name, config.measures[name])
    timeseries.extend(workdir, built.fields, built.coords)
  options = config.checkpoints
  with checkpoints_lib.Checkpoints(
    workdir, keep=options.keep, keep_period=options.keep_period
  ) as checkpoints:
    return _Measuring(workdir, config, names, checkpoints, say).run()
