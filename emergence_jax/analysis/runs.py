"""Reading several runs side by side."""

import itertools
import json
import os
import pathlib
from collections.abc import Sequence

import xarray as xr

from emergence_jax import timeseries
from emergence_jax.analysis import paper
from emergence_jax.types import UserError

_LONGEST = 60


def config_of(data: xr.Dataset) -> dict:
  """The configuration in a timeseries; empty if it is damaged."""
  try:
    found = json.loads(data.attrs.get('config', '{}'))
  except ValueError:
    return {}
  return found if isinstance(found, dict) else {}


def _label(config: dict, workdir: pathlib.Path) -> str:
  """The size or modulus of a run, or the name of its folder."""
  size = config.get('model', {}).get('size')
  modulus = config.get('task', {}).get('p')
  if size:
    return size
  return f'mod {modulus}' if modulus else _name(workdir)


def _name(workdir: pathlib.Path) -> str:
  """A folder's name as text, of a length that a figure has room for.

  Bytes that are no text become a mark.
  """
  name = os.fsencode(workdir.resolve().name).decode('utf-8', 'replace')
  return name if len(name) <= _LONGEST else f'{name[: _LONGEST - 1]}…'


def _free(label: str, workdir: pathlib.Path, taken) -> str:
  """A label that no other run has, by the folder's name or a number."""
  if label not in taken:
    return label
  label = f'{label} ({_name(workdir)})'
  again = (f'{label} {i}' for i in itertools.count(2))
  return (
    label if label not in taken else next(x for x in again if x not in taken)
  )


def load(workdirs: Sequence[str | pathlib.Path]) -> dict[str, xr.Dataset]:
  """Label → timeseries in memory, from small to large models.

  Per-item flags are left on the disk. A finished or an unfinished run will do.
  Attributes: `train_steps`, how far it was to go; `examples` of a task and
  level that behaviour was measured on; `size`, one of the paper's
  or empty; `deviations`, where it leaves the paper's protocol; `path`, the
  run's directory, and `workdir`, its name as text.

  Args:
    workdirs: run directories, at least one.

  Raises:
    UserError: if one holds no run, or nothing was measured yet.
  """
  if not workdirs:
    raise UserError('give at least one --workdir.')
  runs = {}
  # A folder that is given twice is one run.
  folders = {pathlib.Path(w).expanduser().resolve(): w for w in workdirs}
  for workdir in map(pathlib.Path, folders.values()):
    data = timeseries.load(workdir)
    if not data.sizes['step']:
      raise UserError(f'{workdir} has no whole checkpoint yet.')
    if 'accuracy' not in data:
      raise UserError(
        f'{workdir} did not measure behaviour (config.measures.behaviour), '
        'without which nothing emerges.'
      )
    config = config_of(data)
    label = _free(_label(config, workdir), workdir, runs)
    keep = [n for n, v in data.data_vars.items() if 'item' not in v.dims]
    examples = data.sizes.get('item')
    data = data[keep].load()
    data.attrs['examples'] = examples
    data.attrs['train_steps'] = config.get('train', {}).get('steps')
    data.attrs['size'] = config.get('model', {}).get('size') or ''
    data.attrs['deviations'] = paper.deviations(config)
    data.attrs['path'] = str(workdir.expanduser())
    named = os.fsencode(workdir).decode('utf-8', 'replace')
    data.attrs['workdir'] = named
    runs[label] = data
  return dict(
    sorted(runs.items(), key=lambda item: item[1].attrs.get('parameters', 0))
  )
