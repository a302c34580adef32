"""A run's measurements: one zarr store, read as one xarray Dataset.

The checkpoint schedule is known before a run starts, so every array is
created at its full size and a row is filled in when its checkpoint comes. A
chunk is one step of one variable; a row's values are on the disk before its
`status`, which says that they are. See `store` for what a file holds, and
`damage` for how it is found that one does not.
"""

import json
import os
import pathlib
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
import zarr

from emergence_jax.base.types import Field, UserError
from emergence_jax.store import arms, damage, files, records
from emergence_jax.store import layout as store_layout
from emergence_jax.store.damage import Kind

STORE = store_layout.NAME


class DamageWarning(UserWarning):
  """A file of a timeseries is damaged; what it held is left out."""


def _warn(line: str) -> None:
  warnings.warn(line, DamageWarning, stacklevel=3)


def build_beside(workdir: files.Path, **layout) -> pathlib.Path:
  """Builds an empty store beside the existing one."""
  partial = store_layout.beside(pathlib.Path(workdir) / STORE)
  store_layout.build(partial, **layout)
  return partial


def create(workdir: files.Path, **layout) -> None:
  """Creates an empty store in `workdir`; an older one is replaced.

  Args:
    workdir: run directory.
    **layout: arguments of `store.build`.
  """
  partial = build_beside(workdir, **layout)
  path = pathlib.Path(workdir) / STORE
  shutil.rmtree(path, ignore_errors=True)
  (pathlib.Path(workdir) / damage.NOTES).unlink(missing_ok=True)
  # The rename comes last: a store that is there was made to its end.
  os.rename(partial, path)


def extend(
  workdir: files.Path,
  measure: str,
  fields: Mapping[str, Field],
  coords: Mapping[str, Sequence[Any]],
) -> None:
  """Adds empty variables to a store; existing ones are kept.

  Args:
    workdir: run directory.
    measure: what the variables are of.
    fields: variables without their dimensions `seed` and `step`.
    coords: coordinates of their other dimensions.

  Raises:
    UserError: if a coordinate is there with other values.
  """
  store_layout.extend(pathlib.Path(workdir) / STORE, measure, fields, coords)


def reached(workdir: files.Path) -> list[int]:
  """Steps of the whole rows of a run; none where it has no timeseries."""
  if not (pathlib.Path(workdir) / STORE).is_dir():
    return []
  examined = damage.examine(workdir)
  return examined.step_C[: examined.rows].tolist()


def load(workdir: files.Path, log: Callable[[str], None] = _warn) -> xr.Dataset:
  """The timeseries of a run, finished or not, up to its last whole row.

  Variables that a measure writes have dimensions (seed, step, ...);
  `train_loss` and `grad_norm` have (seed, train_step). Of a run with arms they
  have a dimension `arm` in front, and `RUN@ARM` is one of them as a run of its
  own. Without arms, arrays are read when they are used. What is damaged is said
  and left out or blank (nan, or -1), and `status` marks its rows.

  >>> load('runs/nowhere')
  Traceback (most recent call last):
  ...
  emergence_jax.base.types.UserError: runs/nowhere holds no timeseries.zarr; ...

  Args:
    workdir: run directory (the one that holds `timeseries.zarr`).
    log: takes a line about each damaged file; a `DamageWarning` if absent.

  Raises:
    UserError: if there is no timeseries, or what it rests on is damaged.
  """
  folder, arm = arms.split(workdir)
  data = arms.unfold(load_members(folder, log))
  return arms.select(data, arm) if arm else data


def load_members(
  workdir: files.Path, log: Callable[[str], None] = _warn
) -> xr.Dataset:
  """The same as it lies on the disk: members of all arms along `seed`."""
  workdir = pathlib.Path(workdir).expanduser()
  path = workdir / STORE
  version = damage.root(workdir).get('format', 1)
  if not path.exists():
    return _load_packed(workdir / store_layout.PACKED)
  if version > store_layout.FORMAT:
    raise UserError(
      f'{path} is of format {version}, which a newer version of this package '
      'wrote; install that one.'
    )
  if version < store_layout.FORMAT:
    raise UserError(
      f'{path} is of format {version}, from before the first release, which is '
      'not read any more; run it again.'
    )
  examined = damage.examine(workdir)
  for line in damage.lines(examined):
    log(line)
  left_out = Kind.METADATA, Kind.COORDINATE
  lost = {d.variable for d in examined.damage if d.kind in left_out}
  vital = sorted(lost & {'seed', 'step', 'train_step', 'status'})
  if vital:
    raise UserError(
      f'{path / vital[0]} is damaged or missing, on which all else rests; '
      f'{damage.MENDS}'
    )
  if examined.damage:
    data = _assemble(path, examined, lost)
  else:
    data = xr.open_zarr(path, consolidated=False, chunks=None)
  data['status'] = data.status.copy(data=examined.status_SxC)
  return _first(_named(_without_bookkeeping(data)), examined.rows)


