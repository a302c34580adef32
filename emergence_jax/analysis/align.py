"""Aligns several runs: shared checkpoints, tasks and caveats."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from emergence_jax.analysis import series
from emergence_jax.analysis.changes import LEAST
from emergence_jax.analysis.runs import Run, Runs


def _joined(words) -> str:
  return ', '.join(map(str, words))


def caveat(run: Run, is_final: bool = False) -> str:
  """Why a run cannot decide on a claim about the paper's; or empty.

  Args:
    run: the run.
    is_final: whether more training could not change what the claim is about.
  """
  if run.is_unfinished and not is_final:
    return 'unfinished'
  return 'not the protocol' if run.deviations else ''


def _details(run: Run) -> str:
  """The same with its numbers."""
  if run.is_unfinished:
    done = int(run.data.step.values[-1])
    return f'is unfinished: up to step {done:,} of {run.train_steps:,}'
  return f'is not the protocol: {"; ".join(run.deviations)}'


def _span(runs: Runs) -> int:
  """Last step that all runs have reached."""
  return min(int(run.data.step.values[-1]) for run in runs.values())


def schedules_differ(runs: Runs) -> bool:
  """Whether runs have other checkpoints up to where all have got."""
  end = _span(runs)
  every = [run.data.step.values for run in runs.values()]
  steps = [step[step <= end] for step in every]
  return any(not np.array_equal(steps[0], other) for other in steps[1:])


def shared_steps(runs: Runs) -> np.ndarray:
  """Steps of the checkpoints that all runs have."""
  first, *others = (run.data.step.values for run in runs.values())
  for other in others:
    first = np.intersect1d(first, other)
  return first


def at_shared_steps(runs: Runs) -> dict[str, Run]:
  """Runs at the checkpoints that all have; none if those are too few."""
  steps = shared_steps(runs)
  if len(steps) < LEAST:
    return {}
  return {
    name: dataclasses.replace(run, data=run.data.sel(step=steps))
    for name, run in runs.items()
  }


def notes(runs: Runs) -> list[str]:
  """Sentences on what is unfinished, missing, or not comparable."""
  lines = []
  for name, run in runs.items():
    lines += _notes_of(name, run)
  if len(runs) > 1:
    for differ in (_names, _schedules, _sizes, _seeds):
      lines += differ(runs)
  return lines


def _notes_of(name: str, run: Run) -> list[str]:
  """What is to be said of one run."""
  lines = []
  if run.reference is None:
    unfinished = f'{name} {_details(run)}; ' if run.is_unfinished else ''
    lines.append(
      f'{unfinished}{name} is set beside no study (config.reference.name).'
    )
  elif caveat(run):
    lines.append(
      f'{name} {_details(run)}. Claims that rest on it stay undecided.'
    )
  if run.data.sizes['seed'] == 1:
    lines.append(f'{name} has one seed: no intervals, no verdicts.')
  wanted = run.reference.measures if run.reference else ()
  if missing := [m for m in wanted if m not in series.of(run.data)]:
    lines.append(f'{name} did not measure: {_joined(missing)}.')
  return lines


def _names(runs: Runs) -> list[str]:
  """Notes on tasks and levels that not all runs have."""
  labels = []
  for dimension in ('task', 'level'):
    of_run = {
      n: set(map(str, run.data[dimension].values)) for n, run in runs.items()
    }
    common = set.intersection(*of_run.values())
    for run, names in of_run.items():
      if extra := sorted(names - common):
        labels.append(
          f'{run} alone or with some runs has {dimension} {_joined(extra)}: '
          'compared only with runs that have it too.'
        )
  return labels


def _schedules(runs: Runs) -> list[str]:
  """Other checkpoints, and how floors are compared all the same."""
  if not schedules_differ(runs):
    return []
  steps = shared_steps(runs)
  what = (
    f'are compared at the {len(steps)} that all have, too,'
    if at_shared_steps(runs)
    else f'cannot be compared at the {len(steps)} that all have,'
  )
  return [
    f'Runs have different checkpoints up to step {_span(runs):,}: floors '
    f'{what} up to step {steps[-1]:,}.'
  ]


def _sizes(runs: Runs) -> list[str]:
  """Runs of one size."""
  by_size: dict[str, list[str]] = {}
  for name, run in runs.items():
    by_size.setdefault(run.size, []).append(name)
  by_size.pop('', None)
  return [
    f'{_joined(names)} are of one size ({size}); comparisons over sizes take '
    'them for several.'
    for size, names in by_size.items()
    if len(names) > 1
  ]


def _seeds(runs: Runs) -> list[str]:
  """Other numbers of seeds."""
  seeds = {n: run.data.sizes['seed'] for n, run in runs.items()}
  if len(set(seeds.values())) == 1:
    return []
  return [
    f'Runs have {_joined(f"{v} ({n})" for n, v in seeds.items())} seeds; '
    'swaps between sizes compare as many as the smaller has.'
  ]


def too_few(changes: Mapping[str, Mapping[str, object]]) -> list[str]:
  """Sentences on measures with too few checkpoints to show a change.

  Args:
    changes: run → measure → what `order.events_of` found.
  """
  rows = []
  for run, measures in changes.items():
    few = [f'{n} ({v})' for n, v in measures.items() if isinstance(v, int)]
    if few:
      rows.append(
        f'{run} has too few checkpoints of {_joined(few)} at which behaviour '
        f'was measured, too: it takes {LEAST} to say which changes '
        'first.'
      )
  return rows
