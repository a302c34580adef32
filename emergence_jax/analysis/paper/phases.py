"""What version 4 adds: the order of phases, and probes before behaviour.

Source: arXiv:2602.15997v4, abstract.
"""

import functools
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from emergence_jax.analysis import (
  emergence,
  order,
  precedence,
  series,
  statistics,
)
from emergence_jax.analysis import events as events_lib
from emergence_jax.analysis.runs import Runs


class Shares(NamedTuple):
  """Events of each seed in which something holds, and what is tested.

  Attributes:
    hits_S: events of each seed in which it holds.
    totals_S: events of which it can be said.
    events: the step in the geometry against emergence.
  """

  hits_S: np.ndarray
  totals_S: np.ndarray
  events: events_lib.Events


def _shares(holds_SKL, known_SKL, times_SK, steps_SKL, step_C) -> Shares:
  return Shares(
    (holds_SKL & known_SKL).sum((1, 2)),
    known_SKL.sum((1, 2)),
    events_lib.of_times(times_SK, steps_SKL, step_C),
  )


def _emergence(data: xr.Dataset) -> np.ndarray:
  return emergence.by_rule(data, emergence.RULE_OF_EVENTS).values


def pairs(data: xr.Dataset) -> dict[str, Shares]:
  """Each pair of phases, and all three, of the events that emerge.

  The floor of RankMe in the collapse, the step by which it has made half of
  its rise after that, and emergence. An event whose RankMe has no floor or
  no rise after it is left out.
  """
  if 'rankme' not in data:
    return {}
  floor, recovered = (
    series.event_times(data, name) for name in ('floor', 'recovery magnitude')
  )
  steps = _emergence(data)
  step_C = data.step.values.astype(float)
  known = np.isfinite(steps) & np.isfinite(floor + recovered)[..., None]
  with np.errstate(invalid='ignore'):  # nan is in no order
    risen = np.broadcast_to((floor < recovered)[..., None], steps.shape)
    after_floor = floor[..., None] < steps
    after_rise = recovered[..., None] < steps
  return {
    'floor, then half recovery': _shares(risen, known, floor, steps, step_C),
    'floor, then emergence': _shares(after_floor, known, floor, steps, step_C),
    'half recovery, then emergence': _shares(
      after_rise, known, recovered, steps, step_C
    ),
    'all three in this order': _shares(
      risen & after_rise, known, recovered, steps, step_C
    ),
  }


def in_order(data: xr.Dataset) -> Shares | None:
  """Collapse, recovery, behaviour: events in this order; None if unknown."""
  return pairs(data).get('all three in this order')


def probes_first(data: xr.Dataset) -> Shares | None:
  """Events whose probe of the answer is there before behaviour is.

  Both by the same rule, halfway from their own chance to 1 for five
  checkpoints; a probe that never is counts as later. None if not measured.
  """
  if not {'probe_accuracy', 'probe_chance'} <= set(data):
    return None
  picked = dict(target=0, layer=-1)
  probe = data.probe_accuracy.isel(picked)
  chance = data.probe_chance.isel(target=0).median(('seed', 'step'))
  threshold = emergence.above_chance(chance, 0.5)
  emerged = emergence.emergence_step(probe, threshold)
  times = emerged.transpose('seed', 'task').values
  steps = _emergence(data)
  earlier = np.where(np.isfinite(times), times, np.inf)[..., None] < steps
  return _shares(
    earlier, np.isfinite(steps), times, steps, data.step.values.astype(float)
  )


def same_events_table(runs: Runs) -> pd.DataFrame:
  """Share of events with the floor first, of those that all runs have.

  An event is a task and level that emerges in every seed of every run, so that
  a larger model is not compared by what a smaller one has not learned.
  """
  steps = {
    n: emergence.by_rule(run.data, emergence.RULE_OF_EVENTS)
    for n, run in runs.items()
    if 'rankme' in run.data
  }
  if len(steps) < 2:
    return pd.DataFrame()
  common = xr.align(
    *(step.notnull().all('seed') for step in steps.values()), join='inner'
  )
  every = functools.reduce(np.logical_and, common)
  rows = []
  for name, step in steps.items():
    times = series.event_times(runs[name].data, 'floor')
    floor = step.isel(level=0, drop=True).copy(data=times)
    floor, step = (x.sel(task=every.task) for x in (floor, step))
    step = step.sel(level=every.level)
    counted = every & floor.notnull()
    first = (counted & (floor < step)).transpose('seed', 'task', 'level')
    counted = counted.broadcast_like(first).transpose(*first.dims)
    share = statistics.shares(
      [first.values.sum((1, 2))], [counted.values.sum((1, 2))]
    )
    rows.append({
      'run': name, 'capabilities': int(every.sum()), 'share': share.value,
      'low': share.low, 'high': share.high, 'events': share.events,
    })  # fmt: skip
  return pd.DataFrame(rows)


def phases_table(runs: Runs, *, draws: int = precedence.DRAWS) -> pd.DataFrame:
  """Share, interval and tests of each order, per run."""
  rows = []
  for label, run in runs.items():
    results = pairs(run.data)
    probes = probes_first(run.data)
    if probes is not None:
      results['probe of the answer, then emergence'] = probes
    for name, result in results.items():
      share = statistics.shares([result.hits_S], [result.totals_S])
      if not share.count:
        continue
      events = order.among(run, result.events)
      tests = precedence.test_events(events, draws=draws)
      rows.append({
        'run': label, 'order': name, 'share': share.value, 'low': share.low,
        'high': share.high, 'events': share.events, **{
          k: v for k, v in tests._asdict().items() if k.startswith(
            ('lead', 'p_'))},
      })  # fmt: skip
  return pd.DataFrame(rows)
