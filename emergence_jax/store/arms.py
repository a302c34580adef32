"""Arms in a timeseries: members on the disk, a dimension for who reads it."""

import json
import pathlib
import re

import numpy as np
import xarray as xr

from emergence_jax.base import arms as arms_lib
from emergence_jax.base import names

ARM = arms_lib.COORDINATE


def split(workdir: str | pathlib.Path) -> tuple[pathlib.Path, str]:
  """Run directory and arm of `RUN@ARM`; without an arm it is empty.

  >>> split('runs/causes@rate 0.002')
  (PosixPath('runs/causes'), 'rate 0.002')
  """
  path = pathlib.Path(workdir).expanduser()
  if '@' not in str(path) or path.exists():
    return path, ''
  folder, _, arm = str(path).partition('@')
  return pathlib.Path(folder), arm


def member_folder(seed: int, arm: str = '') -> str:
  """The folder of a seed, within that of its arm if it has one.

  >>> member_folder(3), member_folder(3, 'rank +0.01 placebo')
  ('seed_3', 'rank_+0.01_placebo/seed_3')
  """
  own = f'seed_{seed}'
  return f'{re.sub(r"[^A-Za-z0-9.+-]+", "_", arm)}/{own}' if arm else own


def unfold(data: xr.Dataset) -> xr.Dataset:
  """A dataset of members with dimensions `arm` and `seed`; others as they are.

  Args:
    data: with members along `seed`, arm by arm, as it lies on the disk.
  """
  if ARM not in data.coords or data[ARM].dims != ('seed',):
    return data
  named = [str(name) for name in data[ARM].values]
  arms = list(dict.fromkeys(named))
  seeds = len(named) // len(arms)
  parts = [
    data.isel(seed=slice(i * seeds, (i + 1) * seeds)).drop_vars(ARM)
    for i in range(len(arms))
  ]
  along = xr.IndexVariable(ARM, np.array(arms), data[ARM].attrs)
  with_seeds = [n for n, v in data.data_vars.items() if 'seed' in v.dims]
  joined = xr.concat(
    [part[with_seeds] for part in parts], along, combine_attrs='override',
    join='exact', coords='minimal', compat='override',
  )  # fmt: skip
  rest = parts[0].drop_vars(with_seeds)
  return rest.merge(joined, join='exact', combine_attrs='override')


def select(data: xr.Dataset, arm: str) -> xr.Dataset:
  """An arm of an unfolded dataset, as a run of its own.

  Its configuration has the numbers of the arm, and no arms.

  Raises:
    UserError: for an arm that is not there.
  """
  arms = {a.name: a for a in arms_lib.from_attributes(data.attrs)}
  own = names.choose('the arm', arm, arms)
  config = json.loads(data.attrs.get('config', '{}'))
  config.pop('arms', None)
  config.pop('interventions', None)
  for key, value in own.numbers.items():
    group, _, name = key.partition('.')
    config[group] = {**config.get(group, {}), name: value}
  data = data.sel({ARM: arm}, drop=True)
  data.attrs = {
    **data.attrs,
    'config': json.dumps(config, sort_keys=True),
    'arm': arm,
  }
  data.attrs.pop(arms_lib.ATTRIBUTE, None)
  return data
