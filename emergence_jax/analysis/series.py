"""Series of geometry for each event (seed, task, level), from a timeseries."""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import xarray as xr

from emergence_jax.analysis import collapse
from emergence_jax.base import fields
from emergence_jax.base.types import Field, Status

DIMS = ('seed', 'task', 'level', 'step')


def _last_layer(data: xr.Dataset) -> xr.DataArray:
  return data.rankme.isel(layer=-1)


def _divergence(data: xr.Dataset) -> xr.DataArray | None:
  """z-score of a task's RankMe among the tasks."""
  rank = _last_layer(data)
  if rank.sizes['task'] < 2:
    return None
  return (rank - rank.mean('task')) / rank.std('task')


def _alignment(data: xr.Dataset) -> xr.DataArray | None:
  """Mean cosine with the gradients of the other tasks."""
  cosine, count = data.grad_alignment, data.sizes['other_task']
  if count < 2:
    return None
  return (cosine.sum('other_task', skipna=False) - 1) / (count - 1)


def _gap(data: xr.Dataset) -> xr.DataArray:
  values = data.fisher_eigenvalues
  return values.isel(fisher_index=0) / values.isel(fisher_index=1)


def _norm_divergence(data: xr.Dataset) -> xr.DataArray | None:
  norm = data.task_grad_norm
  if norm.sizes['task'] < 2:
    return None
  return np.log(norm / norm.mean('task'))


def _layer_slope(data: xr.Dataset) -> xr.DataArray | None:
  """Least-squares slope of RankMe over depth, in dimensions a layer."""
  rank = data.rankme
  if rank.sizes['layer'] < 2:
    return None
  depth = xr.DataArray(
    np.arange(rank.sizes['layer'], dtype=float), dims='layer'
  )
  depth = depth - depth.mean()
  return (rank * depth).sum('layer', skipna=False) / (depth**2).sum()


class Series(NamedTuple):
  """How a scalar series of geometry is taken from a timeseries.

  Attributes:
    variable: that has to be there.
    take: timeseries → array (seed, step and perhaps task), or None where it
      needs several tasks or layers and there is one.
    status: variable with the status of every estimate, if it has one.
    log: whether it grows by factors, so that its logarithm is looked at.
    field: what the variable says of itself; None for what is made of several.
  """

  variable: str
  take: Callable[[xr.Dataset], xr.DataArray | None]
  status: str = ''
  log: bool = False
  field: Field | None = None


def _of_field(variable: str, field: Field) -> Series:
  def take(data: xr.Dataset) -> xr.DataArray:
    return data[variable].isel(field.pick)

  return Series(variable, take, field.status, field.scale != 'linear', field)


@functools.cache
def _built_in() -> dict[str, Field]:
  """Fields of this package's measures, for files that do not say theirs."""
  from emergence_jax import measures

  return measures.fields()


def _fields_of(data: xr.Dataset) -> dict[str, Field]:
  """Variable → field of those with a label, in the order of their places."""
  declared = {}
  for name, array in data.data_vars.items():
    dims = tuple(d for d in array.dims if d not in ('seed', 'step'))
    field = fields.read(dims, array.attrs)
    if field is not None:
      declared[str(name)] = field
  if not declared:  # of a version whose files said less
    known = _built_in()
    declared = {n: known[n] for n in data.data_vars if n in known}
    declared = {n: field for n, field in declared.items() if field.label}
  return dict(sorted(declared.items(), key=lambda item: item[1].place))


def of(data: xr.Dataset) -> dict[str, Series]:
  """Label → series of every variable that has one, behaviour's included."""
  by_label: dict[str, Series] = {}
  for name, field in _fields_of(data).items():
    label = (
      field.label if field.label not in by_label else f'{field.label}: {name}'
    )
    by_label[label] = _of_field(name, dataclasses.replace(field, label=label))
  return by_label


def tested(data: xr.Dataset) -> dict[str, Series]:
  """Those whose changes are tested against behaviour's."""
  return {n: item for n, item in of(data).items() if item.field.tested}


# Those of v1, appendix J, that are series; see `event_times` for the others.
EVENT_SERIES: dict[str, Series] = {
  'cross-task divergence': Series('rankme', _divergence),
  'gradient alignment': Series('grad_alignment', _alignment),
  'eigenvalue concentration': Series(
    'fisher_top_share', lambda d: d.fisher_top_share, 'fisher_status'
  ),
  'Fisher effective rank': Series(
    'fisher_rank', lambda d: d.fisher_rank, 'fisher_status'
  ),
  'LLC value': Series('llc', lambda d: d.llc, 'llc_status'),
  'spectral gap': Series('fisher_eigenvalues', _gap, 'fisher_status'),
  'gradient norm divergence': Series('task_grad_norm', _norm_divergence),
  'layer-wise RankMe slope': Series('rankme', _layer_slope),
}
EVENT_TIMES = (
  'collapse time',
  'floor',
  'recovery slope',
  'recovery magnitude',
  'LLC transition time',
)
EVENT_METRICS = (*EVENT_SERIES, *EVENT_TIMES)


