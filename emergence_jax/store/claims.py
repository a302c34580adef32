"""Of which run an exported folder is, so that none overwrites another's."""

import pathlib
from collections.abc import Iterable

from emergence_jax.base.types import UserError
from emergence_jax.store import files
from emergence_jax.store.timeseries import load

NAME = 'export.json'


def _identity(workdir: pathlib.Path) -> str:
  """Checksum of what a run is: its configuration and its seeds."""
  data = load(workdir)
  seeds = [int(s) for s in data.seed.values]
  return files.checksum({'config': data.attrs.get('config'), 'seeds': seeds})


def claim(
  folder: pathlib.Path, workdir: pathlib.Path, paths: Iterable[pathlib.Path]
) -> None:
  """Says in a folder that it is of a run, before anything is written there.

  Args:
    folder: that is exported to.
    workdir: the run's.
    paths: what is to be written.

  Raises:
    UserError: if it holds what is of another run, or might be.
  """
  if folder.resolve() == workdir.resolve():
    return  # a run's own
  own = _identity(workdir)
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
