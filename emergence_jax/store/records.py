"""What each row of a timeseries holds: a checksum of every chunk, by its place.

A chunk has its own checksum, by which a changed bit is found. Whole chunks in
each other's places, or an older one in the place of a newer, are found by the
record of the row, which is written after its values and before its status. It
lies within the folder of `status`, where zarr looks for chunks alone.

A chunk of the per-step history grows over many rows. Each record holds a
checksum of the values since the row before, cut where chunks end.
"""

import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import google_crc32c
import numpy as np

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
  history: Mapping[str, Mapping[str, str]],
) -> None:
  """Records a row, on the disk when it returns.

  Args:
    store: folder of the timeseries.
    step: of the row.
    chunks: variable → file of its chunk of this row.
    statuses: of the seeds: what they are, or may come to be at once.
    history: variable → first step of a span → checksum of its values.
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
      'history': {name: dict(sums) for name, sums in history.items()},
    },
  )
  files.sync([path])


def spans(start: int, stop: int, length: int) -> Iterator[slice]:
  """Steps from `start` to before `stop`, cut where chunks of a length end."""
  while start < stop:
    end = min(stop, (start // length + 1) * length)
    yield slice(start, end)
    start = end


def sum_of(values: np.ndarray) -> str:
  """Checksum of an array's values."""
  return f'{google_crc32c.value(np.ascontiguousarray(values).tobytes()):08x}'


def sums_of(name: str, said: Iterable[dict[str, Any] | None]) -> dict[str, str]:
  """First step of each span of a variable → checksum, of all rows' records."""
  sums: dict[str, str] = {}
  for record in said:
    own = (record or {}).get('history', {}).get(name, {})
    sums |= own if isinstance(own, dict) else {}
  return sums


def is_as_recorded(values: np.ndarray, wanted: str | None) -> bool:
  """Whether values have a checksum, or are blank, as mended ones are."""
  return wanted in (None, sum_of(values)) or bool(np.isnan(values).all())


def remove(store: pathlib.Path, step: int) -> None:
  """Deletes the record of a row."""
  (store / name_of(step)).unlink(missing_ok=True)


def read(store: pathlib.Path, step: int) -> dict[str, Any] | None:
  """The record of a row; None if it is missing, damaged or of another row."""
  content = files.read_json(store / name_of(step))
  if content is None or content.get('step') != step:
    return None
  content.setdefault('history', {})  # those of older versions have none
  whole = isinstance(content.get('statuses'), list) and all(
    isinstance(content.get(name), dict) for name in ('chunks', 'history')
  )
  return content if whole else None
