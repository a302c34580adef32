"""Exports a run's timeseries as tidy tables, or for TensorBoard."""

import importlib.util
import itertools
import pathlib
import shutil

import numpy as np
import pandas as pd
import xarray as xr

from emergence_jax.base.types import UserError
from emergence_jax.store import arms, files, ownership
from emergence_jax.store.timeseries import load


def tables(data: xr.Dataset) -> dict[str, pd.DataFrame]:
  """Tidy tables, one for each set of dimensions; per-item flags are left out.

  Returns:
    Name → table; `by_seed_step_task_level`, for example, has the columns seed,
    step, task, level, accuracy, log_prob, loss.
  """
  names: dict[tuple[str, ...], list[str]] = {}
  # A store lists its variables in any order.
  for name in sorted(map(str, data.data_vars)):
    if 'item' not in data[name].dims:
      names.setdefault(data[name].dims, []).append(name)
  return {
    f'by_{"_".join(dims)}': data[group]
    .to_dataframe(dim_order=list(dims))
    .reset_index()
    for dims, group in names.items()
  }


def to_csv(
  workdir: str | pathlib.Path, folder: str | pathlib.Path
) -> list[pathlib.Path]:
  """Writes the `tables` of a run as CSV files; returns them.

  Args:
    workdir: run directory.
    folder: where to write; made if it is not there.
  """
  return _write(
    workdir, folder, 'csv', lambda t, p: files.as_text(t).to_csv(p, index=False)
  )


def to_parquet(
  workdir: str | pathlib.Path, folder: str | pathlib.Path
) -> list[pathlib.Path]:
  """The same as Parquet files, which needs the extra `parquet`."""
  if importlib.util.find_spec('pyarrow') is None:
    raise UserError(
      "Parquet needs pyarrow: pip install 'emergence_jax[parquet]'."
    )
  return _write(
    workdir, folder, 'parquet', lambda t, p: t.to_parquet(p, index=False)
  )


def _write(workdir, folder, suffix, write) -> list[pathlib.Path]:
  folder = files.check_writable(folder, 'give --folder')
  data = load(workdir)
  frames = tables(data)
  paths = {folder / f'{name}.{suffix}': table for name, table in frames.items()}
  ownership.claim(folder, workdir, data, paths)
  for path, table in paths.items():
    with files.replacing(path) as partial:
      write(table, partial)
  return list(paths)


def to_tensorboard(
  workdir: str | pathlib.Path, folder: str | pathlib.Path
) -> list[pathlib.Path]:
  """Every measured scalar, a run for each seed; the extra `tensorboard`."""
  try:
    import tensorboardX
  except ImportError as error:
    raise UserError(
      "this needs tensorboardX: pip install 'emergence_jax[tensorboard]'."
    ) from error
  folder = files.check_writable(folder, 'give --folder')
  data = load(workdir)
  kept = [
    name
    for name, v in data.data_vars.items()
    if {'seed', 'step'} <= set(v.dims) and 'item' not in v.dims
  ]
  data = data[kept].load()
  members = {
    folder / name: data.sel(where)
    for name, where in _members(data).items()
  }  # fmt: skip
  ownership.claim(folder, workdir, data, members)
  for path, own in members.items():
    # Events add to those that are there, and would be shown twice.
    shutil.rmtree(path, ignore_errors=True)
    with tensorboardX.SummaryWriter(str(path)) as writer:
      for name, variable in own.data_vars.items():
        _add_scalars(writer, name, variable.transpose('step', ...))
  return list(members)


def _members(data: xr.Dataset) -> dict[str, dict]:
  """Folder of each seed, of each arm → its place."""
  seeds = data.seed.values
  if arms.ARM not in data.dims:
    return {arms.member_folder(seed): {'seed': seed} for seed in seeds}
  return {
    arms.member_folder(seed, str(arm)): {arms.ARM: arm, 'seed': seed}
    for arm in data[arms.ARM].values
    for seed in seeds
  }


def _add_scalars(writer, name: str, variable: xr.DataArray) -> None:
  """One curve for each place along the dimensions beside `step`."""
  others = variable.dims[1:]
  stacked = variable.values.reshape(variable.sizes['step'], -1)
  places = itertools.product(*(variable[d].values for d in others))
  for column, place in zip(stacked.T, places):
    tag = '/'.join([name, *map(str, place)])
    for step, value in zip(variable.step.values, column):
      if np.isfinite(value):
        writer.add_scalar(tag, float(value), int(step))
