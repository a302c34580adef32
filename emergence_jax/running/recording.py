"""Measures checkpoints that were trained elsewhere, into a timeseries.

`measures_of` measures parameters at hand; `measure_checkpoints` any number of
them, step by step, into a folder that analysis and report read as a run's.
"""

import json
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from emergence_jax.base import progress
from emergence_jax.base.types import (
  Measure,
  MeasureSpec,
  Population,
  PyTree,
  Status,
  UserError,
)
from emergence_jax.config import measures as measure_specs
from emergence_jax.config import schema
from emergence_jax.models.objective import Objective
from emergence_jax.models.protocol import Model
from emergence_jax.running import fingerprints, growing, rundir
from emergence_jax.running import programs as programs_lib
from emergence_jax.running.sources import measuring
from emergence_jax.running.sources.measuring import Log
from emergence_jax.running.sources.singly import OneByOne
from emergence_jax.store import files, rows, timeseries
from emergence_jax.store import layout as store_layout
from emergence_jax.tasks.task import Exams


class Subject(NamedTuple):
  """A model, its measures and schedule, and its configuration.

  Attributes:
    objective: the model under its exams.
    specs: name → when and how.
    measures: name → the measure.
    steps: of the rows.
    seeds: numbers of the seeds.
    config: kept in the timeseries; what it was measured by.
  """

  objective: Objective
  specs: dict[str, MeasureSpec]
  measures: dict[str, Measure]
  steps: Sequence[int]
  seeds: Sequence[int]
  config: dict[str, Any]


def _layout(subject: Subject) -> dict[str, Any]:
  """What the timeseries is made with."""
  exams = subject.objective.exams
  built = subject.measures.values()
  return {
    **store_layout.declared(built, exams.task_names, exams.level_names),
    'chance_KxL': exams.chance_KxL,
    'seeds': np.array(subject.seeds),
    'steps': np.array(subject.steps),
    'train_steps': 0,
    'attributes': {
      'title': f'emergence_jax measurements: {subject.config["model"]["size"]}',
      'parameters': subject.objective.num_params(),
      'config': json.dumps(subject.config, sort_keys=True),
    },
  }


def _open(workdir: pathlib.Path, subject: Subject, log: Log) -> None:
  """Creates the timeseries, or goes on with one of the same subject.

  Raises:
    UserError: if there is one of something else.
  """
  layout = _layout(subject)
  growing.recover(workdir)

  def make() -> None:
    timeseries.create(workdir, **layout)
    files.write_json(workdir / 'config.json', subject.config, checked=False)

  if not (workdir / store_layout.NAME).is_dir():
    make()
    files.write_json(workdir / 'env.json', rundir.environment())
    return
  kept = rundir.read_config(workdir, log)
  different = growing.differences(kept, subject.config)
  if different:
    raise growing.refuse(workdir, different)
  if growing.MEASURED not in kept:
    log(
      'these measurements were begun by an older version, which kept no '
      'checksum of what it measured; they are taken to be of the same.'
    )
  if growing.is_grown(kept, subject.config):
    growing.set_aside(workdir, make)
  else:
    rows.mend(workdir, log, **layout)


def record(
  workdir: pathlib.Path,
  subject: Subject,
  source_of: Callable[[programs_lib.OneSeed], OneByOne],
  log: Log,
) -> int:
  """Measures a source into the rows that are missing.

  Args:
    workdir: where the timeseries is, or is to be.
    subject: what is measured.
    source_of: compiled measures → source.
    log: takes lines of text for the user.

  Returns:
    How many rows were measured now.
  """
  workdir.mkdir(parents=True, exist_ok=True)
  with files.Lock(workdir) as lock:
    _open(workdir, subject, log)
    writer = rows.Writer(workdir)
    programs = programs_lib.OneSeed(subject.measures)
    done = set(writer.reached()) - set(writer.damaged())
    due = measuring.due(subject.specs, programs.pairs, subject.steps)
    work = {step: names for step, names in due.items() if step not in done}
    known = growing.Known(
      growing.before(workdir, log), subject.measures, programs.pairs,
      subject.steps, subject.seeds,
    )  # fmt: skip

    def write(step: int, row: measuring.Row) -> None:
      lock.check()
      known.fill(step, row.values, row.status)
      writer.write_row(step, row.values, row.status)

    clock, left = rundir.Clock(workdir), progress.Left(work, log)

    def report(step: int, seconds: Mapping[str, float]) -> None:
      clock.record(step)
      left(step, seconds)

    # Rows that do not follow from what was set aside.
    new = [
      step
      for step, names in work.items()
      if any(set(names) - known.names(step, s) for s in subject.seeds)
    ]
    source = source_of(programs)
    source.known = known.names
    measuring.measure(source, work, write, log, report)
    growing.end(workdir)
    left.log_spent()
  return len(new)


def _built(
  objective: Objective, measures: Mapping[str, Any]
) -> tuple[dict[str, MeasureSpec], dict[str, Measure]]:
  """Specs and functions of measures, all of which the exams must allow.

  Raises:
    UserError: for a wrong name or option, or what the exams do not allow.
  """
  specs, _ = measure_specs.parse(schema.plain(measures))
  built, unavailable = measure_specs.build(objective, specs)
  for sentence in unavailable.values():
    raise UserError(sentence)
  return specs, built


