"""Anatomy of one task: everything that was measured, on one axis of steps.

The same curves are drawn as a figure, and by the page's script.
"""

from typing import NamedTuple

import numpy as np
import xarray as xr

from emergence_jax.analysis import emergence, series, statistics
from emergence_jax.report import style
from emergence_jax.store import history

RANK = 'RankMe (dimensions)'
TRAINING_LOSS = 'training loss (nat)'
# Drawn by level or by layer, and so not by their one series.
_BY_LEVEL = {
  'accuracy': 'accuracy', 'train_accuracy': 'training accuracy',
  'log_prob': 'log-probability (nat)',
}  # fmt: skip
_BY_PART = (*_BY_LEVEL, 'rankme')


class Flagged(NamedTuple):
  """Single estimates [F] that say that they are not ok.

  Attributes:
    seed: index of the seed.
    step: training step.
    value: the estimate.
  """

  seed: np.ndarray = np.zeros(0, int)
  step: np.ndarray = np.zeros(0, int)
  value: np.ndarray = np.zeros(0)


class Curve(NamedTuple):
  """One line with a band.

  Attributes:
    name: in the legend.
    step: [C], of the checkpoints that have it.
    mid: [C], median over seeds.
    low: [C], lower end of the middle 95% of seeds, minus 1.96 standard errors
      of the estimate if it has them.
    high: [C], upper end.
    seeds_SxC: usable values of every seed; nan elsewhere.
    flagged: what has no part in the line and its band.
  """

  name: str
  step: np.ndarray
  mid: np.ndarray
  low: np.ndarray
  high: np.ndarray
  seeds_SxC: np.ndarray
  flagged: Flagged = Flagged()


class Marks(NamedTuple):
  """Steps to mark, medians over seeds; not finite where there is none.

  Attributes:
    floor: of the last layer's RankMe.
    recovered: where it has made half of its rise after the floor.
    emergence: level → step, by `emergence.RULE_OF_EVENTS`.
  """

  floor: float
  recovered: float
  emergence: dict[str, float]


def _curve(
  name: str,
  array: xr.DataArray,
  error: xr.DataArray | None = None,
  every: xr.DataArray | None = None,
) -> Curve:
  """A curve of the usable values `array`, of `every` value there is."""
  array = array.transpose('seed', 'step')
  flagged = Flagged()
  if every is not None:
    every = every.transpose('seed', 'step')
    seed, place = np.nonzero(np.isfinite(every.values) & np.isnan(array.values))
    flagged = Flagged(seed, every.step.values[place], every.values[seed, place])
  known = np.isfinite(array.values).any(0)
  values = array.values[:, known]
  half = np.zeros_like(values)
  if error is not None:
    half = 1.96 * np.nan_to_num(
      error.transpose('seed', 'step').values[:, known], posinf=0
    )
  return Curve(
    name, array.step.values[known], np.nanmedian(values, 0),
    np.nanpercentile(values - half, 2.5, axis=0),
    np.nanpercentile(values + half, 97.5, axis=0), values, flagged,
  )  # fmt: skip


def curves(data: xr.Dataset, task: str) -> dict[str, list[Curve]]:
  """Panel → curves of one task; only what was measured.

  Args:
    data: a run's timeseries.
    task: its name.
  """
  of_task = data.sel(task=task)
  panels: dict[str, list[Curve]] = {}
  for variable, label in _BY_LEVEL.items():
    panels[label] = [
      _curve(f'level {level}', of_task[variable].sel(level=level))
      for level in data.level.values
      if variable in data
    ]
  loss = history.loss_between(data)
  if loss is not None:
    panels[TRAINING_LOSS] = [_curve('since the checkpoint before', loss)]
  if 'rankme' in data:
    panels[RANK] = [
      _curve(f'layer {layer}', of_task.rankme.sel(layer=layer))
      for layer in data.layer.values
    ]
  for source in series.of(data).values():
    if source.variable in _BY_PART:
      continue
    every = source.take(of_task)
    if np.isfinite(every).any():
      array, error = (
        series.usable(of_task, source),
        of_task.get(source.field.error),
      )
      label = style.label(source.field, data.sizes)
      panels[label] = [_curve('median', array, error, every)]
  return {label: lines for label, lines in panels.items() if lines}


