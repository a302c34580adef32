"""Figures of a study: maps, heat maps, floors, leads and predictions."""

import pathlib

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from emergence_jax.analysis import groups, tables
from emergence_jax.analysis.study import Study
from emergence_jax.report import style

# Floors of v1 at nano to large; arXiv:2602.15997v1.
_PAPER_SIZES = groups.SIZES[:5]
_PAPER_FLOORS = {
  'MOD': (2.07, 1.88, 2.26, 2.35, 2.02),
  'ADD': (3.15, 3.01, 4.56, 4.39, 4.54),
  'SORT': (2.18, 2.90, 8.09, 9.54, 8.10),
  'MUL': (3.03, 3.01, 7.67, 7.99, 4.57),
}
_SHOWN_NULL = 2.5, 97.5


def emergence_map(found: Study, runs: dict[str, xr.Dataset]):
  """Median steps of emergence: task × level down, runs across."""
  frame = found.tables['emergence']
  frame = frame[frame.rule == 'chance-corrected']
  labels = list(dict.fromkeys(frame.task + ' ' + frame.level))
  names = list(runs)
  grid = np.full((len(labels), len(names)), np.nan)
  text = np.full(grid.shape, '–', object)
  for row in frame.itertuples():
    place = labels.index(f'{row.task} {row.level}'), names.index(row.run)
    text[place] = f'{row.emerged}/{row.seeds}'
    if np.isfinite(row.value):
      grid[place] = max(row.value, 1)
      text[place] = f'{int(row.value):,}\n{text[place]}'
  figure, axis = plt.subplots(
    figsize=(max(5, 2.2 + 1.5 * len(names)), 2 + 0.42 * len(labels)),
    layout='constrained',
  )
  shown = np.ma.masked_invalid(grid)
  if shown.count():
    low, high = shown.min(), max(shown.max(), shown.min() * 1.01)
    mesh = axis.imshow(
      shown, aspect='auto', cmap='cividis', norm='log', vmin=low, vmax=high
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
  axis.set_xticks(range(len(names)), names)
  axis.set_yticks(range(len(labels)), labels)
  axis.grid(False)
  axis.set_title(
    'Median step above chance + 10%,\nand seeds that got there', fontsize=10
  )
  return figure


def depth_map(run: str, data: xr.Dataset):
  """RankMe over layers and steps, median over seeds, a panel a task."""
  tasks = [str(t) for t in data.task.values]
  columns = min(4, len(tasks))
  rows = -(-len(tasks) // columns)
  figure, axes = plt.subplots(
    rows, columns, squeeze=False, sharex=True, sharey=True,
    layout='constrained', figsize=(3.2 * columns + 1, 2.1 * rows + 0.8),
  )  # fmt: skip
  median = data.rankme.median('seed').transpose('task', 'layer', 'step')
  step = data.step.values.astype(float)
  # Checkpoints are drawn as wide as they lie apart.
  edges = np.r_[step[0], (step[1:] + step[:-1]) / 2, step[-1]]
  layers = np.arange(data.sizes['layer'] + 1) + 0.5
  for axis, task, values in zip(axes.flat, tasks, median.values):
    mesh = axis.pcolormesh(edges, layers, values, cmap='cividis')
    axis.set_title(task, loc='left', fontweight='bold')
    axis.set_yticks(np.arange(1, data.sizes['layer'] + 1))
    axis.grid(False)
    if step.size > 2:
      axis.set_xscale('symlog', linthresh=step[1])
    figure.colorbar(mesh, ax=axis)
  for axis in axes.flat[len(tasks) :]:
    axis.set_axis_off()
  for axis in axes[-1]:
    axis.set_xlabel('training step')
  axes[0, 0].set_ylabel('layer')
  figure.suptitle(f'{run}: RankMe (dimensions) by layer, median over seeds')
  return figure


def floors(runs: dict[str, xr.Dataset]):
  """Floors of RankMe across runs, the paper's beside them."""
  names = list(runs)
  figure, axis = plt.subplots(figsize=(7.5, 4), layout='constrained')
  tasks = list(dict.fromkeys(
    str(t) for data in runs.values() for t in data.task.values
  ))  # fmt: skip
  for i, (task, colour) in enumerate(
    zip(tasks, style.task_colours(len(tasks)))
  ):
    for j, data in enumerate(runs.values()):
      if task not in data.task.values or 'rankme' not in data:
        continue
      values = tables.floors_of(data)[:, list(data.task.values).index(task)]
      x = j + (i - len(tasks) / 2) * 0.06
      axis.plot(
        np.full(values.size, x), values, 'o', color=colour, ms=4, alpha=0.6,
        label=task if not j else None,
      )  # fmt: skip
    known = [n for n in names if n in _PAPER_SIZES and task in _PAPER_FLOORS]
    if known:
      axis.plot(
        [names.index(n) + (i - len(tasks) / 2) * 0.06 for n in known],
        [_PAPER_FLOORS[task][_PAPER_SIZES.index(n)] for n in known],
        'x', color=colour, ms=9, mew=2,
      )  # fmt: skip
  if any(n in _PAPER_SIZES for n in names):
    axis.plot([], [], 'kx', ms=9, mew=2, label='the paper')
  axis.set_xticks(range(len(names)), names)
  axis.set_ylabel('floor of RankMe, last layer (dimensions)')
  figure.legend(loc='outside right upper', fontsize=9)
  axis.set_title('Floors across sizes; a dot is a seed', fontsize=10)
  return figure


def leads(found: Study, run: str):
  """Lags of every event and measure, over the band of the null."""
  measures = found.leads[run]
  figure, axis = plt.subplots(
    figsize=(8.5, 1.4 + 0.55 * len(measures)), layout='constrained'
  )
  rng = np.random.default_rng(0)
  colours = {'strong': style.BLUE, 'weak': '#999999'}
  for i, peaks in enumerate(measures.values()):
    known = np.isfinite(peaks.correlation)
    if not known.any():
      continue
    low, high = np.percentile(peaks.null_lag[known].mean(0), _SHOWN_NULL)
    axis.barh(i, high - low, left=low, height=0.7, color='#E69F00', alpha=0.35)
    lag = peaks.lag[known] + rng.uniform(-0.3, 0.3, known.sum())
    strong = np.abs(peaks.correlation[known]) > 0.3
    y = i + rng.uniform(-0.25, 0.25, known.sum())
    for kind, mask in (('weak', ~strong), ('strong', strong)):
      axis.plot(lag[mask], y[mask], 'o', ms=3, alpha=0.5, color=colours[kind])
    axis.plot([peaks.lag[known].mean()] * 2, [i - 0.4, i + 0.4], 'k', lw=2)
  axis.axvline(0, color='grey', lw=1, ls=':')
  axis.set_yticks(range(len(measures)), list(measures))
  axis.invert_yaxis()
  axis.set_xlabel(
    '← behaviour first      lag of the largest correlation (checkpoints)      '
    'measure first →'
  )
  for kind, text in (('strong', '|r| > 0.3'), ('weak', '|r| ≤ 0.3')):
    axis.plot([], [], 'o', ms=5, color=colours[kind], label=f'event, {text}')
  axis.plot([], [], 'k', lw=2, label='mean')
  axis.barh(0, 0, color='#E69F00', alpha=0.35, label='mean of the null, 95%')
  figure.legend(loc='outside lower center', ncols=4, fontsize=9)
  axis.set_title(f'{run}: which moves first', fontsize=10)
  return figure


def prediction(found: Study, run: str, data: xr.Dataset):
  """Floor against emergence, and concordance of pairs."""
  figure, (left, right) = plt.subplots(
    1, 2, figsize=(9.5, 3.8), layout='constrained', width_ratios=(3, 2)
  )
  floor = tables.floors_of(data)
  table = found.tables['emergence_by_seed']
  table = table[(table.run == run) & (table.rule == tables.RULE)]
  tasks = [str(t) for t in data.task.values]
  seeds = list(data.seed.values)
  for k, (task, colour) in enumerate(
    zip(tasks, style.task_colours(len(tasks)))
  ):
    rows = table[table.task == task]
    x = [floor[seeds.index(s), k] for s in rows.seed]
    left.plot(x, rows.step, 'o', ms=4, alpha=0.6, color=colour, label=task)
  left.set(
    xlabel='floor of RankMe (dimensions)', ylabel='step of emergence',
    yscale='symlog',
  )  # fmt: skip
  left.legend(fontsize=8, ncols=2)
  bars = found.tables['prediction']
  bars = bars[(bars.run == run) & bars.quantity.str.startswith('concordance')]
  bars = bars[np.isfinite(bars.value)]
  names = [q.removeprefix('concordance ') for q in bars.quantity]
  right.bar(names, bars.value, color=style.BLUE, alpha=0.7)
  has = np.isfinite(bars.low)
  error = np.abs(np.stack([bars.value - bars.low, bars.high - bars.value]))
  right.errorbar(
    np.flatnonzero(has), bars.value[has], yerr=error[:, has], fmt='none',
    color='black', capsize=4,
  )  # fmt: skip
  right.axhline(0.5, color='grey', ls=':', lw=1)
  right.set(ylim=(0, 1), ylabel='pairs in the order of their floors')
  if not names:
    right.text(0.5, 0.5, 'no pairs that are not tied', ha='center')
  figure.suptitle(f'{run}: does the floor tell when a task emerges?')
  return figure


def draw(found: Study, runs: dict[str, xr.Dataset], folder: pathlib.Path):
  """Writes all figures as PNG and SVG; returns title → PNG."""
  makers = {'Emergence': lambda: emergence_map(found, runs)}
  ranked = {n: d for n, d in runs.items() if 'rankme' in d}
  if ranked:
    makers['Floors across sizes'] = lambda: floors(ranked)
  for run, data in ranked.items():
    if data.sizes['layer'] > 1:
      makers[f'Depth: {run}'] = lambda r=run, d=data: depth_map(r, d)
    if data.sizes['task'] > 1:
      makers[f'Prediction: {run}'] = lambda r=run, d=data: prediction(
        found, r, d
      )
  for run, measures in found.leads.items():
    if measures:
      makers[f'Leads: {run}'] = lambda r=run: leads(found, r)
  folder.mkdir(parents=True, exist_ok=True)
  paths = {}
  with plt.rc_context(style.RC):
    for title, make in makers.items():
      figure = make()
      name = title.lower().replace(': ', '_').replace(' ', '_')
      name = ''.join(c for c in name if c.isalnum() or c in '_-')
      paths[title] = folder / f'{name}.png'
      figure.savefig(paths[title], dpi=110)
      figure.savefig(paths[title].with_suffix('.svg'))
      plt.close(figure)
  return paths