def usable(data: xr.Dataset, item: Series) -> xr.DataArray | None:
  """A series, nan where its status is not ok; None if not measured."""
  if item.variable not in data:
    return None
  array = item.take(data)
  if array is None or item.status not in data:
    return array
  return array.where(data[item.status] == Status.OK)


def scaled(data: xr.Dataset, item: Series) -> xr.DataArray | None:
  """The same on the scale on which its changes count.

  That is the logarithm of what grows by factors, nan where that is not above 0.
  """
  array = usable(data, item)
  if array is None or not item.log:
    return array
  return xr.apply_ufunc(np.log, array.where(array > 0), keep_attrs=True)


class Taken(NamedTuple):
  """A measure and behaviour at the steps that have both.

  Attributes:
    step_C: steps.
    measure_SKC: nan where its status is not ok; the logarithm of what grows
      by factors.
    behaviour_SKLC: accuracy.
    there_K: whether the measure was taken of a task at all, ok or not.
  """

  step_C: np.ndarray
  measure_SKC: np.ndarray
  behaviour_SKLC: np.ndarray
  there_K: np.ndarray


def take(data: xr.Dataset, item: Series) -> Taken | None:
  """A measure and behaviour of a run; None if one was not measured."""
  array = scaled(data, item)
  if array is None or 'accuracy' not in data:
    return None
  behaviour = data.accuracy.transpose(*DIMS)
  dims = [d for d in DIMS if d != 'level']
  array = array.broadcast_like(behaviour.isel(level=0, drop=True))
  array = array.transpose(*dims)
  known = np.isfinite(array).any(('seed', 'task'))
  known = (known & np.isfinite(behaviour).any(('seed', 'task', 'level'))).values
  if known.sum() < 2:
    return None
  return Taken(
    data.step.values[known],
    array.values[..., known],
    behaviour.values[..., known],
    _there(data, item),
  )


def _there(data: xr.Dataset, item: Series) -> np.ndarray:
  """Bool [K]: tasks of which any value was written."""
  written = xr.apply_ufunc(np.isfinite, item.take(data))
  if 'task' not in written.dims:
    return np.ones(data.sizes['task'], bool)
  return written.any([d for d in written.dims if d != 'task']).values


def half_recovered(step_C: np.ndarray, x_C: np.ndarray, low: int) -> float:
  """First step from index `low` on at which half of the rise is made.

  nan if nothing rises.
  """
  rise = x_C[low:].max() - x_C[low]
  if rise <= 0:
    return np.nan
  return step_C[low + int(np.argmax(x_C[low:] >= x_C[low] + rise / 2))]


def _steepest(step_C: np.ndarray, x_C: np.ndarray, low: int) -> float:
  """Step at the end of the steepest change from index `low` on."""
  if x_C.size - low < 2:
    return np.nan
  slope = np.abs(np.diff(x_C[low:]) / np.diff(step_C[low:]))
  return step_C[low + 1 + int(np.argmax(slope))]


# What is made of steps, values, and the floor's index.
_TIMES: dict[str, Callable] = {
  'collapse time': lambda step, x, low: collapse.collapse(step, x).half_step,
  'floor': lambda step, x, low: step[low],
  'recovery slope': _steepest,
  'recovery magnitude': half_recovered,
}


def _event_time(step_C: np.ndarray, x_C: np.ndarray, name: str) -> float:
  known = np.isfinite(x_C)
  if known.sum() < 2:
    return np.nan
  step, x = step_C[known], x_C[known]
  if name == 'LLC transition time':
    return _steepest(step, x, 0)
  low = collapse.floor_index(x)
  # A rank that is lowest at the first checkpoint has not fallen.
  return float(_TIMES[name](step, x, low)) if low else np.nan


def event_times(data: xr.Dataset, name: str) -> np.ndarray | None:
  """Step [S, K] of an event in the geometry; nan where there is none.

  Args:
    data: a run's timeseries.
    name: one of `EVENT_TIMES`.
  """
  label = 'LLC' if name == 'LLC transition time' else 'RankMe'
  item = of(data).get(label)
  if item is None:
    return None
  series = usable(data, item)
  values = series.transpose('seed', 'task', 'step').values
  step_C = data.step.values.astype(float)
  return np.array(
    [[_event_time(step_C, x, name) for x in row] for row in values]
  )
