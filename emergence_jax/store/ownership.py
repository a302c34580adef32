"""Of which run an exported folder is, so that none overwrites another's."""

import pathlib
from collections.abc import Iterable

import xarray as xr

from emergence_jax.base.types import UserError
from emergence_jax.store import files

NAME = 'export.json'


def _identity(data: xr.Dataset) -> str:
  """Checksum of what a run is: its configuration and its seeds."""
  seeds = [int(s) for s in data.seed.values]
  return files.checksum({'config': data.attrs.get('config'), 'seeds': seeds})


def claim(
  folder: pathlib.Path,
  workdir: str | pathlib.Path,
  data: xr.Dataset,
  paths: Iterable[pathlib.Path],
) -> None:
  """Says in a folder that it is of a run, before anything is written there.

  Args:
    folder: that is exported to.
    workdir: the run's.
    data: its timeseries.
    paths: what is to be written.

  Raises:
    UserError: if it holds what is of another run, or might be.
  """
  workdir = pathlib.Path(workdir)
  if folder.resolve() == workdir.resolve():
    return  # a run's own
  own = _identity(data)
  known = files.read_json(folder / NAME)
  if known is None:
    there = sorted(path for path in paths if path.exists())
    if there:
      raise UserError(
        f'{there[0]} is there already, and nothing says that it is of '
        f'{workdir}; give another --folder.'
      )
  elif known.get('run') != own:
    raise UserError(
      f'{folder} holds what was exported of another run '
      f'({known.get("workdir", "unknown")}); give another --folder.'
    )
  files.write_json(folder / NAME, {'run': own, 'workdir': workdir.name})
