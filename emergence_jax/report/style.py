"""How all figures look."""

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import xarray as xr  # noqa: E402

# Okabe and Ito's colours, which colour-blind people can tell apart.
BLUE, ORANGE, GREEN, PURPLE = '#0072B2', '#D55E00', '#009E73', '#CC79A7'
_MORE = ('#E69F00', '#56B4E9', '#000000', '#999933')
RC = {
  'font.size': 10,
  'axes.spines.top': False,
  'axes.spines.right': False,
  'axes.grid': True,
  'grid.alpha': 0.25,
  'legend.frameon': False,
}


def task_colours(count: int) -> list:
  """Colours of `count` tasks."""
  colours = (BLUE, ORANGE, GREEN, PURPLE, *_MORE)
  if count <= len(colours):
    return list(colours[:count])
  return list(plt.get_cmap('viridis')(np.linspace(0, 0.95, count)))


def curves(
  axis, data: xr.DataArray, colour, label: str, *, seeds: bool = True
) -> None:
  """The median over seeds as a thick line, and each seed as a thin one."""
  step = data.step.values
  lines_SxC = data.transpose('seed', 'step').values
  if seeds:
    axis.plot(step, lines_SxC.T, color=colour, lw=0.7, alpha=0.35)
  # A step at which a measure was not due, or all seeds failed, has no median.
  known = np.isfinite(lines_SxC).any(0)
  middle = np.nanmedian(lines_SxC[:, known], 0)
  axis.plot(step[known], middle, color=colour, lw=2.2, label=label)


def step_axis(axis, data: xr.Dataset) -> None:
  """Logarithmic steps behind the first checkpoint, linear before it."""
  linear = float(data.step.values[1]) if data.sizes['step'] > 1 else 1.0
  axis.set_xscale('symlog', linthresh=linear)
