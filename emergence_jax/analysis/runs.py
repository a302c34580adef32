"""Reading several runs side by side."""

import itertools
import json
import pathlib
from collections.abc import Sequence

import xarray as xr

from emergence_jax import timeseries
from emergence_jax.analysis import paper
from emergence_jax.types import UserError


def _label(config: dict, workdir: pathlib.Path) -> str:
  """The size or modulus of a run, or the name of its folder."""
  size = config.get('model', {}).get('size')
  modulus = config.get('task', {}).get('p')
  if size:
    return size
  return f'mod {modulus}' if modulus else workdir.name


def _free(label: str, workdir: pathlib.Path, taken) -> str:
  """A label that no other run has, by the folder's name or a number."""
  if label not in taken:
    return label
  label = f'{label} ({workdir.name})'
  again = (f'{label} {i}' for i in itertools.count(2))
  return (
    label if label not in taken else next(x for x in again if x not in taken)
  )


def load(workdirs: Sequence[str | pathlib.Path]) -> dict[str, xr.Dataset]:
  """Label → timeseries in memory, from small to large models.

  Per-item flags are left on the disk. A finished or an unfinished run will do.
  Attributes: `train_steps`, how far it was to go; `examples` of a task and
  level that behaviour was measured on; `size`, one of the paper's
  or empty; `deviations`, where it leaves the paper's protocol; `workdir`.

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
    label = _free(_label(config, workdir), workdir, runs)
    keep = [n for n, v in data.data_vars.items() if 'item' not in v.dims]
    examples = data.sizes.get('item')
    data = data[keep].load()
    data.attrs['examples'] = examples
    data.attrs['train_steps'] = config.get('train', {}).get('steps')
    data.attrs['size'] = config.get('model', {}).get('size') or ''
    data.attrs['deviations'] = paper.deviations(config)
    data.attrs['workdir'] = str(workdir)
    runs[label] = data
  return dict(
    sorted(runs.items(), key=lambda item: item[1].attrs.get('parameters', 0))
  )
