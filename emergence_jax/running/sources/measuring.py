"""Measures a source of parameters into the rows of a timeseries."""

import dataclasses
import functools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent import futures
from typing import NamedTuple, Protocol

import jax
import numpy as np

from emergence_jax.base.types import MeasureSpec, Population, PyTree, Status
from emergence_jax.machine import processes
from emergence_jax.store import layout, rows

_LOOK_SECONDS = 0.2
Log = Callable[[str], None]
# Step → names of the measures that are wanted there.
Work = Mapping[int, Sequence[str]]


class Snapshot(NamedTuple):
  """Parameters of some seeds at one step.

  Attributes:
    places: int [s], of these seeds on the seed axis.
    population: what the programs take; the optimiser's state may lack.
    previous: parameters at the row before, for measures of pairs; None if
      there are none.
    names: of the measures that are wanted of these seeds; all if None.
  """

  places: np.ndarray
  population: Population
  previous: PyTree | None
  names: Sequence[str] | None = None


class Programs(Protocol):
  """Compiled measures of a population.

  Attributes:
    measures: name → (population, parameters before) → dict of arrays [s, ...].
    pairs: names of those that use the parameters before.
  """

  @property
  def measures(self) -> Mapping[str, Callable[[Population, PyTree], dict]]:
    """See the attributes."""
    ...

  @property
  def pairs(self) -> set[str]:
    """See the attributes."""
    ...


class Source(Protocol):
  """Gives parameters step by step, in increasing order.

  Attributes:
    seeds: numbers of all S seeds.
    programs: that measure them.
    interrupted: asked a few times a second whether to leave a measure that
      goes on; None if each is waited for.
  """

  @property
  def seeds(self) -> Sequence[int]:
    """See the attributes."""
    ...

  @property
  def programs(self) -> Programs:
    """See the attributes."""
    ...

  @property
  def interrupted(self) -> Callable[[], bool] | None:
    """See the attributes."""
    ...

  def at(self, step: int, names: Sequence[str]) -> Iterator[Snapshot] | None:
    """Snapshots at a step, for measures of these names.

    Returns:
      Snapshots, together of no seed twice; None if the source cannot get to
      the step, so that there is no row.
    """
    ...

  def status(self, step: int) -> np.ndarray:
    """Int8 [S]: `Status.OK`, or what is wrong with a seed's parameters.

    To be asked after `at`.
    """
    ...

  def is_stopping(self) -> bool:
    """Whether to leave a row unfinished; asked before each measure."""
    ...

  def after(self, step: int) -> bool:
    """Called once the row is written; whether to go on."""
    ...


class Row(NamedTuple):
  """What was measured at a step.

  Attributes:
    values: variable → [S, ...]; blank for seeds that there are none of.
    status: int8 [S].
    by_measure: name → its own variables.
    bad: per seed what is not finite, in words; empty where all is.
    seconds: name → what the measure took.
  """

  values: dict[str, np.ndarray]
  status: np.ndarray
  by_measure: dict[str, dict[str, np.ndarray]]
  bad: list[list[str]]
  seconds: dict[str, float]


def due(
  specs: Mapping[str, MeasureSpec], pairs: set[str], steps: Iterable[int]
) -> dict[int, list[str]]:
  """Step → measures that are due there; the first has none before it."""
  return {
    int(step): [
      name
      for name, spec in specs.items()
      if spec.is_due(row, step) and (row or name not in pairs)
    ]
    for row, step in enumerate(steps)
  }


def times(
  specs: Mapping[str, MeasureSpec], pairs: set[str], steps: Iterable[int]
) -> dict[str, int]:
  """Measure → at how many steps it is due."""
  wanted = due(specs, pairs, steps).values()
  return {name: sum(name in names for names in wanted) for name in specs}


def _measured(programs: Programs, name: str, snapshot: Snapshot) -> dict:
  """What a measure says of a snapshot, on the host."""
  with jax.profiler.TraceAnnotation(f'measure {name}'):
    program = programs.measures[name]
    measured = program(snapshot.population, snapshot.previous)
    return processes.to_host(measured)


