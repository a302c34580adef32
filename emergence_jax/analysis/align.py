"""What several runs have in common, and what is left out for lack of it."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from emergence_jax.analysis import groups, precedence, series

Runs = Mapping[str, xr.Dataset]


def _joined(words) -> str:
  return ', '.join(map(str, words))


def caveat(data: xr.Dataset) -> str:
  """Why a run cannot decide on a claim about the paper's; or empty."""
  if _is_unfinished(data):
    return 'unfinished'
  return 'not the protocol' if data.attrs.get('deviations') else ''


def _is_unfinished(data: xr.Dataset) -> bool:
  wanted = data.attrs.get('train_steps')
  return bool(wanted and data.step.values[-1] < wanted)


def _details(data: xr.Dataset) -> str:
  """The same with its numbers."""
  if _is_unfinished(data):
    done, wanted = int(data.step.values[-1]), data.attrs['train_steps']
    return f'is unfinished: up to step {done:,} of {wanted:,}'
  return f'is not the protocol: {"; ".join(data.attrs["deviations"])}'


def _span(runs: Runs) -> int:
  """Last step that all runs have reached."""
  return min(int(data.step.values[-1]) for data in runs.values())


def schedules_differ(runs: Runs) -> bool:
  """Whether runs have other checkpoints up to where all have got."""
  end = _span(runs)
  steps = [d.step.values[d.step.values <= end] for d in runs.values()]
  return any(not np.array_equal(steps[0], other) for other in steps[1:])


def shared_steps(runs: Runs) -> np.ndarray:
  """Steps of the checkpoints that all runs have."""
  first, *others = (data.step.values for data in runs.values())
  for other in others:
    first = np.intersect1d(first, other)
  return first


def at_shared_steps(runs: Runs) -> dict[str, xr.Dataset]:
  """Runs at the checkpoints that all have; none if those are too few."""
  steps = shared_steps(runs)
  if len(steps) < precedence.LEAST:
    return {}
  return {name: data.sel(step=steps) for name, data in runs.items()}


def notes(runs: Runs) -> list[str]:
  """Sentences on what is unfinished, missing, or not comparable."""
  found = []
  for run, data in runs.items():
    if not set(groups.HARD) <= set(map(str, data.task.values)):
      unfinished = f'{run} {_details(data)}; ' if _is_unfinished(data) else ''
      found.append(
        f'{unfinished}{run} has other tasks than the paper, whose claims are '
        'not about it.'
      )
    elif caveat(data):
      found.append(
        f'{run} {_details(data)}. Claims that rest on it stay undecided.'
      )
    if data.sizes['seed'] == 1:
      found.append(f'{run} has one seed: no intervals, no verdicts.')
    missing = [
      n for n, one in series.SERIES.items() if one.variable not in data
    ]
    if missing:
      found.append(f'{run} did not measure: {_joined(missing)}.')
  if len(runs) > 1:
    for differ in (_names, _schedules, _sizes, _seeds):
      found += differ(runs)
  return found


def _names(runs: Runs) -> list[str]:
  """Tasks and levels that not all runs have."""
  found = []
  for dimension in ('task', 'level'):
    of_run = {n: set(map(str, d[dimension].values)) for n, d in runs.items()}
    common = set.intersection(*of_run.values())
    for run, names in of_run.items():
      if extra := sorted(names - common):
        found.append(
          f'{run} alone or with some runs has {dimension} {_joined(extra)}: '
          'compared only with runs that have it too.'
        )
  return found


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
  for run, data in runs.items():
    by_size.setdefault(data.attrs.get('size', ''), []).append(run)
  by_size.pop('', None)
  return [
    f'{_joined(names)} are of one size ({size}); comparisons over sizes take '
    'them for several.'
    for size, names in by_size.items()
    if len(names) > 1
  ]


def _seeds(runs: Runs) -> list[str]:
  """Other numbers of seeds."""
  seeds = {n: d.sizes['seed'] for n, d in runs.items()}
  if len(set(seeds.values())) == 1:
    return []
  return [
    f'Runs have {_joined(f"{v} ({n})" for n, v in seeds.items())} seeds; '
    'swaps between sizes compare as many as the smaller has.'
  ]


def too_few(found: Mapping[str, Mapping[str, object]]) -> list[str]:
  """Sentences on measures with too few checkpoints to show a change.

  Args:
    found: run → measure → what `order.events_of` found.
  """
  rows = []
  for run, measures in found.items():
    few = [f'{n} ({v})' for n, v in measures.items() if isinstance(v, int)]
    if few:
      rows.append(
        f'{run} has too few checkpoints of {_joined(few)}: it takes '
        f'{precedence.LEAST} to say when a measure changes.'
      )
  return rows
