"""Which measure precedes behaviour: rates beside their null, and leads."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from emergence_jax.analysis import (
  emergence,
  groups,
  matern,
  precedence,
  series,
  statistics,
)

GROUPS = ('all', 'easy', 'hard')
_BAND = 2.5, 97.5
# Events of which it is asked what came first: a capability has to come.
RULE = 'chance-corrected'
INTERPOLATIONS: dict[str, Callable] = {
  'linear': precedence.by_lines,
  'matern': matern.by_process,
}


class Leads(NamedTuple):
  """A measure against behaviour, for every event (seed, task, level).

  Attributes:
    checkpoints: peaks of cross-correlation over checkpoints.
    uniform: the same over as many evenly spaced steps.
    stride: steps between the points of `uniform`.
    emerged: bool [S, K, L], whether a capability emerged.
  """

  checkpoints: precedence.Precedence
  uniform: precedence.Precedence
  stride: float
  emerged: np.ndarray


def _reach(data: xr.Dataset, stride: float) -> int:
  """Largest lag on an even grid: as many steps for every measure of a run.

  That is `MAX_LAG` of the run's own checkpoints, on average. A measure with a
  cadence of its own would otherwise be searched further than the others.
  """
  step = data.step.values
  mean = (step[-1] - step[0]) / max(len(step) - 1, 1)
  return max(1, round(precedence.MAX_LAG * mean / stride))


def leads_of(
  data: xr.Dataset,
  name: str,
  table: Mapping[str, tuple] = series.SERIES,
  *,
  draws: int = precedence.DRAWS,
  seed: int = 0,
  interpolation: str = 'linear',
) -> Leads | int | None:
  """Leads of one measure of a run.

  Args:
    data: a run's timeseries.
    name: of an entry of `table`.
    table: `series.SERIES` or `series.EVENT_SERIES`.
    draws: shifts of the null.
    seed: of the shifts.
    interpolation: one of `INTERPOLATIONS`.

  Returns:
    Leads; the number of checkpoints if they are too few to correlate; None if
    it was not measured.
  """
  taken = series.take(data, table, name)
  if taken is None:
    return None
  step, x, y = taken
  if len(step) <= precedence.LEAST:
    return len(step)
  # As many points as checkpoints: an even schedule gives the same on both axes.
  resample = INTERPOLATIONS[interpolation]
  grid = np.linspace(step[0], step[-1], len(step))
  grid_x, grid_y = (resample(step, series_, grid) for series_ in (x, y))
  stride = float(grid[1] - grid[0])
  return Leads(
    precedence.precedence(x, y, draws=draws, seed=seed),
    precedence.precedence(
      grid_x, grid_y, max_lag=_reach(data, stride), draws=draws, seed=seed
    ),
    stride,
    np.isfinite(emergence.by_rule(data, RULE).values),
  )


def in_group(tasks, group: str) -> np.ndarray:
  """Bool [K]: tasks of a group of `GROUPS`."""
  kinds = np.array([groups.group(str(t)) for t in tasks])
  return (kinds == group) | (group == 'all')


def only(found: precedence.Precedence, keep: np.ndarray):
  """The same with all events but those of `keep` [S, K, L] unusable."""
  return found._replace(correlation=np.where(keep, found.correlation, np.nan))


def counts(
  found: precedence.Precedence,
  threshold: float = precedence.THRESHOLD,
  kind: int = precedence.PRECURSOR,
) -> tuple[np.ndarray, np.ndarray]:
  """Events of a class, and usable ones, of each seed: [S] and [S]."""
  usable = np.isfinite(found.correlation)
  classes = precedence.classify(found.lag, found.correlation, threshold)
  return ((classes == kind) & usable).sum((1, 2)), usable.sum((1, 2))


class MeanLead(NamedTuple):
  """Mean lead over events beside its null, in the unit of an axis.

  Attributes:
    lead: positive, the measure is first.
    lead_null_low: lower end of the middle 95% of the null's means.
    lead_null_high: upper end.
    lead_p_value: share of draws with as large a mean, ours included.
  """

  lead: float
  lead_null_low: float
  lead_null_high: float
  lead_p_value: float


def mean_lead(found: precedence.Precedence, stride: float = 1.0) -> MeanLead:
  """Mean lead of the usable events, however strong, times `stride`."""
  usable = np.isfinite(found.correlation)
  if not usable.any():
    return MeanLead(*(np.nan,) * 4)
  lead = found.lag[usable].mean()
  null_D = found.null_lag[usable].mean(0)
  low, high = np.percentile(null_D, _BAND)
  p_value = precedence.p_value(lead, null_D)
  return MeanLead(lead * stride, low * stride, high * stride, p_value)


def precedence_tables(
  runs: Mapping[str, xr.Dataset],
  *,
  draws: int = precedence.DRAWS,
  interpolation: str = 'linear',
  on_measure: Callable[[str], None] = lambda label: None,
):
  """Precursor rates beside their null, and every event's lead.

  Args:
    runs: label → timeseries.
    draws: shifts of the null.
    interpolation: one of `INTERPOLATIONS`.
    on_measure: told what comes next.

  Returns:
    Tables `precedence` and `leads`; run → measure → what `leads_of` found,
    where it was measured.
  """
  rates, rows = [], []
  found: dict[str, dict[str, Leads | int]] = {}
  for i, (run, data) in enumerate(runs.items()):
    found[run] = {}
    for name in series.SERIES:
      on_measure(f'{run}: lags of {name}')
      leads = leads_of(
        data, name, draws=draws, seed=i, interpolation=interpolation
      )
      if leads is None:
        continue
      found[run][name] = leads
      if isinstance(leads, Leads):
        rates += _rate_rows(run, name, leads, data.task.values)
        rows += _lead_rows(run, name, leads, data)
  return (
    {'precedence': pd.DataFrame(rates), 'leads': pd.DataFrame(rows)}, found
  )  # fmt: skip


def _rate_rows(run: str, name: str, leads: Leads, tasks) -> list[dict]:
  rows = []
  for axis in ('checkpoints', 'uniform'):
    for group in GROUPS:
      inside = in_group(tasks, group)[:, None]
      if not inside.any():
        continue
      for events, keep in (
        ('emerged', leads.emerged & inside),
        ('all', np.broadcast_to(inside, leads.emerged.shape)),
      ):
        one = only(getattr(leads, axis), keep)
        head = {
          'run': run, 'measure': name, 'axis': axis, 'tasks': group,
          'events': events,
        }  # fmt: skip
        stride = leads.stride if axis == 'uniform' else 1.0
        lead = mean_lead(one, stride)._asdict()
        for threshold in precedence.THRESHOLDS:
          cells = _rate_cells(one, threshold)
          rows.append(head | {'threshold': threshold} | cells | lead)
  return rows


def _rate_cells(one: precedence.Precedence, threshold: float) -> dict:
  rate = precedence.rate(one, threshold)
  hits, totals = counts(one, threshold)
  ours = statistics.shares([hits], [totals])
  cells = rate._asdict() | {'low': ours.low, 'high': ours.high}
  for kind in (precedence.SYNCHRONOUS, precedence.LAGGING, precedence.NONE):
    number = counts(one, threshold, kind)[0].sum()
    name = precedence.CLASSES[kind]
    cells[name] = number / rate.total if rate.total else np.nan
  return cells


def _lead_rows(run: str, name: str, leads: Leads, data) -> list[dict]:
  rows = []
  at, even = leads.checkpoints, leads.uniform
  kind = precedence.classify(at.lag, at.correlation)
  for s, k, j in np.ndindex(*even.lag.shape):
    known = np.isfinite(even.correlation[s, k, j])
    rows.append({
      'run': run, 'measure': name, 'seed': int(data.seed.values[s]),
      'task': str(data.task.values[k]), 'level': str(data.level.values[j]),
      'emerged': bool(leads.emerged[s, k, j]),
      'lead_steps': even.lag[s, k, j] * leads.stride if known else np.nan,
      'correlation': even.correlation[s, k, j],
      'lag_checkpoints': int(at.lag[s, k, j]),
      'correlation_checkpoints': at.correlation[s, k, j],
      'class': precedence.CLASSES[kind[s, k, j]],
    })  # fmt: skip
  return rows


class Earlier(NamedTuple):
  """An event in the geometry against emergence, beside a null.

  Attributes:
    first: bool [S, K, L], it came before; False without either.
    null: bool [S, K, L, D], the same of shifted events.
    emerged: bool [S, K, L], the events that count.
  """

  first: np.ndarray
  null: np.ndarray
  emerged: np.ndarray


def earlier(
  step_C: np.ndarray,
  times_SK: np.ndarray,
  emergence_SKL: np.ndarray,
  *,
  draws: int = precedence.DRAWS,
  seed: int = 0,
) -> Earlier:
  """Whether an event in the geometry comes before a capability.

  The null is that of `precedence.precedence`: the geometry's checkpoints are
  shifted around the circle of all checkpoints, those of one seed together. An
  event that comes late has much before it, which the null's rate shows.

  Args:
    step_C: steps of the checkpoints.
    times_SK: step of the event for each seed and task; nan without one.
    emergence_SKL: step of emergence; nan for never.
    draws: D shifts.
    seed: of the shifts.
  """
  emerged = np.isfinite(emergence_SKL)
  has = np.isfinite(times_SK)
  index_SK = np.searchsorted(step_C, np.where(has, times_SK, step_C[0]))
  rng = np.random.default_rng(seed)
  shifts_SxD = rng.integers(1, len(step_C), (len(times_SK), draws))
  shifted = (index_SK[..., None] + shifts_SxD[:, None]) % len(step_C)
  null_SKD = np.where(has[..., None], step_C[shifted], np.inf)
  times_SK = np.where(has, times_SK, np.inf)
  return Earlier(
    times_SK[..., None] < emergence_SKL,
    null_SKD[:, :, None] < emergence_SKL[..., None],
    emerged,
  )


def earlier_rate(found: Earlier, inside_K: np.ndarray) -> precedence.Rate:
  """Rate of events of some tasks that come after their geometry."""
  keep = found.emerged & inside_K[:, None]
  total = int(keep.sum())
  if not total:
    return precedence.NO_RATE
  return precedence.beside_null(found.first[keep], found.null[keep])


def events_table(
  runs: Mapping[str, xr.Dataset], *, draws: int = precedence.DRAWS
) -> pd.DataFrame:
  """Precursor rate of each of the 13 event metrics, per run and group.

  Series by their cross-correlation at 0.3, times by which came earlier; of
  the events that emerge.
  """
  rows = []
  for run, data in runs.items():
    for name in series.EVENT_METRICS:
      rate_of = _event_rates(data, name, draws)
      for group in GROUPS:
        inside = in_group(data.task.values, group)
        if inside.any():
          rows.append({
            'run': run, 'metric': name, 'tasks': group,
            **rate_of(inside)._asdict(),
          })  # fmt: skip
  return pd.DataFrame(rows)


def _event_rates(data, name: str, draws: int):
  """Bool [K] → rate of one metric among these tasks."""
  if name in series.EVENT_TIMES:
    times = series.event_times(data, name)
    if times is None:
      return lambda inside: precedence.NO_RATE
    steps = emergence.by_rule(data, RULE).values
    found = earlier(data.step.values.astype(float), times, steps, draws=draws)
    return lambda inside: earlier_rate(found, inside)
  leads = leads_of(data, name, series.EVENT_SERIES, draws=draws)
  if not isinstance(leads, Leads):
    return lambda inside: precedence.NO_RATE
  return lambda inside: precedence.rate(
    only(leads.checkpoints, leads.emerged & inside[:, None])
  )
