"""A run's measurements: one zarr store, read as one xarray Dataset.

The checkpoint schedule is known before a run starts, so every array is
created at its full size and a row is filled in when its checkpoint comes. A
chunk is one step of one variable and is replaced by an atomic rename, so a
kill leaves whole rows and at most one partial row; `status`, written last,
says which rows are whole.
"""

import importlib.util
import itertools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
import zarr

from emergence_jax.types import Field, Status, UserError

STORE = 'timeseries.zarr'
# Of the store; an attribute of the dataset.
FORMAT = 2
# What states of rows were called by stores of format 1.
_OLD_STATES = (Status.NOT_REACHED, Status.OK, Status.NON_FINITE)
# Attribute of the dataset: measure → {'options': …, 'steps': […]}, what
# `offline` has added to rows.
MEASURED_LATER = 'measured_later'

_STATUS = Field(
  ('seed', 'step'), 'int8',
  'status of the row: -1 not reached, 0 ok, 7 non-finite values (in the '
  'training loss since the last row, or in a measure)', '1',
)  # fmt: skip
_CHANCE = Field(
  ('task', 'level'), 'float64', 'accuracy of the best constant answer', '1',
)  # fmt: skip
_HISTORY = {
  'train_loss': Field(
    ('seed', 'train_step'), 'float32',
    'mean cross-entropy of the training batch before the update of the step',
    'nat',
  ),
  'grad_norm': Field(
    ('seed', 'train_step'), 'float32',
    'global norm of the gradient of the step, before clipping',
    'nat / parameter',
  ),
}  # fmt: skip
_COORDS = {
  'seed': ('number of the seed', '1'),
  'step': ('updates made before the measurement', 'step'),
  'train_step': ('updates made before this one', 'step'),
  'task': ('task', ''),
  'level': ('level of difficulty', ''),
  'layer': ('block whose output is measured, counted from 1', ''),
  'item': ('number of the fixed example', ''),
  'fisher_index': ('place in the order of eigenvalues, from 1', ''),
  'hessian_index': ('place in the order of eigenvalues, from 1', ''),
  'target': ('what a linear probe decodes', ''),
  'other_task': ('task whose gradient is compared', ''),
}
_HISTORY_CHUNK = 2048


def _fill_value(dtype: str) -> Any:
  return np.nan if np.issubdtype(np.dtype(dtype), np.floating) else -1


def _add(group, name, field, sizes, *, chunk_along: Mapping[str, int]):
  shape = tuple(sizes[d] for d in field.dims)
  group.create_array(
    name,
    shape=shape,
    chunks=tuple(chunk_along.get(d, n) for d, n in zip(field.dims, shape)),
    dtype=field.dtype,
    fill_value=_fill_value(field.dtype),
    dimension_names=field.dims,
    attributes={
      'long_name': field.description,
      'units': field.units,
      'source': field.source,
    },
  )


def _add_coord(group, name: str, values: Sequence[Any]) -> None:
  values = np.asarray(values)
  text = values.dtype.kind == 'U'
  array = group.create_array(
    name,
    shape=values.shape,
    dtype='string' if text else values.dtype,
    dimension_names=(name,),
    attributes=dict(zip(('long_name', 'units'), _COORDS[name])),
  )
  array[:] = values.astype(object) if text else values


def _add_measured(group, fields: Mapping[str, Field], sizes) -> None:
  """Arrays of measures: a chunk is one step of one variable."""
  for name, field in fields.items():
    full = Field(
      ('seed', 'step', *field.dims), field.dtype, field.description,
      field.units, field.source,
    )  # fmt: skip
    _add(group, name, full, sizes, chunk_along={'step': 1})


def create(
  workdir: str | pathlib.Path,
  *,
  fields: Mapping[str, Field],
  coords: Mapping[str, Sequence[Any]],
  chance_KxL: np.ndarray,
  seeds: np.ndarray,
  steps: np.ndarray,
  train_steps: int,
  attributes: Mapping[str, Any],
) -> None:
  """Creates an empty store in `workdir`; an older one is replaced.

  Args:
    workdir: run directory.
    fields: variables without their dimensions `seed` and `step`.
    coords: coordinates of the other dimensions.
    chance_KxL: accuracy of the best constant answer of each task × level.
    seeds: int [S].
    steps: int [C], the checkpoint schedule.
    train_steps: length of the per-step history.
    attributes: of the whole dataset.
  """
  group = zarr.open_group(pathlib.Path(workdir) / STORE, mode='w')
  group.attrs.update({**attributes, 'format': FORMAT})
  coords = {
    'seed': np.asarray(seeds, np.int64),
    'step': np.asarray(steps, np.int64),
    'train_step': np.arange(train_steps, dtype=np.int64),
    **coords,
  }
  for name, values in coords.items():
    _add_coord(group, name, values)
  sizes = {name: len(values) for name, values in coords.items()}
  _add_measured(group, fields, sizes)
  for name, field in _HISTORY.items():
    chunk = {'train_step': min(_HISTORY_CHUNK, train_steps)}
    _add(group, name, field, sizes, chunk_along=chunk)
  _add(group, 'chance', _CHANCE, sizes, chunk_along={})
  group['chance'][:] = chance_KxL
  # Last: a store without it was never finished being made.
  _add(group, 'status', _STATUS, sizes, chunk_along={'step': 1})