def _load_packed(path: pathlib.Path) -> xr.Dataset:
  """A timeseries in one file, whose checksum `damage.root` has looked at."""
  with zarr.storage.ZipStore(path, mode='r') as packed:
    data = xr.open_zarr(packed, consolidated=False, chunks=None).load()
  return _named(_without_bookkeeping(data))


def _named(data: xr.Dataset) -> xr.Dataset:
  """Names of seeds and tokens of steps, where the configuration says them."""
  try:
    said = json.loads(data.attrs.get('config', '{}')).get('checkpoints', {})
  except (ValueError, AttributeError):
    return data
  names, tokens = said.get('seed_names'), said.get('tokens')
  if names and len(names) == data.sizes['seed']:
    data = data.assign_coords(seed_name=('seed', np.array(names)))
  if tokens and len(tokens) == data.sizes['step']:
    values = np.array([np.nan if t is None else t for t in tokens])
    attrs = {'long_name': 'tokens seen in training', 'units': 'token'}
    data = data.assign_coords(tokens=('step', values, attrs))
  return data


def in_rows(data: xr.Dataset) -> list[str]:
  """Names of the measured variables: those with rows, `status` left out."""
  return [
    str(name)
    for name, variable in data.data_vars.items()
    if {'seed', 'step'} <= set(variable.dims) and name != 'status'
  ]


def _first(data: xr.Dataset, rows: int) -> xr.Dataset:
  """The first rows, and the history up to the last of them."""
  data = data.isel(step=slice(rows))
  done = int(data.step[-1]) if rows else 0
  return data.isel(train_step=slice(done), missing_dims='ignore')


def _without_bookkeeping(data: xr.Dataset) -> xr.Dataset:
  """A dataset without the attributes that are the store's own."""
  for attrs in (data.attrs, *(v.attrs for v in data.variables.values())):
    for name in (
      'variables', records.KEPT, store_layout.ADDED, store_layout.CHECKSUM,
      store_layout.ARRAY, store_layout.CHUNK,
    ):  # fmt: skip
      attrs.pop(name, None)
  return data


def _assemble(path, examined: damage.Examined, lost: set[str]) -> xr.Dataset:
  """A damaged store in memory, without what is lost."""
  group = zarr.open_group(path, mode='r', use_consolidated=False)
  bad: dict[str, list[damage.Damage]] = {}
  for item in examined.damage:
    bad.setdefault(item.variable, []).append(item)
  variables = {}
  for name, document in examined.documents.items():
    dims = document['dimension_names']
    if name in lost or lost & set(dims):
      continue
    array = group[name]
    values = _read(array, document, bad.get(name, ()))
    if values.dtype.kind not in 'biuf':
      values = values.astype(object)
    variables[name] = (dims, values, dict(array.attrs))
  coords = {k: v for k, v in variables.items() if [k] == list(v[0])}
  others = {k: v for k, v in variables.items() if k not in coords}
  return xr.Dataset(others, coords, dict(group.attrs))


def _read(array, document, bad) -> np.ndarray:
  """An array's values, those of bad chunks blank."""
  if not bad:
    return array[:]
  if array.metadata.dimension_names[1] == 'train_step':
    spans = [damage.history_span(document, d.place) for d in bad]
  else:
    spans = [slice(d.place, d.place + 1) for d in bad]
  whole = np.ones(array.shape[1], bool)
  for span in spans:
    whole[span] = False
  values = np.full(array.shape, array.fill_value, array.dtype)
  edges = np.flatnonzero(np.diff(np.r_[False, whole, False]))
  for start, stop in edges.reshape(-1, 2).tolist():
    values[:, start:stop] = array[:, start:stop]
  return values
