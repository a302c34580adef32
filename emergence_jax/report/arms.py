"""Figures of a run with arms: what moved a capability, and where it emerges."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from emergence_jax.analysis import effects, series
from emergence_jax.analysis.moved import Experiment
from emergence_jax.base.arms import PLACEBO, SHAM
from emergence_jax.report import style, text

_VERDICT_COLOURS = {
  effects.MOVES: style.ORANGE, effects.MOVES_NOT: style.BLUE,
  effects.UNDECIDED: '#777777', effects.STOPPED: '#BBBBBB',
}  # fmt: skip
# More lines than these cannot be told apart.
_MOST_ARMS = 14


def _interval(
  axis, shift: effects.Shift, row: float, colour, marker, reach: float
) -> None:
  """An estimate and its interval; what is beyond the run ends at the edge."""
  if np.isnan(shift.estimate):
    return
  low, high, at = np.clip(
    [shift.low, shift.high, shift.estimate], -reach, reach
  )
  if np.isfinite([low, high]).all():
    axis.plot(
      [low, high], [row, row], color=colour, lw=2.2, solid_capstyle='butt'
    )
  for end, arrow in ((high, '>'), (low, '<')):
    if abs(end) == reach:
      axis.plot(end, row, arrow, color=colour, ms=6)
  axis.plot(at, row, marker, color=colour, ms=6, mfc='white', mew=1.8)


def _reach(item: Experiment, event: int) -> float:
  """Half the width of the axis: the largest finite number that is drawn."""
  judged = item.judged[event]
  shifts = [one.shift for one in judged]
  shifts += [one.beyond for one in judged if one.beyond is not None]
  shifts += item.of_controls[event].values()
  ends = np.array([[s.low, s.high, s.estimate] for s in shifts])
  largest = np.abs(ends[np.isfinite(ends)]).max(initial=0)
  return 1.15 * max(largest, 1.5 * item.margin[event])


def _row_of(axis, item: Experiment, event: int, one, row, reach) -> None:
  """An arm beside the baseline and its placebo, and the placebo beside it."""
  colour = _VERDICT_COLOURS[one.verdict]
  _interval(axis, one.shift, row - 0.22, colour, 'o', reach)
  if one.beyond is not None:
    _interval(axis, one.beyond, row, colour, 'D', reach)
    control = item.of_controls[event][item.placebos[one.arm]]
    _interval(axis, control, row + 0.22, '#444444', 's', reach)


def forest(item: Experiment, event: int):
  """Paired shifts of emergence by arm, with both controls."""
  judged = item.judged[event]
  shams = [arm.name for arm in item.arms if arm.control == SHAM]
  rows, reach = len(judged) + len(shams), _reach(item, event)
  figure, (axis, right) = style.subplots(
    1, 2, figsize=(11, 2.2 + 0.5 * rows), sharey=True, width_ratios=(3, 1)
  )
  for i, one in enumerate(judged):
    _row_of(axis, item, event, one, i, reach)
    learned = item.learned_A[item.names.index(one.arm)]
    share = text.percent(learned)
    right.text(
      0, i, f'{one.emerged[0]}/{one.emerged[1]}  {share:>5}  {one.verdict}',
      family='monospace', fontsize=8, va='center',
    )  # fmt: skip
  for i, name in enumerate(shams, len(judged)):
    sham = item.of_controls[event][name]
    _interval(axis, sham, i, '#444444', '^', reach)
  margin = item.margin[event]
  axis.axvspan(-margin, margin, color='#56B4E9', alpha=0.15, lw=0)
  axis.axvline(0, color='grey', lw=1, ls=':')
  axis.set_yticks(range(rows), [*(e.arm for e in judged), *shams])
  axis.set_ylim(rows - 0.4, -0.9)
  axis.set_xlim(-1.05 * reach, 1.05 * reach)
  axis.set_xlabel('← earlier    shift of emergence (steps)    later →')
  right.set_axis_off()
  right.text(
    0, -0.7, 'emerged  learned  verdict', family='monospace', fontsize=8,
    va='center',
  )  # fmt: skip
  handles = [
    Line2D([], [], color='k', marker=m, mfc='white', lw=2) for m in 'oDs^'
  ]
  words = (
    'beside the baseline', 'beside its placebo', 'the placebo itself', 'sham',
  )  # fmt: skip
  figure.legend(handles, words, loc='outside lower center', ncols=4, fontsize=9)
  figure.suptitle(
    f'{item.run}, {item.title(event)}: what moved emergence? Paired by seed, '
    f'95% intervals; arrows: beyond the run; shaded: within ±{margin:,.0f} '
    'steps', fontsize=10,
  )  # fmt: skip
  return figure


def shown(item: Experiment) -> list[str]:
  """Arms whose curves are drawn: the baseline, and arms that are no control."""
  judged = [arm.name for arm in item.arms if arm.control not in (PLACEBO, SHAM)]
  return judged[:_MOST_ARMS]


def _panels(item: Experiment) -> list[series.Series]:
  known = [s for s in series.of(item.data).values() if s.variable in item.data]
  first = [s for s in known if s.variable == 'accuracy']
  return [*first, *(s for s in known if s.variable != 'accuracy')]


def curves(item: Experiment, task: str, names: Sequence[str]):
  """Medians over seeds of every measure, a line for each arm."""
  of_task = item.data.sel(task=task)
  panels = _panels(item)
  columns = min(3, len(panels))
  rows = -(-len(panels) // columns)
  figure, axes = style.subplots(
    rows, columns, squeeze=False, sharex=True, figsize=(11, 2.4 * rows + 1)
  )
  colours = ['black', *style.arm_colours(len(names) - 1)]
  for axis, panel in zip(axes.flat, panels):
    array = series.usable(of_task, panel)
    if 'level' in array.dims:
      array = array.mean('level')
    for name, colour in zip(names, colours, strict=True):
      middle = array.sel(arm=name).median('seed')
      known = np.isfinite(middle.values)
      axis.plot(
        middle.step.values[known], middle.values[known], color=colour, lw=1.8,
        label=name,
      )  # fmt: skip
    title = style.label(panel.field, item.data.sizes)
    axis.set_title(title, loc='left', fontsize=9)
    style.step_axis(axis, item.data)
    if item.step < item.data.step.values[-1]:
      axis.axvline(item.step, color='#555555', lw=1, ls=':')
  for axis in axes.flat[len(panels) :]:
    axis.set_axis_off()
  handles = axes[0, 0].get_legend_handles_labels()
  figure.legend(*handles, loc='outside lower center', ncols=4, fontsize=8)
  figure.suptitle(
    f'{item.run}, {task}: arms, medians of {item.data.sizes["seed"]} seeds; '
    'dotted: where the measures are compared', fontsize=10,
  )  # fmt: skip
  return figure


def axes_of(table: pd.DataFrame) -> list[str]:
  """Keys that vary between the arms of a run, those with most values first."""
  keys = [c for c in table.columns if '.' in c and table[c].notna().any()]
  return sorted(keys, key=lambda k: -table[k].nunique())


def grid(table: pd.DataFrame, key: str, other: str, value: str) -> pd.DataFrame:
  """A number over two keys; where arms differ in others, their mean."""
  on_grid = table.dropna(subset=[key, other])
  # Not within the run is no number, and has a place in the grid all the same.
  return on_grid.pivot_table(
    index=other,
    columns=key,
    values=value,
    dropna=False,
    aggfunc=lambda x: x.mean(skipna=False),
  ).sort_index(ascending=False)


def phase(run: str, table: pd.DataFrame, key: str, other: str):
  """Share of seeds that emerged and median step, over two keys.

  Args:
    run: label.
    table: rows of `moved_tables.phase_table` of one event, keys filled in.
    key: along the abscissa.
    other: along the ordinate.
  """
  figure, axes = style.subplots(1, 2, figsize=(10, 4.2), sharey=True)
  tried = grid(table, key, other, 'emerged')
  for axis, value, words, colours in (
    (axes[0], 'emerged', 'share of seeds that emerged', 'cividis'),
    (axes[1], 'median_step', 'median step of emergence', 'viridis_r'),
  ):
    cells = grid(table, key, other, value).reindex_like(tried)
    limits = dict(vmin=0, vmax=1) if value == 'emerged' else {}
    image = axis.imshow(cells.values, cmap=colours, aspect='auto', **limits)
    for (i, j), number in np.ndenumerate(cells.values):
      if np.isnan(tried.values[i, j]):
        continue
      cell = '–' if np.isnan(number) else (
        f'{number:.0%}' if value == 'emerged' else f'{number:,.0f}'
      )  # fmt: skip
      axis.text(
        j, i, cell, ha='center', va='center', fontsize=9,
        bbox=dict(facecolor='white', alpha=0.7, lw=0, pad=1.5),
      )  # fmt: skip
    axis.set_xticks(range(cells.shape[1]), [f'{x:g}' for x in cells.columns])
    axis.set_yticks(range(cells.shape[0]), [f'{x:g}' for x in cells.index])
    axis.set_xlabel(key)
    axis.set_title(words, loc='left', fontsize=10)
    axis.grid(False)
    figure.colorbar(image, ax=axis)
  axes[0].set_ylabel(other)
  figure.suptitle(f'{run}: where it emerges; – is not within the run')
  return figure