def extend(
  workdir: str | pathlib.Path,
  fields: Mapping[str, Field],
  coords: Mapping[str, Sequence[Any]],
) -> None:
  """Adds empty variables to a store; those that are there stay as they are.

  Args:
    workdir: run directory.
    fields: variables without their dimensions `seed` and `step`.
    coords: coordinates of their other dimensions.

  Raises:
    UserError: if a coordinate is there with other values.
  """
  group = zarr.open_group(pathlib.Path(workdir) / STORE, mode='r+')
  there = dict(group.arrays())
  for name, values in coords.items():
    if name not in there:
      _add_coord(group, name, values)
    elif list(there[name][:]) != list(np.asarray(values)):
      raise UserError(
        f'{workdir} has {there[name].size} values of {name}, and the measure '
        f'{len(values)}; give it the options that the run had.'
      )
  sizes = {name: array.size for name, array in group.arrays()}
  missing = {k: field for k, field in fields.items() if k not in there}
  _add_measured(group, missing, sizes)


def finite_seeds(values: Mapping[str, np.ndarray]) -> np.ndarray | bool:
  """bool [S]: all floating values [S, ...] of a seed are finite."""
  finite = True
  for value in values.values():
    if np.issubdtype(value.dtype, np.floating):
      finite &= np.isfinite(value).reshape(len(value), -1).all(1)
  return finite


class Writer:
  """Fills the rows of a store that exists."""

  def __init__(self, workdir: str | pathlib.Path):
    self._group = zarr.open_group(pathlib.Path(workdir) / STORE, mode='r+')
    if self._group.attrs.get('format', 1) != FORMAT:
      raise UserError(
        f'{workdir} was begun by an older version of this package, whose rows '
        'have another status. It can be read and analysed; go on with it by '
        'the commit that its env.json names.'
      )
    self._arrays = dict(self._group.arrays())
    self._row = {int(s): i for i, s in enumerate(self._arrays['step'][:])}

  def write_history(self, start: int, history: Mapping[str, np.ndarray]):
    """Writes [S, n] values of the n training steps from `start`."""
    for name, values in history.items():
      self._arrays[name][:, start : start + values.shape[1]] = values

  def write_row(
    self, step: int, values: Mapping[str, np.ndarray], status: np.ndarray
  ):
    """Writes a checkpoint's values, [S, ...] each, and then its status [S]."""
    row = self._row[step]
    for name, value in values.items():
      self._arrays[name][:, row] = value
    self._arrays['status'][:, row] = status

  def add_to_row(self, step: int, values: Mapping[str, np.ndarray]) -> None:
    """Adds values, [S, ...] each, to a whole row; not finite ones show."""
    row = self._row[step]
    for name, value in values.items():
      self._arrays[name][:, row] = value
    status = self._arrays['status']
    finite = finite_seeds(values)
    status[:, row] = np.where(finite, status[:, row], Status.NON_FINITE)

  def reached(self) -> list[int]:
    """Steps of whole rows."""
    whole = np.all(self._arrays['status'][:] != Status.NOT_REACHED, 0)
    return [step for step, row in self._row.items() if whole[row]]

  @property
  def notes(self):
    """Attributes of the dataset, a mapping that can be written to."""
    return self._group.attrs

  def drop_after(self, step: int) -> int:
    """Clears rows past `step` and history from `step` on; returns rows."""
    first = sum(s <= step for s in self._row)
    status = self._arrays['status'][:, first:]
    dropped = int(np.any(status != Status.NOT_REACHED, 0).sum())
    # The status goes first, so that a kill in here leaves no row that looks
    # whole and is not.
    self._arrays['status'][:, first:] = Status.NOT_REACHED
    later = self.notes.get(MEASURED_LATER)
    if later:
      self.notes[MEASURED_LATER] = {
        name: {**note, 'steps': [s for s in note['steps'] if s <= step]}
        for name, note in later.items()
      }
    for array in self._arrays.values():
      dims = array.metadata.dimension_names
      if dims[:2] == ('seed', 'step'):
        array[:, first:] = array.fill_value
      elif dims == ('seed', 'train_step'):
        array[:, step:] = array.fill_value
    return dropped


def reached(workdir: str | pathlib.Path) -> list[int]:
  """Steps of the whole rows of a run; none where it has no timeseries."""
  if not (pathlib.Path(workdir) / STORE / 'status').is_dir():
    return []
  return [int(s) for s in load(workdir).step.values]


