"""Layout of a timeseries on disk: a zarr group with checksums.

A chunk is one step of one variable. Every chunk ends with its CRC-32C, and
every `zarr.json` holds the checksum of the rest of it; chunks that hold
nothing but the fill value are written as well. So a chunk that is not there
in a row that is said to be whole is damage, as is a changed bit.
"""

import dataclasses
import json
import os
import pathlib
import shutil
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.storage import LocalStore

from emergence_jax.base import fields as fields_lib
from emergence_jax.base.arms import COORDINATE as ARM
from emergence_jax.base.types import Field, Measure, UserError
from emergence_jax.store import files, records

NAME = 'timeseries.zarr'
# The same in one file, see `packing`.
PACKED = 'timeseries.zarr.zip'
# Where one is made, before it takes its place.
PARTIAL = 'timeseries.partial'
# Of the store; an attribute of the dataset. 1: other states of rows; 2: no
# checksums.
FORMAT = 3
# Steps of one chunk of the per-step history.
HISTORY_CHUNK = 2048
# Attribute of an array that was added after the run: the measure that it is
# of. Its chunks are there where `measured.json` says so.
ADDED = 'added_with'
CHECKSUM = 'checksum'
# Attributes of an array that say where it and its only chunk belong.
ARRAY, CHUNK = 'array', 'chunk'
_META = 'zarr.json'

