"""Packs what analysis and report need of a timeseries into one file.

Per-example flags are left out, and of the history of every update all but the
mean loss between two rows; all else is there to the bit. A folder that holds
such a file is read as a run is.
"""

import pathlib
import shutil
import tempfile
import zipfile
from typing import Any

import google_crc32c
import numpy as np
import xarray as xr
import zarr

from emergence_jax.store import arms, files, history, layout, ownership
from emergence_jax.store.timeseries import load, load_members

# What is copied beside it, for people.
_BESIDE = ('config.json', 'env.json', 'times.json')


def needed(data: xr.Dataset) -> xr.Dataset:
  """A timeseries without flags of examples and history."""
  left_out = [
    name
    for name, variable in data.variables.items()
    if {'item', 'train_step'} & set(variable.dims)
  ]
  between = history.loss_between(data)
  kept = data.drop_vars(left_out)
  if between is not None:
    kept[history.BETWEEN] = between.variable
  if 'item' in data.sizes:
    kept.attrs['examples'] = data.sizes['item']
  return kept


def _archive(folder: pathlib.Path, path: pathlib.Path) -> None:
  """Archives a folder; the comment is the CRC-32C of what is before."""
  with zipfile.ZipFile(path, 'w') as archive:
    for file in sorted(p for p in folder.rglob('*') if p.is_file()):
      # Without times, so that the same numbers give the same file.
      name = zipfile.ZipInfo(str(file.relative_to(folder)))
      archive.writestr(name, file.read_bytes())
    archive.comment = bytes(4)
  data = path.read_bytes()[:-4]
  path.write_bytes(data + google_crc32c.value(data).to_bytes(4, 'little'))


def without_paths(env: dict[str, Any]) -> dict[str, Any]:
  """The environment without absolute paths.

  >>> without_paths({'argv': ['/home/me/run.py', '--workdir=/tmp/x', '--v=1']})
  {'argv': ['run.py', '--v=1'], 'flags': {}}
  """

  def is_path(word: Any) -> bool:
    return pathlib.PurePath(str(word).rpartition('=')[2]).is_absolute()

  program, *words = env.get('argv') or ['']
  return {
    **env,
    'argv': [pathlib.PurePath(program).name]
    + [word for word in words if not is_path(word)],
    'flags': {
      name: value
      for name, value in (env.get('flags') or {}).items()
      if not is_path(value)
    },
  }


def pack(
  workdir: str | pathlib.Path, folder: str | pathlib.Path
) -> list[pathlib.Path]:
  """Writes the packed timeseries of a run, and its configuration.

  Args:
    workdir: run directory, or `RUN@ARM`.
    folder: where to write; made if it is not there.

  Returns:
    What was written.
  """
  workdir, arm = arms.split(workdir)
  data = load(f'{workdir}@{arm}') if arm else load_members(workdir)
  data = needed(data).load()
  encoding = {}
  for name, variable in data.variables.items():
    variable.encoding = {}
    if variable.ndim and np.issubdtype(variable.dtype, np.number):
      encoding[name] = {
        'chunks': variable.shape,
        'compressors': zarr.codecs.BloscCodec(cname='zstd', clevel=9),
      }
  folder = files.check_writable(folder, 'give another --folder')
  path = folder / layout.PACKED
  # The configuration of an arm is in its timeseries.
  copied = [n for n in _BESIDE if not (arm and n == 'config.json')]
  beside = [folder / name for name in copied]
  ownership.claim(folder, workdir, data, [path, *beside])
  with files.replacing(path) as partial:
    with tempfile.TemporaryDirectory() as work:
      data.to_zarr(work, encoding=encoding, consolidated=False, zarr_format=3)
      _archive(pathlib.Path(work), partial)
  written = [path]
  for name in copied:
    if (workdir / name).exists() and workdir.resolve() != folder.resolve():
      shutil.copyfile(workdir / name, folder / name)
      env = files.read_json(folder / name) if name == 'env.json' else None
      if env:
        files.write_json(folder / name, without_paths(env))
      written.append(folder / name)
  return written