def load(workdir: str | pathlib.Path) -> xr.Dataset:
  """The timeseries of a run, finished or not, up to its last whole row.

  Variables that a measure writes have dimensions (seed, step, ...);
  `train_loss` and `grad_norm` have (seed, train_step). Arrays are read when
  they are used.

  >>> load('runs/nowhere')
  Traceback (most recent call last):
  ...
  emergence_jax.types.UserError: runs/nowhere holds no timeseries.zarr; ...

  Args:
    workdir: run directory (the one that holds `timeseries.zarr`).

  Raises:
    UserError: if there is no timeseries.
  """
  path = pathlib.Path(workdir) / STORE
  if not path.is_dir():
    raise UserError(
      f'{workdir} holds no {STORE}; give the directory of a run, '
      'for example runs/2026-01-31-modadd.'
    )
  data = xr.open_zarr(path, consolidated=False, chunks=None)
  if data.attrs.get('format', 1) < FORMAT:
    states = data.status.copy(data=data.status.values)
    for old, new in enumerate(_OLD_STATES):
      states = states.where(data.status != old, int(new))
    data['status'] = states.astype('int8')
  whole = np.flatnonzero(np.all(data.status.values != Status.NOT_REACHED, 0))
  rows = int(whole[-1]) + 1 if whole.size else 0
  data = data.isel(step=slice(rows))
  done = int(data.step[-1]) if rows else 0
  return data.isel(train_step=slice(done))


def tables(data: xr.Dataset) -> dict[str, pd.DataFrame]:
  """Tidy tables, one for each set of dimensions; per-item flags are left out.

  Returns:
    Name → table; `by_seed_step_task_level`, for example, has the columns seed,
    step, task, level, accuracy, log_prob, loss.
  """
  names: dict[tuple[str, ...], list[str]] = {}
  # A store lists its variables in any order.
  for name in sorted(data.data_vars):
    if 'item' not in data[name].dims:
      names.setdefault(data[name].dims, []).append(name)
  return {
    f'by_{"_".join(dims)}': data[group]
    .to_dataframe(dim_order=list(dims))
    .reset_index()
    for dims, group in names.items()
  }


def to_csv(
  workdir: str | pathlib.Path, folder: str | pathlib.Path
) -> list[pathlib.Path]:
  """Writes the `tables` of a run as CSV files; returns them.

  Args:
    workdir: run directory.
    folder: where to write; made if it is not there.
  """
  return _write(workdir, folder, 'csv', lambda t, p: t.to_csv(p, index=False))


def to_parquet(
  workdir: str | pathlib.Path, folder: str | pathlib.Path
) -> list[pathlib.Path]:
  """The same as Parquet files, which needs the extra `parquet`."""
  if importlib.util.find_spec('pyarrow') is None:
    raise UserError(
      "Parquet needs pyarrow: pip install 'emergence_jax[parquet]'."
    )
  return _write(
    workdir, folder, 'parquet', lambda t, p: t.to_parquet(p, index=False)
  )


def _write(workdir, folder, suffix, write) -> list[pathlib.Path]:
  folder = pathlib.Path(folder)
  found = tables(load(workdir))
  folder.mkdir(parents=True, exist_ok=True)
  paths = []
  for name, table in found.items():
    paths.append(folder / f'{name}.{suffix}')
    write(table, paths[-1])
  return paths


def to_tensorboard(
  workdir: str | pathlib.Path, folder: str | pathlib.Path
) -> list[pathlib.Path]:
  """Every measured scalar, a run for each seed; the extra `tensorboard`."""
  try:
    import tensorboardX
  except ImportError as error:
    raise UserError(
      "this needs tensorboardX: pip install 'emergence_jax[tensorboard]'."
    ) from error
  data = load(workdir)
  kept = [
    name
    for name, v in data.data_vars.items()
    if v.dims[:2] == ('seed', 'step') and 'item' not in v.dims
  ]
  data, paths = data[kept].load(), []
  for seed in data.seed.values:
    paths.append(pathlib.Path(folder) / f'seed_{seed}')
    with tensorboardX.SummaryWriter(str(paths[-1])) as writer:
      for name, variable in data.sel(seed=seed).data_vars.items():
        _add_scalars(writer, name, variable)
  return paths


def _add_scalars(writer, name: str, variable: xr.DataArray) -> None:
  """One curve for each place along the dimensions beside `step`."""
  others = variable.dims[1:]
  stacked = variable.values.reshape(variable.sizes['step'], -1)
  places = itertools.product(*(variable[d].values for d in others))
  for column, place in zip(stacked.T, places):
    tag = '/'.join([name, *map(str, place)])
    for step, value in zip(variable.step.values, column):
      if np.isfinite(value):
        writer.add_scalar(tag, float(value), int(step))
