"""Reading several runs side by side."""

import json
import pathlib
from collections.abc import Sequence

import xarray as xr

from emergence_jax import timeseries
from emergence_jax.analysis import groups
from emergence_jax.types import UserError


def _label(config: dict, workdir: pathlib.Path) -> str:
  """The size or modulus of a run, or the name of its folder."""
  size = config.get('model', {}).get('size')
  modulus = config.get('task', {}).get('p')
  if size:
    return size
  return f'mod {modulus}' if modulus else workdir.name


def _order(label: str) -> tuple[int, str]:
  known = groups.SIZES.index(label) if label in groups.SIZES else -1
  return known, label


def load(workdirs: Sequence[str | pathlib.Path]) -> dict[str, xr.Dataset]:
  """Label → timeseries in memory, from small to large models.

  Per-item flags are left on the disk. A finished or an unfinished run will do;
  `attrs['train_steps']` says how far it was to go.

  Args:
    workdirs: run directories, at least one.

  Raises:
    UserError: if one holds no run, or nothing was measured yet.
  """
  if not workdirs:
    raise UserError('give at least one --workdir.')
  runs = {}
  for workdir in map(pathlib.Path, workdirs):
    data = timeseries.load(workdir)
    if not data.sizes['step']:
      raise UserError(f'{workdir} has no whole checkpoint yet.')
    if 'accuracy' not in data:
      raise UserError(
        f'{workdir} did not measure behaviour (config.measures.behaviour), '
        'without which nothing emerges.'
      )
    config = json.loads(data.attrs.get('config', '{}'))
    label = _label(config, workdir)
    if label in runs:
      label = f'{label} ({workdir.name})'
    keep = [n for n, v in data.data_vars.items() if 'item' not in v.dims]
    data = data[keep].load()
    data.attrs['train_steps'] = config.get('train', {}).get('steps')
    data.attrs['workdir'] = str(workdir)
    runs[label] = data
  return dict(sorted(runs.items(), key=lambda item: _order(item[0])))
