"""What moves first in each run: the tests of every measure, and each lead."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from emergence_jax.analysis import (
  emergence,
  precedence,
  series,
  statistics,
  transitions,
)
from emergence_jax.analysis import events as events_lib
from emergence_jax.analysis.changes import LEAST
from emergence_jax.analysis.events import Events
from emergence_jax.analysis.runs import Run, Runs


def in_group(run: Run, group: str) -> np.ndarray:
  """Bool [K]: tasks of one of a run's groups."""
  kinds = np.array([run.group_of(task) for task in run.tasks])
  return (kinds == group) | (group == 'all')


def emerged(data: xr.Dataset) -> np.ndarray:
  """Bool [S, K, L]: the events of a run, by `emergence.RULE_OF_EVENTS`."""
  return np.isfinite(emergence.by_rule(data, emergence.RULE_OF_EVENTS).values)


class Groups(NamedTuple):
  """Attributes: groups within which seeds, and tasks, are exchangeable."""

  seed_group_S: Sequence = ()
  task_group_K: Sequence = ()


_ALIKE = Groups()


def groups_of(run: Run) -> Groups:
  """Which seeds and tasks of a run are exchangeable."""
  return Groups(run.seed_groups, [run.group_of(task) for task in run.tasks])


def events_of(
  data: xr.Dataset, item: series.Series, groups: Groups = _ALIKE
) -> Events | int | None:
  """Where a measure of a run and its behaviour change.

  Args:
    data: the timeseries of a run, or a part of it.
    item: the measure.
    groups: of its seeds and tasks.

  Returns:
    The events; the number of checkpoints if they are too few to show a change;
    None if it was not measured.
  """
  taken = series.take(data, item)
  if taken is None:
    return None
  if len(taken.step_C) < LEAST:
    return len(taken.step_C)
  return events_lib.find(
    taken.measure_SKC,
    taken.behaviour_SKLC,
    taken.step_C,
    emerged(data) & taken.there_K[:, None],
    *groups,
  )


Changes = dict[str, dict[str, Events | int]]


def find(
  runs: Runs,
  on_measure: Callable[[str], None] = lambda label: None,
) -> Changes:
  """Run → measure → the result of `events_of`, where it was measured."""
  changes: Changes = {}
  for name, run in runs.items():
    changes[name] = {}
    for measure, item in series.tested(run.data).items():
      on_measure(f'{name}: changes of {measure}')
      events = events_of(run.data, item, groups_of(run))
      if events is not None:
        changes[name][measure] = events
  return changes


def _medians(events: Events) -> dict[str, float]:
  """Median steps of both changes, of the events that count and are clear."""
  known = events.known_SKL
  measure = np.broadcast_to(events.measure_SK[..., None], known.shape)[known]
  behaviour = events.behaviour_SKL[known]
  return {
    f'step_of_{name}': float(np.median(events.steps(places)))
    if known.any()
    else np.nan
    for name, places in (('change', measure), ('behaviour', behaviour))
  }


def _family(head, kind, events, inside_K, draws) -> list[dict]:
  """A row for each of some measures that are tested together.

  Those that were taken of none of these tasks are not among them.
  """
  has = {n: e.emerged_SKL[:, inside_K].any() for n, e in events.items()}
  events = {n: e for n, e in events.items() if has[n] or not any(has.values())}
  inside = [e.of_tasks(inside_K) for e in events.values()]
  tests = [precedence.test_events(e, draws=draws) for e in inside]
  p_values = [precedence.p_precedes(t) for t in tests]
  alone = [precedence.by_definition(e, draws=draws) for e in inside]
  columns = zip(
    events, tests, map(_medians, inside), p_values, statistics.holm(p_values),
    precedence.verdicts(tests, alone), precedence.preceding_by(alone),
  )  # fmt: skip
  return [
    {**head, kind: name, 'events': test.events, **test._asdict(), **steps,
     'p_precedes': p, 'p_holm': p_holm, 'verdict': word, 'precedes_by': by}
    for name, test, steps, p, p_holm, word, by in columns
  ]  # fmt: skip


