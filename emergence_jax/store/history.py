"""The history of every update, looked at where the rows are."""

import numpy as np
import xarray as xr

BETWEEN = 'train_loss_between'


def loss_between(data: xr.Dataset) -> xr.DataArray | None:
  """Mean training loss of the updates since the row before, nan at the first.

  Args:
    data: a timeseries; a packed one has it as a variable.

  Returns:
    With the dimension `step` instead of `train_step`; None without history.
  """
  if BETWEEN in data:
    return data[BETWEEN]
  if 'train_loss' not in data:
    return None
  loss = data.train_loss
  first = int(data.train_step.values[0]) if data.sizes['train_step'] else 0
  sums = loss.cumsum('train_step').values
  ends = data.step.values - first
  axis = loss.get_axis_num('train_step')
  padded = np.insert(sums, 0, 0, axis)
  at = np.take(padded, np.clip(ends, 0, padded.shape[axis] - 1), axis)
  counts = np.diff(ends)
  means = np.diff(at, axis=axis) / np.expand_dims(
    counts, tuple(range(1, loss.ndim - axis))
  )
  blank = np.full_like(np.take(at, [0], axis), np.nan)
  dims = ['step' if d == 'train_step' else d for d in loss.dims]
  return xr.DataArray(
    np.concatenate([blank, means], axis).astype(np.float32), dims=dims,
    coords={d: data[d] for d in dims if d in data.coords},
    attrs={
      'long_name': 'mean training loss of the updates since the row before',
      'units': 'nat',
    },
  )  # fmt: skip