STATUS = Field(
  ('seed', 'step'), 'int8',
  'status of the row: -1 not reached, 0 ok, 7 non-finite values (in the '
  'training loss since the last row, or in a measure), 9 damaged, 10 repeated '
  '(another step has these weights), 11 missing or not to be read', '1',
)  # fmt: skip
_CHANCE = Field(
  ('task', 'level'), 'float64', 'accuracy of the best constant answer', '1',
)  # fmt: skip
HISTORY = {
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
  'arm': ('arm of the experiment', ''),
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


class SyncedStore(LocalStore):
  """A local store whose latest writes can be flushed to the disk."""

  def __init__(self, root: files.Path, *, read_only: bool = False):
    super().__init__(pathlib.Path(root), read_only=read_only)
    self._unsynced: set[pathlib.Path] = set()

  async def set(self, key: str, value) -> None:
    """Sets a key, and remembers its file."""
    await super().set(key, value)
    self._unsynced.add(self.root / key)

  def sync(self) -> None:
    """Returns once all writes are on the disk."""
    files.sync(path for path in self._unsynced if path.exists())
    self._unsynced.clear()


def _codecs() -> list:
  """Compression, and behind it the checksum."""
  return [ZstdCodec(), Crc32cCodec()]


def fill_value(dtype: Any) -> Any:
  """Value of what was not measured: nan, or -1."""
  return np.nan if np.issubdtype(np.dtype(dtype), np.floating) else -1


def _add(group, name, field, sizes, chunk_along=None, **attributes):
  chunk_along = chunk_along or {}
  shape = tuple(sizes[d] for d in field.dims)
  return group.create_array(
    name,
    shape=shape,
    chunks=tuple(chunk_along.get(d, n) for d, n in zip(field.dims, shape)),
    dtype=field.dtype,
    compressors=_codecs(),
    fill_value=fill_value(field.dtype),
    dimension_names=field.dims,
    attributes={**fields_lib.attributes(field), **attributes},
    config={'write_empty_chunks': True},
  )


def _add_coord(group, name: str, labels: Any, dim: str = '') -> None:
  values = np.asarray(labels)
  text = values.dtype.kind == 'U'
  array = group.create_array(
    name,
    shape=values.shape,
    chunks=values.shape,
    dtype='string' if text else values.dtype,
    compressors=_codecs(),
    dimension_names=(dim or name,),
    attributes=dict(zip(('long_name', 'units'), _COORDS.get(name, (name, '')))),
    config={'write_empty_chunks': True},
  )
  array[:] = values.astype(object) if text else values


def _add_measured(group, fields: Mapping[str, Field], sizes, **attributes):
  """Arrays of measures: a chunk is one step of one variable."""
  for name, field in fields.items():
    full = dataclasses.replace(field, dims=('seed', 'step', *field.dims))
    _add(group, name, full, sizes, {'step': 1}, **attributes)


def _without_checksum(document: dict) -> dict:
  attributes = dict(document.get('attributes', {}))
  attributes.pop(CHECKSUM, None)
  return {**document, 'attributes': attributes}


def _seal(folder: pathlib.Path) -> None:
  """Writes the checksum of each `zarr.json` under a folder into it.

  And, of an array, its name, and the checksum of its chunk if it has but that
  one: whole files in each other's places are known by them.
  """
  for path in folder.rglob(_META):
    document = _without_checksum(json.loads(path.read_bytes()))
    attributes = document['attributes']
    if document['node_type'] == 'array':
      name = path.parent.name
      attributes[ARRAY] = name
      if not {'step', 'train_step'} & set(document['dimension_names'][1:]):
        chunk = path.parent.parent / chunk_file(name, len(document['shape']), 0)
        attributes[CHUNK] = records.checksum_of(chunk)
    attributes[CHECKSUM] = files.checksum(document)
    path.write_text(json.dumps(document, indent=2), encoding='utf-8')


def packed_attributes(path: pathlib.Path) -> dict[str, Any]:
  """Attributes of the group in a packed timeseries.

  Raises:
    UserError: if it is damaged.
  """
  if not files.has_crc32c(path):
    raise UserError(f'{path} is damaged and cannot be read.')
  with zipfile.ZipFile(path) as archive:
    document = json.loads(archive.read('zarr.json'))
  return dict(document.get('attributes', {}))


def metadata(folder: pathlib.Path) -> dict | None:
  """The `zarr.json` of a group or an array; None if damaged or not there.

  Those of older versions have no checksum and are taken as they are.
  """
  document = files.read_json(folder / _META, checked=False)
  if document is None or not isinstance(document.get('attributes', {}), dict):
    return None
  said = document.get('attributes', {}).get(CHECKSUM)
  if said is None:
    return document
  whole = files.checksum(_without_checksum(document)) == said
  return document if whole else None


def is_sealed(document: dict) -> bool:
  """Whether a `zarr.json` has a checksum, as all of this format do."""
  return CHECKSUM in document.get('attributes', {})


def beside(path: pathlib.Path) -> pathlib.Path:
  """An empty folder beside a store to build in."""
  part = path.with_name(PARTIAL)
  shutil.rmtree(part, ignore_errors=True)
  return part


def declared(
  measures: Iterable[Measure],
  task_names: Sequence[str],
  level_names: Sequence[str],
) -> dict[str, Any]:
  """Fields and coordinates of measures: arguments of `build`."""
  fields: dict[str, Field] = {}
  coords: dict[str, Any] = {}
  for measure in measures:
    fields |= measure.fields
    coords |= measure.coords
  coords |= {'task': list(task_names), 'level': list(level_names)}
  return {'fields': fields, 'coords': coords}


def build(
  folder: pathlib.Path,
  *,
  fields: Mapping[str, Field],
  coords: Mapping[str, Sequence[Any]],
  chance_KxL: np.ndarray,
  seeds: np.ndarray,
  steps: np.ndarray,
  train_steps: int,
  attributes: Mapping[str, Any],
  arms: Sequence[str] = (),
) -> None:
  """Makes an empty store.

  Args:
    folder: of the store.
    fields: variables without their dimensions `seed` and `step`.
    coords: coordinates of the other dimensions.
    chance_KxL: accuracy of the best constant answer of each task × level.
    seeds: int [S].
    steps: int [C], the checkpoint schedule.
    train_steps: length of the per-step history; 0 for none.
    attributes: of the whole dataset.
    arms: name of the arm of each seed; none if empty. The dimension `seed` is
      then that of all members, arm by arm.
  """
  group = zarr.open_group(LocalStore(folder), mode='w')
  every: dict[str, Any] = {
    'seed': np.asarray(seeds, np.int64),
    'step': np.asarray(steps, np.int64),
    **coords,
  }
  if train_steps:  # checkpoints that were trained elsewhere have no history
    every['train_step'] = np.arange(train_steps, dtype=np.int64)
  for name, values in every.items():
    _add_coord(group, name, values)
  sizes = {name: len(values) for name, values in every.items()}
  _add_measured(group, fields, sizes)
  for name, field in HISTORY.items() if train_steps else ():
    chunk = {'train_step': min(HISTORY_CHUNK, train_steps)}
    _add(group, name, field, sizes, chunk)
  if arms:
    _add_coord(group, ARM, list(arms), 'seed')
    attributes = {**attributes, 'coordinates': ARM}  # to xarray
  _add(group, 'chance', _CHANCE, sizes)[:] = chance_KxL
  _add(group, 'status', STATUS, sizes, {'step': 1})
  names = sorted(name for name, _ in group.arrays())
  group.attrs.update({
    **attributes, 'format': FORMAT, 'variables': names, records.KEPT: True
  })  # fmt: skip
  _seal(folder)


def extend(
  path: pathlib.Path,
  measure: str,
  fields: Mapping[str, Field],
  coords: Mapping[str, Sequence[Any]],
) -> None:
  """Adds empty variables; see `timeseries.extend`."""
  present = {p.name for p in path.iterdir() if metadata(p) is not None}
  for name, values in coords.items():
    known = (
      zarr.open_array(path / name, mode='r')[:] if name in present else None
    )
    if known is not None and list(known) != list(np.asarray(values)):
      raise UserError(
        f'{path.parent} has {len(known)} values of {name}, and the measure '
        f'{len(values)}; give it the options that the run had.'
      )
  part = beside(path)
  group = zarr.open_group(LocalStore(part), mode='w')
  sizes = {k: len(values) for k, values in coords.items()}
  for name in ('seed', 'step'):
    sizes[name] = metadata(path / name)['shape'][0]
  new = {k: values for k, values in coords.items() if k not in present}
  for name, values in new.items():
    _add_coord(group, name, values)
  missing = {k: field for k, field in fields.items() if k not in present}
  _add_measured(group, missing, sizes, **{ADDED: measure})
  _seal(part)
  for name in [*new, *missing]:
    shutil.rmtree(path / name, ignore_errors=True)
    os.rename(part / name, path / name)
  shutil.rmtree(part)


def added_with(path: pathlib.Path, measure: str) -> list[str]:
  """Names of the arrays of a store that a measure has added after the run."""
  return sorted(
    folder.name
    for folder in path.iterdir()
    if folder.is_dir()
    and (metadata(folder) or {}).get('attributes', {}).get(ADDED) == measure
  )


def unused_coords(path: pathlib.Path) -> list[str]:
  """Coordinates added after the run that no array uses any more."""
  known = {p.name: metadata(p) for p in path.iterdir() if p.is_dir()}
  dims = {
    name: value.get('dimension_names') or []
    for name, value in known.items()
    if value is not None
  }
  used = {dim for name, own in dims.items() for dim in own if dim != name}
  attributes = (metadata(path) or {}).get('attributes', {})
  of_run = attributes.get('variables', ())  # older stores do not say
  return sorted(
    name
    for name, own in dims.items()
    if list(own) == [name] and name not in used and name not in of_run
  )


def chunk_file(name: str, rank: int, place: int) -> str:
  """File of a chunk at a place along the second dimension, or of the only one.

  Args:
    name: the array's.
    rank: number of its dimensions.
    place: counted in chunks.
  """
  places = [0] * rank
  if rank > 1:
    places[1] = place
  return '/'.join([name, 'c', *map(str, places)])
