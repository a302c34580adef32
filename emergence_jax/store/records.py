"""What each row of a timeseries holds: a checksum of every chunk, by its place.

A chunk has its own checksum, by which a changed bit is found. Whole chunks in
each other's places, or an older one in the place of a newer, are found by the
record of the row, which is written after its values and before its status. It
lies within the folder of `status`, where zarr looks for chunks alone.
"""

import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from emergence_jax.store import files

# Attribute of stores whose rows have records.
KEPT = 'records'
_FOLDER = pathlib.PurePath('status', 'rows')


def name_of(step: int) -> str:
  """File of a row's record, within the store."""
  return str(_FOLDER / f'{step}.json')


def checksum_of(path: pathlib.Path) -> str:
  """The checksum at the end of a chunk; empty if it is not there."""
  try:
    return files.end_of(path)
  except OSError:
    return ''


def write(
  store: pathlib.Path,
  step: int,
  chunks: Mapping[str, pathlib.Path],
  statuses: Iterable[Sequence[int]],
) -> None:
  """Records a row, on the disk when it returns.

  Args:
    store: folder of the timeseries.
    step: of the row.
    chunks: variable → file of its chunk of this row.
    statuses: of the seeds: what they are, or may come to be at once.
  """
  path = store / name_of(step)
  path.parent.mkdir(exist_ok=True)
  sums = {name: checksum_of(file) for name, file in chunks.items()}
  files.write_json(
    path,
    {
      'step': step,
      'chunks': {name: value for name, value in sums.items() if value},
      'statuses': [list(map(int, status)) for status in statuses],
    },
  )
  files.sync([path])


def remove(store: pathlib.Path, step: int) -> None:
  """Deletes the record of a row."""
  (store / name_of(step)).unlink(missing_ok=True)


def read(store: pathlib.Path, step: int) -> dict[str, Any] | None:
  """The record of a row; None if it is missing, damaged or of another row."""
  content = files.read_json(store / name_of(step))
  if content is None or content.get('step') != step:
    return None
  whole = isinstance(content.get('chunks'), dict) and isinstance(
    content.get('statuses'), list
  )
  return content if whole else None
