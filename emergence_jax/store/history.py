"""The history of every update, looked at where the rows are."""

import numpy as np
import xarray as xr

BETWEEN = 'train_loss_between'


def loss_between(data: xr.Dataset) -> xr.DataArray | None:
  """Mean training loss of the updates since the row before.

  At the first row it is the loss before the first update.

  Args:
    data: a timeseries; a packed one has it as a variable.

  Returns:
    With the dimension `step` instead of `train_step`; None without history.
  """
  if BETWEEN in data:
    return data[BETWEEN]
  if 'train_loss' not in data or not data.sizes['train_step']:
    return None
  loss = data.train_loss
  values = np.moveaxis(loss.values, loss.get_axis_num('train_step'), 0)
  ends = data.step.values - int(data.train_step.values[0])
  # Of a run that began from another's there is no history before.
  values = values[ends[0] :]
  sums = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, 0)])
  at = sums[ends - ends[0]]
  counts = np.diff(ends).reshape(-1, *[1] * (values.ndim - 1))
  means = np.concatenate([values[:1], np.diff(at, axis=0) / counts])
  dims = ['step', *(d for d in loss.dims if d != 'train_step')]
  between = xr.DataArray(
    means.astype(np.float32), dims=dims,
    coords={d: data[d] for d in dims if d in data.coords},
    attrs={
      'long_name': 'mean training loss of the updates since the row before; '
      'at the first row the loss before the first update',
      'units': 'nat',
    },
  )  # fmt: skip
  return between.transpose(..., 'step')