def _blank(like: np.ndarray, seeds: int) -> np.ndarray:
  fill = layout.fill_value(like.dtype)
  return np.full((seeds, *like.shape[1:]), fill, like.dtype)


def _call(
  fn: Callable[[], dict], interrupted: Callable[[], bool] | None
) -> dict | None:
  """What a function returns; None if it was interrupted before.

  A compiled program cannot be stopped. So it is called in a thread, which is
  left behind: by a process that saves what it has, and ends.
  """
  if interrupted is None:
    return fn()
  future: futures.Future = futures.Future()

  def call():
    try:
      future.set_result(fn())
    except BaseException as error:  # raised where it is waited for
      future.set_exception(error)

  threading.Thread(target=call, daemon=True).start()
  while not futures.wait([future], timeout=_LOOK_SECONDS).done:
    if interrupted():
      return None
  return future.result()


def take(source: Source, step: int, names: Sequence[str]) -> Row | None:
  """Measures one step of a source; None if it cannot, or is to stop."""
  snapshots = source.at(step, names)
  if snapshots is None:
    return None
  count, programs = len(source.seeds), source.programs
  by_measure: dict[str, dict[str, np.ndarray]] = {}
  finite: dict[str, np.ndarray] = {}
  seconds: dict[str, float] = {}
  for snapshot in snapshots:
    for name in names if snapshot.names is None else snapshot.names:
      if source.is_stopping():
        return None
      if name in programs.pairs and snapshot.previous is None:
        continue
      began = time.monotonic()
      measured = _call(
        functools.partial(_measured, programs, name, snapshot),
        source.interrupted,
      )
      if measured is None:
        return None
      seconds[name] = seconds.get(name, 0.0) + time.monotonic() - began
      own = by_measure.setdefault(name, {})
      for key, value in measured.items():
        own.setdefault(key, _blank(value, count))[snapshot.places] = value
      good = finite.setdefault(name, np.ones(count, bool))
      good[snapshot.places] = rows.finite_seeds(measured)
    del snapshot  # before a source reads the next
  status = source.status(step).astype(np.int8)
  bad = [
    ['the training loss'] if s == Status.NON_FINITE else [] for s in status
  ]
  for name, good in finite.items():
    for seed in np.flatnonzero(~good):
      bad[seed].append(name)
      if status[seed] == Status.OK:
        status[seed] = Status.NON_FINITE
  values = {k: v for own in by_measure.values() for k, v in own.items()}
  return Row(values, status, by_measure, bad, seconds)


@dataclasses.dataclass
class _Said:
  """Logs once for each seed that something is not finite."""

  seeds: Sequence[int]
  log: Log
  known: set[int] = dataclasses.field(default_factory=set)

  def __call__(self, step: int, row: Row) -> None:
    for place, what in enumerate(row.bad):
      if what and place not in self.known:
        self.known.add(place)
        self.log(
          f'seed {self.seeds[place]} has non-finite values at step {step:,} '
          f'({", ".join(what)}); the row says so and the other seeds go on.'
        )


def measure(
  source: Source,
  work: Work,
  write: Callable[[int, Row], None],
  log: Log,
  report: Callable[[int, Mapping[str, float]], None] = lambda *_: None,
) -> list[int]:
  """Measures a source into rows, until it ends or is stopped.

  A row is written before the source may save or let go what it is of, so that
  a kill costs no more than one row.

  Args:
    source: gives the parameters.
    work: the steps, in increasing order, and what is wanted at each.
    write: writes a row.
    log: takes lines of text for the user.
    report: told each step when it is done, and what its measures took.

  Returns:
    The steps at which something that was wanted could not be measured.
  """
  failed, said = [], _Said(source.seeds, log)
  for step, names in work.items():
    row = take(source, step, names)
    if row is not None:
      write(step, row)
      said(step, row)
    if row is None or set(names) - row.by_measure.keys():
      failed.append(step)
    report(step, row.seconds if row else {})
    if not source.after(step):
      break
  return failed
