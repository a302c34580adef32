"""What a run's summary, tables and page were made from.

Whatever is older than the rows that it shows is made again.
"""

import hashlib
import pathlib
from collections.abc import Iterable

from emergence_jax.store import damage, files, layout

NAME = 'outputs.json'


def digest(workdir: files.Path) -> str:
  """A text that changes with any row of a timeseries.

  Of names, sizes and checksums, which are the last four bytes of every file;
  `zarr.json`, which ends otherwise, counts with all of it.
  """
  workdir = pathlib.Path(workdir)
  store = workdir / layout.NAME
  total = hashlib.sha256()
  for path in sorted([*store.rglob('*'), workdir / damage.NOTES]):
    if not path.is_file():
      continue
    is_json = path.suffix == '.json'
    end = path.read_bytes().hex() if is_json else files.end_of(path)
    name = path.relative_to(workdir)
    total.update(f'{name} {path.stat().st_size} {end}\n'.encode())
  return total.hexdigest()


def write(
  workdir: files.Path, made_from: str, paths: Iterable[pathlib.Path]
) -> None:
  """Records that all outputs of a run are there.

  Args:
    workdir: run directory.
    made_from: `digest` of the rows, taken before these were read.
    paths: what was written, in the run directory.
  """
  workdir = pathlib.Path(workdir)
  names = [str(path.relative_to(workdir)) for path in paths]
  files.write_json(workdir / NAME, {'made_from': made_from, 'files': names})


def are_current(workdir: files.Path) -> bool:
  """Whether all outputs of a run are there, and of the rows as they are."""
  workdir = pathlib.Path(workdir)
  said = files.read_json(workdir / NAME) or {}
  return bool(said) and said.get('made_from') == digest(workdir) and all(
    (workdir / name).is_file() for name in said.get('files', ())
  )  # fmt: skip