class Measures:
  """Measures of a model that were compiled once, see `measures_of`.

  Attributes:
    fields: variable → what it is.
  """

  def __init__(self, built: Mapping[str, Measure]):
    self._programs = programs_lib.OneSeed(built)
    self.fields = {
      name: field
      for measure in built.values()
      for name, field in measure.fields.items()
    }

  def __call__(
    self,
    params: PyTree,
    step: int = 0,
    seed: int = 0,
    previous: PyTree = None,
  ) -> dict[str, np.ndarray]:
    """Variable → array, of one seed's parameters.

    Args:
      params: parameters.
      step: by which random directions are drawn, as is `seed`.
      seed: number of the seed.
      previous: parameters of the checkpoint before; measures of pairs are left
        out without.
    """
    at = Population(jnp.array([step]), jnp.array([seed]), params, ())
    results: dict[str, np.ndarray] = {}
    for name, call in self._programs.measures.items():
      if name not in self._programs.pairs or previous is not None:
        results |= {k: v[0] for k, v in call(at, previous).items()}
    return results


def measures_of(
  model: Model, exams: Exams, measures: Mapping[str, Mapping[str, Any]]
) -> Measures:
  """A function that measures parameters of a model; it compiles once.

  Args:
    model: see `models.base.Model`; `models.adapters` makes them.
    exams: what the model is examined on, see `tasks.base.Exams`.
    measures: name → options, as in a configuration's `measures`.

  Returns:
    (params, step=0, seed=0, previous=None) → variable → array. Measures of
    pairs are left out without the `previous` parameters.

  Raises:
    UserError: for a wrong name or option.
  """
  return Measures(_built(Objective(model, exams), measures)[1])


class _Loaded(OneByOne):
  """A `Source` of whatever a function loads: (step, seed) → parameters."""

  def __init__(self, load, seeds, steps, model: Model, programs, log: Log):
    super().__init__(seeds, steps, programs, log)
    self._given = load
    self._structure = fingerprints.of_model(model)

  def _read(self, seed, step):
    """What the function gives, if it is of the model."""
    try:
      params = self._given(step, seed)
      if params is None:
        return None
      if fingerprints.of_structure(params) != self._structure:
        raise UserError('its parameters are not of the structure of the model')
    except Exception as error:  # whatever a user's function raises
      known = isinstance(error, (UserError, OSError))
      kind = '' if known else f'{type(error).__name__}: '
      self._leave_out(seed, step, Status.MISSING, f'{kind}{error}')
      return None
    return params


def _whole_numbers(name: str, values: Iterable[int]) -> list[int]:
  """Numbers of an argument, in their order.

  Raises:
    UserError: if there are none, or one is doubled.
  """
  numbers = [int(value) for value in values]
  doubled = sorted({n for n in numbers if numbers.count(n) > 1})
  if not numbers or doubled:
    what = f'holds {doubled[0]} twice' if doubled else 'is empty'
    raise UserError(f'{name} {what}.')
  return numbers


def _first(
  load, kept: Mapping[str, Any], steps: Sequence[int], seeds: Sequence[int]
) -> dict[str, Any]:
  """Checksum of a checkpoint's parameters: the one that was taken before."""
  step, seed = kept.get('first_at', (steps[0], seeds[0]))
  try:
    params = load(step, seed)
  except Exception:  # which is said when its turn comes
    params = None
  if params is None:
    return {}
  return {'first': fingerprints.of_values(params), 'first_at': [step, seed]}


def measure_checkpoints(
  load: Callable[[int, int], PyTree | None],
  workdir: str | pathlib.Path,
  *,
  model: Model,
  exams: Exams,
  measures: Mapping[str, Mapping[str, Any]],
  steps: Iterable[int],
  seeds: Iterable[int] = (0,),
  name: str = '',
  log: Log = print,
) -> int:
  """Measures checkpoints of your own training; resumes where it stopped.

  Args:
    load: (step, seed) → parameters; None if there are none. One that raises
      is marked as missing, and the others go on.
    workdir: where the timeseries is to be; `experiments.report` takes it.
    model: see `models.base.Model`.
    exams: what the model is examined on, see `tasks.base.Exams`.
    measures: name → options, as in a configuration's `measures`.
    steps: of the checkpoints, increasing; more than at the last call go on
      with what is there, as do more seeds or measures.
    seeds: numbers of the seeds.
    name: of the model, for tables; that of the folder if empty.
    log: takes lines of text for the user.

  Returns:
    How many rows were measured now.

  Raises:
    UserError: for a wrong name or option, or a folder of something else.
  """
  workdir = pathlib.Path(workdir).expanduser()
  rows_at = _whole_numbers('steps', steps)
  numbers = _whole_numbers('seeds', seeds)
  if rows_at != sorted(rows_at):
    raise UserError(f'steps={rows_at} must increase.')
  objective = Objective(model, exams)
  specs, built = _built(objective, measures)
  kept = files.read_json(workdir / 'config.json', checked=False) or {}
  before = kept.get(growing.MEASURED, {})
  config = {
    'measures': schema.plain(measures),
    'task': {'name': type(exams).__name__},
    'model': {'size': name or workdir.resolve().name},
    'train': {'steps': rows_at[-1]},
    'checkpoints': {'steps': rows_at, 'seeds': numbers},
    growing.MEASURED: {
      'model': fingerprints.of_model(model),
      'exams': fingerprints.of_exams(exams),
      **_first(load, before, rows_at, numbers),
    },
  }
  subject = Subject(objective, specs, built, rows_at, numbers, config)
  return record(
    workdir,
    subject,
    lambda programs: _Loaded(load, numbers, rows_at, model, programs, log),
    log,
  )