def tests_table(
  runs: Runs,
  changes: Changes,
  *,
  draws: int = precedence.DRAWS,
) -> pd.DataFrame:
  """Tests of every measure, per run and group of tasks, with verdicts.

  p-values of a run and group are corrected by Holm over its measures.
  """
  rows = []
  for run, measures in changes.items():
    events = {n: e for n, e in measures.items() if isinstance(e, Events)}
    for group in runs[run].groups:
      inside = in_group(runs[run], group)
      if not inside.any():
        continue
      head = {'run': run, 'tasks': group}
      rows += _family(head, 'measure', events, inside, draws)
  return pd.DataFrame(rows)


def leads_table(runs: Runs, changes: Changes) -> pd.DataFrame:
  """Every event: steps and checkpoints by which behaviour follows.

  `lead` is from midpoint to midpoint; those of onsets and ends, in checkpoints,
  and the word for the order of the three stand beside it.
  """
  rows = []
  for run, measures in changes.items():
    data = runs[run].data
    for name, events in measures.items():
      if not isinstance(events, Events):
        continue
      lead, places = events.lead_SKL, events.places_3SKL
      words = events.words_SKL
      for s, k, j in np.ndindex(*lead.shape):
        rows.append({
          'run': run, 'measure': name, 'seed': int(data.seed.values[s]),
          'task': str(data.task.values[k]),
          'level': str(data.level.values[j]),
          'emerged': bool(events.emerged_SKL[s, k, j]),
          'lead_steps': lead[s, k, j],
          'lead_checkpoints': places[transitions.MIDPOINT, s, k, j],
          'onset_checkpoints': places[transitions.ONSET, s, k, j],
          'end_checkpoints': places[transitions.END, s, k, j],
          'order': words[s, k, j],
        })  # fmt: skip
  return pd.DataFrame(rows)


def memorisation_table(
  runs: Runs, *, draws: int = precedence.DRAWS
) -> pd.DataFrame:
  """The same tests against the accuracy on what was trained on.

  Where a network memorises before it generalises, a measure that changes with
  memorisation is early by as much as generalisation is late.
  """
  rows = []
  for label, run in runs.items():
    data = run.data
    if 'train_accuracy' not in data:
      continue
    # Learned by the same rule as what is held out.
    learned = data.assign(accuracy=data.train_accuracy)
    events = {
      n: events_of(learned, item, groups_of(run))
      for n, item in series.tested(data).items()
    }
    events = {n: e for n, e in events.items() if isinstance(e, Events)}
    head = {'run': label, 'tasks': 'all'}
    inside = in_group(run, 'all')
    rows += _family(head, 'measure', events, inside, draws)
  return pd.DataFrame(rows)


def events_table(runs: Runs, *, draws: int = precedence.DRAWS) -> pd.DataFrame:
  """The same tests of each of the 13 event metrics.

  Series by their largest change, times as they are, against emergence. Holm's
  correction is over the 13.
  """
  rows = []
  for label, run in runs.items():
    events = {n: _metric(run, n) for n in series.EVENT_METRICS}
    events = {n: e for n, e in events.items() if isinstance(e, Events)}
    for group in run.groups:
      inside = in_group(run, group)
      if not inside.any():
        continue
      head = {'run': label, 'tasks': group}
      rows += _family(head, 'metric', events, inside, draws)
  return pd.DataFrame(rows)


def _metric(run: Run, name: str) -> Events | int | None:
  """Events of one of the 13 metrics."""
  if name in series.EVENT_SERIES:
    return events_of(run.data, series.EVENT_SERIES[name], groups_of(run))
  data = run.data
  times = series.event_times(data, name)
  if times is None:
    return None
  steps = emergence.by_rule(data, emergence.RULE_OF_EVENTS).values
  return events_lib.of_times(
    times, steps, data.step.values.astype(float), *groups_of(run),
  )  # fmt: skip
