"""Figures of when capabilities emerge."""

import itertools

import numpy as np
from matplotlib.lines import Line2D

from emergence_jax.analysis import emergence
from emergence_jax.analysis.runs import Runs
from emergence_jax.analysis.study import Study
from emergence_jax.report import style

# Vertical scatter of dots, so that equal steps do not hide one another.
_SCATTER = 0.2


def _row_of_seeds(
  axis, i: int, steps, middle: float, last: int, scatter, **own
):
  """Row `i`: a dot where a seed emerged, a triangle at the end where not."""
  got = np.isfinite(steps)
  y = i + scatter
  x = np.maximum(np.where(got, steps, last), 1)
  axis.plot(x[got], y[got], 'o', ls='none', ms=5, alpha=0.6, **own)
  axis.plot(x[~got], y[~got], '>', ls='none', ms=5, mfc='none', **own)
  if np.isfinite(middle):
    at = max(middle, 1)
    axis.plot([at, at], [i - 0.4, i + 0.4], color='black', lw=2)


def _marks_of_seeds(last: int) -> list[Line2D]:
  grey = dict(ls='none', color='grey')
  return [
    Line2D([], [], marker='o', label='a seed', **grey),
    Line2D([], [], color='black', lw=2, label='median'),
    Line2D([], [], marker='>', mfc='none', label=f'not by step {last:,.0f}',
           **grey),
  ]  # fmt: skip


def emergence_of_seeds(results: Study, runs: Runs):
  """Steps of emergence of every seed of one run, task × level down."""
  (run,) = runs.values()
  each, medians = (
    frame[frame.rule == emergence.RULE_OF_EVENTS]
    for frame in (
      results.tables['emergence_by_seed'],
      results.tables['emergence'],
    )
  )
  levels = list(dict.fromkeys(each.level))
  colours = dict(zip(levels, style.task_colours(len(levels))))
  groups = list(each.groupby(['task', 'level'], sort=False))
  figure, axis = style.subplots(
    figsize=(8, 1.8 + 0.28 * len(groups)), layout='constrained'
  )
  rng = np.random.default_rng(0)
  last = max(int(run.data.step.values[-1]), 1)
  for i, (((_, level), rows), middle) in enumerate(zip(groups, medians.value)):
    scatter = rng.uniform(-_SCATTER, _SCATTER, len(rows))
    _row_of_seeds(
      axis, i, rows.step.values, middle, last, scatter, color=colours[level]
    )
  names = [style.short(f'{task} {level}') for (task, level), _ in groups]
  axis.set_yticks(range(len(groups)), names)
  counts = [f'{row.emerged}/{row.seeds}' for row in medians.itertuples()]
  right = axis.twinx()
  right.set_yticks(range(len(groups)), counts)
  right.set_ylabel('seeds that got there')
  right.grid(False)
  for rows in (axis, right):
    rows.set_ylim(len(groups) - 0.5, -0.5)
    rows.tick_params(axis='y', length=0)
  axis.set(xscale='log', xlabel='step of emergence')
  axis.axvline(last, color='grey', lw=1, ls=':')
  figure.legend(
    handles=_marks_of_seeds(last),
    loc='outside lower center',
    ncols=3,
    fontsize=8,
  )
  axis.set_title(
    f'When each seed of {style.short(run.label)} got there: accuracy '
    f'{emergence.WORDS[emergence.RULE_OF_EVENTS]}',
    fontsize=10,
  )
  return figure


def emergence_strip(results: Study, runs: Runs):
  """Steps of emergence of every seed by every rule, where events are few."""
  frame = results.tables['emergence_by_seed']
  events = frame.run + ', ' + frame.task + ' ' + frame.level
  labels = list(dict.fromkeys(events))
  rules = list(dict.fromkeys(frame.rule))
  rows = len(labels) * len(rules)
  figure, axis = style.subplots(
    figsize=(8, 1.2 + 0.45 * rows), layout='constrained'
  )
  rng = np.random.default_rng(0)
  places = []
  for i, (label, rule) in enumerate(itertools.product(labels, rules)):
    step = frame[(events == label) & (frame.rule == rule)].step
    emerged = step[np.isfinite(step)]
    y = i + rng.uniform(-_SCATTER, _SCATTER, len(emerged))
    axis.plot(np.maximum(emerged, 1), y, 'o', color=style.BLUE, ms=5, alpha=0.6)
    name = style.short(label)
    places.append(f'{name}\n{rule}, {len(emerged)}/{len(step)} seeds')
  axis.set_yticks(range(rows), places)
  axis.set_ylim(rows - 0.5, -0.5)
  axis.set(xscale='log', xlabel='step of emergence')
  if not np.isfinite(frame.step).any():  # a logarithmic axis needs an extent
    last = max(int(run.data.step.values[-1]) for run in runs.values())
    axis.set_xlim(1, last + 1)
  axis.set_title('When each seed got there, by every rule', fontsize=10)
  return figure


def emergence_map(results: Study, runs: Runs):
  """Median steps of emergence: task × level down, runs across."""
  frame = results.tables['emergence']
  frame = frame[frame.rule == emergence.RULE_OF_EVENTS]
  labels = list(dict.fromkeys(frame.task + ' ' + frame.level))
  names = list(runs)
  grid = np.full((len(labels), len(names)), np.nan)
  text = np.full(grid.shape, '–', object)
  for row in frame.itertuples():
    place = labels.index(f'{row.task} {row.level}'), names.index(row.run)
    text[place] = f'{row.emerged}/{row.seeds}'
    if np.isfinite(row.value):
      grid[place] = max(row.value, 1)
      text[place] = f'{int(row.value):,}  ({text[place]})'
    else:  # which says little of a short run
      end = int(runs[row.run].data.step.values[-1])
      text[place] += f' by {end:,}'
  figure, axis = style.subplots(
    figsize=(max(5, 2.2 + 1.5 * len(names)), 1.6 + 0.32 * len(labels)),
    layout='constrained',
  )
  shown = np.ma.masked_invalid(grid)
  if shown.count():
    low, high = shown.min(), max(shown.max(), shown.min() * 1.01)
    mesh = axis.imshow(
      shown,
      aspect='auto',
      cmap='cividis',
      norm='log' if high > 4 * low else 'linear',
      vmin=low,
      vmax=high,
    )
    if shown.max() > shown.min():
      figure.colorbar(mesh, label='median step of emergence')
    bright = np.sqrt(low * high)
  else:
    axis.imshow(np.zeros(grid.shape), aspect='auto', cmap='Greys')
    bright = np.inf
  for (i, j), words in np.ndenumerate(text):
    dark = shown.count() and np.isfinite(grid[i, j]) and grid[i, j] < bright
    axis.text(
      j, i, words, ha='center', va='center', fontsize=8,
      color='white' if dark else 'black',
    )  # fmt: skip
  axis.set_xticks(range(len(names)), [style.short(n, 20) for n in names])
  axis.set_yticks(range(len(labels)), [style.short(n) for n in labels])
  axis.grid(False)
  axis.set_title(
    f'Median step {emergence.WORDS[emergence.RULE_OF_EVENTS]},\nand seeds '
    'that got there',
    fontsize=10,
  )
  return figure


def figure(results: Study, runs: Runs):
  """The one of these that shows most of these runs."""
  if max(run.data.chance.size for run in runs.values()) == 1:
    return emergence_strip(results, runs)
  if len(runs) == 1:
    return emergence_of_seeds(results, runs)
  return emergence_map(results, runs)