def scales(data: xr.Dataset) -> dict[str, str]:
  """Panel → scale of its values, one of `types.SCALES`; the others linear."""
  return {
    TRAINING_LOSS: 'log',
    **{
      style.label(item.field, data.sizes): item.field.scale
      for item in series.of(data).values()
    },
  }


def marks(data: xr.Dataset, task: str) -> Marks:
  """Floor, recovery and emergence of one task."""
  of_task = data.sel(task=[task])
  steps = emergence.by_rule(of_task, emergence.RULE_OF_EVENTS).values[:, 0]
  medians = statistics.lower_median(steps.T).tolist()
  by_level = dict(zip(map(str, data.level.values), medians))
  if 'rankme' not in data:
    return Marks(np.nan, np.nan, by_level)
  floor, recovered = (
    float(statistics.lower_median(series.event_times(of_task, name)[:, 0]))
    for name in ('floor', 'recovery magnitude')
  )
  return Marks(floor, recovered, by_level)


def _moves(lines: list[Curve]) -> bool:
  """Whether anything but zeros would be drawn."""
  return any(
    line.flagged.step.size or np.nan_to_num(line.seeds_SxC).any()
    for line in lines
  )


def figure(run: str, data: xr.Dataset, task: str):
  """All panels of one task as a figure."""
  panels, at = curves(data, task), marks(data, task)
  panels = {label: lines for label, lines in panels.items() if _moves(lines)}
  columns = 3
  rows = -(-len(panels) // columns)
  fig, axes = style.subplots(
    rows, columns, sharex=True, squeeze=False, layout='constrained',
    figsize=(13, 2.3 * rows + 1),
  )  # fmt: skip
  scale_of = scales(data)
  for axis, (label, lines) in zip(axes.flat, panels.items()):
    # First, since limits that were set on another scale stay.
    style.value_axis(axis, scale_of.get(label, 'linear'), _largest(lines))
    _panel(axis, label, lines, at)
    style.step_axis(axis, data)
  for axis in axes.flat[len(panels) :]:
    axis.set_axis_off()
  for column in range(columns):
    used = [i for i in range(len(panels)) if i % columns == column]
    if used:
      axes.flat[used[-1]].set_xlabel('training step')
      axes.flat[used[-1]].tick_params(labelbottom=True)
  seeds = data.sizes['seed']
  fig.suptitle(
    f'{run}, {task}: median of {seeds} seed{"s" if seeds > 1 else ""} and '
    'their middle 95%; circles: estimates that are not ok\ndashed: emergence '
    f'by level ({emergence.WORDS[emergence.RULE_OF_EVENTS]}); dotted: floor of '
    'RankMe and half of its rise',
    fontsize=10,
  )
  return fig


def _largest(lines: list[Curve]) -> float:
  """The largest absolute value that is drawn."""
  return max((np.abs(line.mid).max(initial=0) for line in lines), default=0)


def _panel(axis, label: str, lines: list[Curve], at: Marks) -> None:
  colours = style.line_colours([line.name for line in lines])
  for colour, line in zip(colours, lines):
    axis.fill_between(
      line.step, line.low, line.high, color=colour, alpha=0.18, lw=0
    )
    axis.plot(line.step, line.mid, color=colour, lw=1.8, label=line.name)
    if line.flagged.step.size:
      limits = axis.get_ylim()
      axis.plot(
        line.flagged.step, line.flagged.value, 'o', mfc='none',
        color=colour, ms=3, alpha=0.6, label='not ok',
      )  # fmt: skip
      # What is far outside the range of the usable ones would hide them.
      if line.step.size:
        axis.set_ylim(limits)
  for step in (at.floor, at.recovered):
    if np.isfinite(step):
      axis.axvline(step, color='#555555', lw=1, ls=':')
  # Levels have in every panel the colours of the accuracy.
  levels = style.task_colours(len(at.emergence))
  for colour, step in zip(levels, at.emergence.values()):
    if np.isfinite(step):
      axis.axvline(step, color=colour, lw=1, ls='--', alpha=0.7)
  axis.set_title(label, loc='left', fontsize=9)
  if len(lines) > 1:
    style.legend_beside(axis, fontsize=7, ncols=-(-len(lines) // 10))
