"""Style of all figures."""

import copy
import pathlib
import textwrap
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation

from emergence_jax.base.types import Field
from emergence_jax.store import files

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
  # A task or a folder may have any name.
  'text.parse_math': False,
  'text.usetex': False,
}


def subplots(*shape: int, figsize, layout='constrained', **options):
  """A figure and its axes, which no window and no backend know of.

  The arguments are those of `matplotlib.pyplot.subplots`; that a notebook has
  chosen a backend does not matter, and is not changed.
  """
  figure = Figure(figsize=figsize, layout=layout)
  FigureCanvasAgg(figure)
  return figure, figure.subplots(*shape, **options)


class _Plain(LogFormatterSciNotation):
  """Ticks of a logarithmic axis as numbers: 0.001, 10, 1,000, 1e-5."""

  def __call__(self, x, pos=None):
    """The label of a tick; empty where the parent has none."""
    if not super().__call__(x, pos):
      return ''
    if x == 0 or 1e-3 <= abs(x) < 1e6:
      return f'{x:,.10g}'
    return f'{x:.2g}'.replace('e-0', 'e-').replace('e+0', 'e')


def finish(figure: Figure) -> None:
  """Writes the ticks of logarithmic axes without mathematics.

  Matplotlib sets them as formulas, which text is not parsed for here.
  """
  for axes in figure.axes:
    for axis in (axes.xaxis, axes.yaxis):
      for level in ('major', 'minor'):
        old = getattr(axis, f'get_{level}_formatter')()
        if type(old) is LogFormatterSciNotation:
          new = copy.copy(old)
          new.__class__ = _Plain
          getattr(axis, f'set_{level}_formatter')(new)


def save(figure: Figure, path: pathlib.Path, **options) -> None:
  """Writes a figure whole or not at all; its folder is made.

  The same figure is the same file: names within it are not drawn by chance,
  and it has no date.
  """
  path.parent.mkdir(parents=True, exist_ok=True)
  finish(figure)
  if path.suffix == '.svg':
    options = {'metadata': {'Date': None}, **options}
  with (
    matplotlib.rc_context({'svg.hashsalt': 'emergence_jax'}),
    files.replacing(path) as partial,
  ):
    figure.savefig(partial, **options)


def task_colours(count: int) -> list:
  """Colours of `count` tasks."""
  colours = (BLUE, ORANGE, GREEN, PURPLE, *_MORE)
  if count <= len(colours):
    return list(colours[:count])
  return list(matplotlib.colormaps['viridis'](np.linspace(0, 0.95, count)))


def line_colours(names: Sequence[str]) -> list:
  """Colours of the lines of a panel; layers go from dark to light."""
  if len(names) > 1 and all(name.startswith('layer') for name in names):
    return list(
      matplotlib.colormaps['viridis'](np.linspace(0, 0.85, len(names)))
    )
  return task_colours(len(names))


def arm_colours(count: int) -> list:
  """Colours of `count` arms beside a black baseline."""
  colours = [c for c in task_colours(8) if c != '#000000']
  if count <= len(colours):
    return colours[:count]
  return list(matplotlib.colormaps['turbo'](np.linspace(0.05, 0.95, count)))


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


def legend_beside(axis, **options) -> None:
  """A legend to the right of a panel, where it hides no curve."""
  options = dict(fontsize=8, handlelength=1.2, borderaxespad=0.2) | options
  axis.legend(loc='upper left', bbox_to_anchor=(1.0, 1.0), **options)


def step_axis(axis, data: xr.Dataset) -> None:
  """Logarithmic steps behind the first checkpoint, linear before it."""
  linear = float(data.step.values[1]) if data.sizes['step'] > 1 else 1.0
  axis.set_xscale('symlog', linthresh=linear)


def label(
  field: Field, sizes: Mapping[str, int], *, wrapped: bool = False
) -> str:
  """A series as an axis says it: its name, which of several, and its units.

  >>> rank = Field(
  ...   ('layer',), '', '', 'dimension', label='a', pick={'layer': -1}
  ... )
  >>> label(rank, {'layer': 2})
  'a, last layer (dimensions)'
  """
  last = (d for d, i in field.pick.items() if i == -1 and sizes.get(d, 0) > 1)
  words = [field.label, *(f'last {d}' for d in last)]
  units = {'dimension': 'dimensions', '1': ''}.get(field.units, field.units)
  text = ', '.join(words) + (f' ({units})' if units else '')
  return textwrap.fill(text, 26) if wrapped else text


def value_axis(axis, scale: str, largest: float) -> None:
  """Sets the scale of the values that a field asks for.

  Args:
    axis: of a figure.
    scale: one of `types.SCALES`.
    largest: absolute value that is drawn; a symmetric scale is linear up to
      the power of ten below a thousandth of it, where a tick is.
  """
  if scale == 'symlog':
    within = np.floor(np.log10(max(largest * 1e-3, 1e-12)))
    axis.set_yscale('symlog', linthresh=10.0**within)
  else:
    axis.set_yscale(scale)


def short(name: str, most: int = 40) -> str:
  """A name of a length that an axis has room for.

  >>> short('a' * 50, 5)
  'aaaa…'
  """
  return name if len(name) <= most else f'{name[: most - 1]}…'
