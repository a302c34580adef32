"""Checks the files of a timeseries before they are read."""

import contextlib
import enum
import itertools
import os
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import zarr

from emergence_jax.base.types import Status, UserError
from emergence_jax.store import files, layout, records

# Which rows `measure` has filled: measure → {'options': …, 'steps': […]}.
NOTES = 'measured.json'
MENDS = (
  'the command that made the run, given its --workdir, mends what can be '
  'mended.'
)


class Kind(enum.Enum):
  """What a damaged file contained."""

  METADATA = 'metadata'
  COORDINATE = 'coordinate'
  ROW = 'row'
  HISTORY = 'history'
  NOTES = 'notes'


class Damage(NamedTuple):
  """A file that is missing or differs from what was written there.

  Attributes:
    kind: of its contents.
    file: within the run's directory.
    variable: whose it is; empty for the group itself.
    place: of a row or a chunk of history, counted from 0.
  """

  kind: Kind
  file: str
  variable: str = ''
  place: int = 0


class Examined(NamedTuple):
  """Result of checking a store.

  Attributes:
    documents: variable → its `zarr.json`, of those that are whole.
    status_SxC: status of all rows, damaged ones marked.
    step_C: steps; empty where they cannot be read.
    rows: rows up to the last that was written whole.
    notes: contents of `measured.json`.
    damage: files that are damaged.
  """

  documents: dict[str, dict]
  status_SxC: np.ndarray
  step_C: np.ndarray
  rows: int
  notes: dict[str, Any]
  damage: list[Damage]


def root(workdir: files.Path) -> dict:
  """Attributes of the store's group.

  Raises:
    UserError: if there is no store, or they are damaged.
  """
  path = pathlib.Path(workdir) / layout.NAME
  packed = pathlib.Path(workdir) / layout.PACKED
  if packed.exists() and not path.exists():
    return layout.packed_attributes(packed)
  if not path.is_dir():
    raise UserError(
      f'{workdir} holds no {layout.NAME}; give the directory of a run, '
      'for example runs/2026-01-31-modadd.'
    )
  document = layout.metadata(path)
  if document is None:
    raise UserError(f'{path / "zarr.json"} is damaged or missing; {MENDS}')
  return document.get('attributes', {})


def notes(workdir: files.Path) -> dict[str, Any] | None:
  """Contents of `measured.json`, empty if it is not there; None if damaged."""
  path = pathlib.Path(workdir) / NOTES
  if not path.exists():
    return {}
  content = files.read_json(path)
  if content is None or not all(
    isinstance(note, dict) and isinstance(note.get('steps'), list)
    for note in content.values()
  ):
    return None
  return content


def _documents(path: pathlib.Path, names, damage: list[Damage]) -> dict:
  """Metadata of every array that should be there or is."""
  present = {p.name for p in path.iterdir() if p.is_dir()}
  documents = {}
  for name in sorted(present | set(names)):
    document = layout.metadata(path / name)
    if (
      document is None
      or document.get('node_type') != 'array'
      or not layout.is_sealed(document)
      or document['attributes'].get(layout.ARRAY, name) != name
    ):
      file = f'{layout.NAME}/{name}/zarr.json'
      damage.append(Damage(Kind.METADATA, file, name))
    else:
      documents[name] = document
  return documents


def _is_row(document: dict) -> bool:
  return document['dimension_names'][:2] == ['seed', 'step']


def _is_history(document: dict) -> bool:
  return document['dimension_names'] == ['seed', 'train_step']


def _status(path, document, bad: set[int]) -> np.ndarray:
  """Status of all rows; that of a bad chunk is `DAMAGED`.

  Chunks that cannot be read, of another array for example, are added to the
  bad ones.
  """
  seeds, rows = document['shape']
  status = np.full((seeds, rows), int(Status.NOT_REACHED), np.int8)
  array = zarr.open_array(path / 'status', mode='r')
  if not bad:
    with contextlib.suppress(ValueError):
      return np.asarray(array[:])
  for row in range(rows):
    try:
      status[:, row] = Status.DAMAGED if row in bad else array[:, row]
    except ValueError:
      status[:, row] = Status.DAMAGED
      bad.add(row)
  return status


def _chunks_of_rows(
  documents, rows: int, step_C, noted
) -> Iterator[tuple[str, int]]:
  """(variable, row) of every chunk that whole rows must have."""
  for name, document in documents.items():
    if name == 'status' or not _is_row(document):
      continue
    measure = document['attributes'].get(layout.ADDED)
    wanted = set(noted.get(measure, {}).get('steps', ()))
    for row in range(rows):
      if measure is None or int(step_C[row]) in wanted:
        yield name, row


