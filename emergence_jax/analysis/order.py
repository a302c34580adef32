"""What moves first in each run: the tests of every measure, and each lead."""

from collections.abc import Callable

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


def among(run: Run, events: Events | int | None) -> Events | int | None:
  """What was found of a run, with which seeds and tasks are exchangeable."""
  if not isinstance(events, Events):
    return events
  return events.among(
    run.seed_groups, [run.group_of(task) for task in run.tasks]
  )


def events_of(data: xr.Dataset, item: series.Series) -> Events | int | None:
  """Where a measure of a run and its behaviour change.

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
      events = among(run, events_of(run.data, item))
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


def _families(label, run: Run, groups, kind, events, draws) -> list[dict]:
  """Rows of each group of tasks of a run, by `_family`.

  Measures that were taken at too few checkpoints are not among them.
  """
  events = {n: e for n, e in events.items() if isinstance(e, Events)}
  rows = []
  for group in groups:
    inside_K = in_group(run, group)
    if inside_K.any():
      head = {'run': label, 'tasks': group}
      rows += _family(head, kind, events, inside_K, draws)
  return rows


def _family(head, kind, events, inside_K, draws) -> list[dict]:
  """A row for each of some measures that are tested together.

  Those that were taken of none of these tasks are not among them.
  """
  has = {n: e.emerged_SKL[:, inside_K].any() for n, e in events.items()}
  events = {n: e for n, e in events.items() if has[n] or not any(has.values())}
  inside = [e.of_tasks(inside_K) for e in events.values()]
  tests = [precedence.test_events(e, draws=draws) for e in inside]
  p_values = [precedence.p_precedes(t) for t in tests]
  precedes_by = precedence.preceding_by(
    [precedence.by_definition(e, draws=draws) for e in inside]
  )
  columns = zip(
    events, tests, map(_medians, inside), p_values, statistics.holm(p_values),
    precedence.verdicts(tests, precedes_by), precedes_by,
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
  for label, events in changes.items():
    run = runs[label]
    rows += _families(label, run, run.groups, 'measure', events, draws)
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
      n: among(run, events_of(learned, item))
      for n, item in series.tested(data).items()
    }
    rows += _families(label, run, ['all'], 'measure', events, draws)
  return pd.DataFrame(rows)


def events_table(runs: Runs, *, draws: int = precedence.DRAWS) -> pd.DataFrame:
  """The same tests of each of the 13 event metrics.

  Series by their largest change, times as they are, against emergence. Holm's
  correction is over the 13.
  """
  rows = []
  for label, run in runs.items():
    events = {n: among(run, _metric(run.data, n)) for n in series.EVENT_METRICS}
    rows += _families(label, run, run.groups, 'metric', events, draws)
  return pd.DataFrame(rows)


def _metric(data: xr.Dataset, name: str) -> Events | int | None:
  """Events of one of the 13 metrics."""
  if name in series.EVENT_SERIES:
    return events_of(data, series.EVENT_SERIES[name])
  times = series.event_times(data, name)
  if times is None:
    return None
  steps = emergence.by_rule(data, emergence.RULE_OF_EVENTS).values
  return events_lib.of_times(times, steps, data.step.values.astype(float))
