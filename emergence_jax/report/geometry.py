"""One figure with every measure of a run over its training steps."""

import pathlib

import matplotlib
import numpy as np
import xarray as xr

from emergence_jax.analysis import emergence, published, series
from emergence_jax.analysis.runs import Run
from emergence_jax.analysis.series import Series
from emergence_jax.report import style


def _measured(series: xr.DataArray) -> xr.DataArray:
  """Only the steps at which a measure was due."""
  others = [d for d in series.dims if d != 'step']
  return series.isel(step=np.isfinite(series).any(others).values)


def _draw(axis, data: xr.Dataset, panel: Series) -> None:
  # All of them say where the measure was due, the usable ones what it is.
  every = _measured(panel.take(data))
  series_ = series.usable(data, panel).sel(step=every.step)
  by_task = 'task' in series_.dims
  groups = {'all tasks': series_}
  if by_task:
    groups = {str(t): series_.sel(task=t) for t in series_.task.values}
  for colour, (name, item) in zip(
    style.task_colours(len(groups)), groups.items()
  ):
    if not by_task:
      colour = 'black' if data.sizes.get('task', 1) > 1 else style.BLUE
    style.curves(axis, item, colour, name, seeds=len(groups) == 1)
    if len(groups) == 1:
      raw = every.sel(task=name) if by_task else every
      _flagged(axis, raw.where(np.isnan(item)), colour)
      _band(axis, data, panel, item, colour)
  axis.set_ylabel(style.label(panel.field, data.sizes, wrapped=True))
  style.value_axis(
    axis, panel.field.scale, float(np.nanmax(np.abs(every.values)))
  )


def _flagged(axis, flagged: xr.DataArray, colour) -> None:
  """Estimates that are not ok, hollow."""
  flagged = flagged.transpose('step', 'seed')
  axis.plot(
    flagged.step, flagged, 'o', mfc='none', color=colour, ms=3, alpha=0.4
  )


def _band(axis, data: xr.Dataset, panel: Series, item, colour) -> None:
  """The standard error about the median."""
  if panel.field.error not in data:
    return
  error = data[panel.field.error].sel(step=item.step.values)
  if 'task' in error.dims:
    error = error.isel(task=0)
  middle, half = item.median('seed'), error.median('seed')
  axis.fill_between(
    item.step, middle - half, middle + half, color=colour, alpha=0.25, lw=0,
    label='± standard error',
  )  # fmt: skip


def _emergence(axis, step: float | None) -> None:
  if step is not None and np.isfinite(step):
    axis.axvline(step, color='grey', lw=1, ls='--')


def panels_of(data: xr.Dataset) -> list[Series]:
  """The series that a run has anything of."""
  return [
    item
    for item in series.of(data).values()
    if _measured(item.take(data)).sizes['step']
  ]


def geometry(
  data: xr.Dataset, path: pathlib.Path, emerged: float | None = None
) -> None:
  """Every measure that a run has, one panel each, on one axis of steps.

  Args:
    data: a run's timeseries.
    path: PNG file to write.
    emerged: step to mark by a dashed line.
  """
  panels = panels_of(data)
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
      title += (
        f'\ndashed: step {int(emerged):,}, where the median seed is {rule}'
      )
    figure.suptitle(title, fontsize=11)
    style.save(figure, path, dpi=130)


def beside_benchmarks(run: Run):
  """Published accuracies of the same model, and its measures, over steps."""
  curves = published.curves_of(run)
  measures = {
    label: published.over_sets(run.data, item)
    for label, item in series.tested(run.data).items()
  }
  measures = {n: x for n, x in measures.items() if x is not None}
  figure, axes = style.subplots(
    1 + len(measures), 1, sharex=True, squeeze=False, layout='constrained',
    figsize=(8, 2.2 + 1.7 * len(measures)),
  )  # fmt: skip
  top, *others = axes[:, 0]
  for (name, curve), colour in zip(
    curves.items(), style.task_colours(len(curves))
  ):
    top.errorbar(
      curve.step_C, curve.value_C, yerr=curve.stderr_C, color=colour, lw=1.5,
      label=name,
    )  # fmt: skip
  top.set_ylabel('published accuracy')
  figure.legend(loc='outside right upper', fontsize=8)
  for axis, (name, values) in zip(others, measures.items()):
    item = series.of(run.data)[name]
    known = np.isfinite(values.values)
    axis.plot(values.step.values[known], values.values[known], color=style.BLUE)
    words = style.label(item.field, run.data.sizes, wrapped=True)
    axis.set_ylabel(f'log of\n{words}' if item.log else words)
  for axis in axes[:, 0]:
    style.step_axis(axis, run.data)
  axes[-1, 0].set_xlabel('training step')
  figure.suptitle(
    f'{run.label}: published zero-shot accuracies (bars: standard errors),\n'
    'and the measures of seed 0, mean over sets', fontsize=10,
  )  # fmt: skip
  return figure