def examine(workdir: files.Path) -> Examined:
  """Checks every file of the whole rows of a store.

  It reads each chunk without decompressing it; those of history once more, for
  the values that the rows' records hold checksums of.

  Raises:
    UserError: if there is no store, or its own `zarr.json` is damaged.
  """
  attributes = root(workdir)
  path = pathlib.Path(workdir) / layout.NAME
  damage: list[Damage] = []
  documents = _documents(path, attributes.get('variables', ()), damage)

  def check(kind, name, place=0, wanted=None) -> bool:
    file = layout.chunk_file(name, len(documents[name]['shape']), place)
    checksum = files.crc32c_of(path / file)
    # It may be whole, and not what was written there.
    whole = bool(checksum) and wanted in (None, checksum)
    if not whole:
      damage.append(Damage(kind, f'{layout.NAME}/{file}', name, place))
    return whole

  for name, document in documents.items():
    if not _is_row(document) and not _is_history(document):
      check(
        Kind.COORDINATE, name, wanted=document['attributes'].get(layout.CHUNK)
      )
  broken = {d.variable for d in damage}
  noted = notes(workdir)
  if noted is None:
    damage.append(Damage(Kind.NOTES, NOTES))
  step_C = np.zeros(0, np.int64)
  status_SxC, rows = np.zeros((0, 0), np.int8), 0
  if not broken & {'step', 'status'}:
    step_C = np.asarray(zarr.open_array(path / 'step', mode='r')[:])
    status_SxC, rows = _examine_status(path, documents['status'], damage)
    said: list[dict[str, Any] | None] = [{}] * rows
    if attributes.get(records.KEPT):
      said = [records.read(path, int(step)) for step in step_C[:rows]]
      _examine_records(said, step_C, status_SxC, damage)
    for name, row in _chunks_of_rows(documents, rows, step_C, noted or {}):
      wanted = (said[row] or {}).get('chunks', {}).get(name)
      if not check(Kind.ROW, name, row, wanted):
        status_SxC[:, row] = Status.DAMAGED
    done = step_C[:rows]
    for name in layout.HISTORY.keys() & documents.keys():
      length = _history_chunk(documents[name])
      count = -(-int(done[-1]) // length) if rows else 0
      whole = [p for p in range(count) if check(Kind.HISTORY, name, p)]
      sums = records.sums_of(name, said)
      damage += _examine_history(path, name, length, whole, done, sums)
  return Examined(documents, status_SxC, step_C, rows, noted or {}, damage)


def _examine_history(
  path, name: str, length: int, places, step_C, sums: dict[str, str]
) -> Iterator[Damage]:
  """Chunks of history with other values than the rows' records say.

  Args:
    path: the store.
    name: of the array.
    length: steps of a chunk.
    places: of the chunks, whose own checksums are right.
    step_C: steps of the rows.
    sums: of `records.sums_of`; without any nothing is read.
  """
  array = zarr.open_array(path / name, mode='r') if sums else None
  for place in places if sums else ():
    span = slice(place * length, min(int(step_C[-1]), (place + 1) * length))
    if not _is_as_recorded(array, span, step_C, sums):
      file = layout.chunk_file(name, array.ndim, place)
      yield Damage(Kind.HISTORY, f'{layout.NAME}/{file}', name, place)


def _is_as_recorded(array, span: slice, step_C, sums: dict[str, str]) -> bool:
  """Whether a chunk of history has the values that the rows' records say.

  Args:
    array: of history.
    span: steps of the chunk, up to the last row.
    step_C: steps of the rows.
    sums: first step of a part of a row's in a chunk → checksum of its values.
  """
  try:
    values = np.asarray(array[:, span])
  except ValueError:  # of another array
    return False
  inside = {int(s) for s in step_C if span.start < s < span.stop}
  edges = sorted({span.start, span.stop} | inside)
  return all(
    records.is_as_recorded(
      values[:, start - span.start : stop - span.start], sums.get(str(start))
    )
    for start, stop in itertools.pairwise(edges)
  )


def _examine_records(said, step_C, status_SxC, damage) -> None:
  """Marks rows that have no record, or another status than it says."""
  for row, record in enumerate(said):
    status = status_SxC[:, row].tolist()
    if Status.DAMAGED in status:
      continue  # known already, or being mended
    if record is None or status not in record['statuses']:
      name = records.name_of(int(step_C[row]))
      damage.append(Damage(Kind.ROW, f'{layout.NAME}/{name}', 'status', row))
      status_SxC[:, row] = Status.DAMAGED


def _history_chunk(document: dict) -> int:
  return document['chunk_grid']['configuration']['chunk_shape'][1]


def _examine_status(path, document, damage) -> tuple[np.ndarray, int]:
  """Status of all rows, and how many rows have been written."""
  bad = set()
  for row in range(document['shape'][1]):
    file = layout.chunk_file('status', len(document['shape']), row)
    # One that is not there is of a row that is still to come, or lost; a link
    # that leads nowhere is there.
    if os.path.lexists(path / file) and not files.has_crc32c(path / file):
      bad.add(row)
  status_SxC = _status(path, document, bad)
  for row in sorted(bad):
    file = layout.chunk_file('status', len(document['shape']), row)
    damage.append(Damage(Kind.ROW, f'{layout.NAME}/{file}', 'status', row))
  reached = np.flatnonzero((status_SxC != Status.NOT_REACHED).all(0))
  rows = int(reached[-1]) + 1 if reached.size else 0
  lost = (status_SxC[:, :rows] == Status.NOT_REACHED).any(0)
  for row in np.flatnonzero(lost).tolist():
    file = layout.chunk_file('status', len(document['shape']), row)
    damage.append(Damage(Kind.ROW, f'{layout.NAME}/{file}', 'status', row))
    status_SxC[:, row] = Status.DAMAGED
  return status_SxC, rows


def history_span(document: dict, place: int) -> slice:
  """Steps of a chunk of history."""
  length = _history_chunk(document)
  return slice(place * length, (place + 1) * length)


def lines(examined: Examined) -> list[str]:
  """Lines for the user: one a file, up to five of a kind."""
  said = []
  for kind in Kind:
    some = [d for d in examined.damage if d.kind is kind]
    said += [f'{d.file} is damaged or missing: {_effect(d)}' for d in some[:5]]
    if len(some) > 5:
      said.append(f'… and {len(some) - 5} more files like the last.')
  return said


def _effect(damage: Damage) -> str:
  if damage.kind is Kind.NOTES:
    return 'which rows measure has added to is unknown.'
  if damage.kind is Kind.METADATA:
    return f'{damage.variable} is left out.'
  if damage.kind is Kind.COORDINATE:
    return 'what has this dimension is left out.'
  if damage.kind is Kind.HISTORY:
    return 'its steps are blank.'
  return 'it is blank, and the status of its row says so.'
