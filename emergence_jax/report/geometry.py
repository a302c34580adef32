"""One figure with every measure of a run over its training steps."""

import pathlib
from typing import NamedTuple

import matplotlib
import numpy as np
import xarray as xr

from emergence_jax.analysis import emergence
from emergence_jax.report import style
from emergence_jax.types import Status


class Panel(NamedTuple):
  """A panel: variable, axis label, and how it is drawn.

  Attributes:
    name: variable of the timeseries.
    label: of the axis, with units.
    scale: `linear`, `log` or `symlog`.
    pick: fixed indices of dimensions beside seed, step and task.
    band: variable of the standard error, drawn around the median.
    status: variable with the status of every estimate; those that are not ok
      are drawn hollow, and have no part in the median.
  """

  name: str
  label: str
  scale: str = 'linear'
  pick: dict[str, int] = {}
  band: str = ''
  status: str = ''


PANELS = (
  Panel('accuracy', 'accuracy', pick={'level': -1}),
  Panel('rankme', 'RankMe, last layer\n(dimensions)', pick={'layer': -1}),
  Panel(
    'fisher_rank', 'Fisher effective rank\n(dimensions)',
    status='fisher_status',
  ),
  Panel(
    'gradcov_rank', 'gradient covariance\nrank (dimensions)',
    status='gradcov_status',
  ),
  Panel(
    'hessian_eigenvalues', 'largest Hessian\neigenvalue (nat / parameter²)',
    'log', {'hessian_index': 0}, status='hessian_status',
  ),
  Panel(
    'hessian_trace', 'Hessian trace\n(nat / parameter²)', 'symlog',
    band='hessian_trace_stderr',
  ),
  Panel('llc', 'LLC', band='llc_stderr', status='llc_status'),
  Panel('llc_elevation', "loss elevation, the\npaper's SGLD (nat)"),
  Panel('loss_barrier', 'loss barrier (nat)'),
  Panel(
    'probe_accuracy', 'probe of the answer,\nlast layer (accuracy)',
    pick={'target': 0, 'layer': -1},
  ),
  Panel(
    'task_grad_norm', 'gradient norm of\nthe task (nat / parameter)', 'log',
  ),
)  # fmt: skip


def _series(data: xr.Dataset, panel: Panel) -> xr.DataArray:
  return data[panel.name].isel(panel.pick)


def _usable(data: xr.Dataset, panel: Panel) -> xr.DataArray:
  """The same, nan where the status is not ok."""
  series = _series(data, panel)
  if panel.status not in data:
    return series
  return series.where(data[panel.status] == Status.OK)


def _measured(series: xr.DataArray) -> xr.DataArray:
  """Only the steps at which a measure was due."""
  others = [d for d in series.dims if d != 'step']
  return series.isel(step=np.isfinite(series).any(others).values)


def _draw(axis, data: xr.Dataset, panel: Panel) -> None:
  # All of them say where the measure was due, the usable ones what it is.
  every = _measured(_series(data, panel))
  series = _usable(data, panel).sel(step=every.step)
  if 'task' not in series.dims:
    groups = {'all tasks': series}
  else:
    groups = {str(t): series.sel(task=t) for t in series.task.values}
  for colour, (name, one) in zip(
    style.task_colours(len(groups)), groups.items()
  ):
    if len(groups) == 1 and 'task' not in series.dims:
      colour = 'black' if data.sizes.get('task', 1) > 1 else style.BLUE
    style.curves(axis, one, colour, name, seeds=len(groups) == 1)
    if len(groups) == 1:
      raw = every if 'task' not in every.dims else every.sel(task=name)
      flagged = raw.where(np.isnan(one)).transpose('step', 'seed')
      axis.plot(
        flagged.step, flagged, 'o', mfc='none', color=colour, ms=3, alpha=0.4
      )
    if panel.band and len(groups) == 1:
      error = data[panel.band].sel(step=one.step.values)
      if 'task' in error.dims:
        error = error.isel(task=0)
      middle, half = one.median('seed'), error.median('seed')
      axis.fill_between(
        one.step, middle - half, middle + half, color=colour, alpha=0.25, lw=0,
        label='± standard error',
      )  # fmt: skip
  axis.set_ylabel(panel.label)
  if panel.scale == 'symlog':
    largest = float(np.nanmax(np.abs(every.values)))
    axis.set_yscale('symlog', linthresh=max(largest * 1e-3, 1e-12))
  else:
    axis.set_yscale(panel.scale)


def _emergence(axis, step: float | None) -> None:
  if step is not None and np.isfinite(step):
    axis.axvline(step, color='grey', lw=1, ls='--')


def geometry(
  data: xr.Dataset, path: pathlib.Path, emerged: float | None = None
) -> None:
  """Every measure that a run has, one panel each, on one axis of steps.

  Args:
    data: a run's timeseries.
    path: PNG file to write.
    emerged: step to mark by a dashed line.
  """
  panels = [p for p in PANELS if p.name in data]
  panels = [p for p in panels if _measured(_series(data, p)).sizes['step']]
  columns = min(3, len(panels))
  rows = -(-len(panels) // columns)
  with matplotlib.rc_context(style.RC):
    figure, axes = style.subplots(
      rows, columns, sharex=True, squeeze=False, layout='constrained',
      figsize=(4 * columns, 2.3 * rows + 1.8),
    )  # fmt: skip
    for axis, panel in zip(axes.flat, panels):
      _draw(axis, data, panel)
      _emergence(axis, emerged)
      style.step_axis(axis, data)
    for axis in axes.flat[len(panels) :]:
      axis.set_axis_off()
    for column in range(columns):
      last = [i for i in range(len(panels)) if i % columns == column][-1]
      axes.flat[last].set_xlabel('training step')
      axes.flat[last].tick_params(labelbottom=True)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside lower center', ncols=8)
    many = data.sizes['seed'] > 1
    hollow = any(p.status in data for p in panels)
    title = 'Geometry over training: median over seeds (thick)'
    if data.sizes.get('task', 1) == 1 and many:
      title += ', single seeds (thin)'
    if hollow:
      title += '; hollow: estimates that are not ok, in no median'
    if emerged is not None and np.isfinite(emerged):
      rule = emergence.WORDS[emergence.RULE_OF_EVENTS]
      title += f'\ndashed: median step {rule}, {int(emerged):,}'
    figure.suptitle(title, fontsize=11)
    style.save(figure, path, dpi=130)
