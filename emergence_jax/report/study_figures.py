"""Figures of an analysis: depth and predictions; draws all figures."""

import functools
import itertools
import pathlib
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import matplotlib
import numpy as np
import xarray as xr

from emergence_jax.analysis import (
  emergence,
  moved,
  published,
  tables,
)
from emergence_jax.analysis.runs import Runs
from emergence_jax.analysis.study import Study
from emergence_jax.report import (
  anatomy,
  arms,
  capabilities,
  floors,
  geometry,
  leads,
  style,
  timing,
)


def depth_map(run: str, data: xr.Dataset):
  """RankMe over layers and steps, median over seeds, a panel a task."""
  median = data.rankme.median('seed').transpose('task', 'layer', 'step')
  due = np.isfinite(median)
  # Of some tasks it may never have been measured.
  has_any = due.any(('layer', 'step')).values
  if has_any.any():
    median = median.isel(task=has_any, step=due.any(('task', 'layer')).values)
  tasks = [str(t) for t in median.task.values]
  columns = min(4, len(tasks))
  rows = -(-len(tasks) // columns)
  figure, axes = style.subplots(
    rows, columns, squeeze=False, sharex=True, sharey=True,
    layout='constrained', figsize=(3.2 * columns + 1, 2.1 * rows + 0.8),
  )  # fmt: skip
  step = median.step.values.astype(float)
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
  for axis in axes.flat[: len(tasks)][-columns:]:  # the lowest of each column
    axis.set_xlabel('training step')
    axis.tick_params(labelbottom=True)
  axes[0, 0].set_ylabel('layer')
  title = f'{run}: RankMe (dimensions) by layer, median over seeds'
  figure.suptitle(textwrap.fill(title, 36 * columns), fontsize=10)
  return figure


def _floors_and_steps(axis, results: Study, run: str, data: xr.Dataset) -> None:
  """A dot for each seed × task × level; hollow where it never emerges."""
  floor = tables.floors_of(data)
  table = results.tables['emergence_by_seed']
  table = table[(table.run == run) & (table.rule == emergence.RULE_OF_CLAIMS)]
  tasks = [str(t) for t in data.task.values]
  seeds = list(data.seed.values)
  end = float(data.step.values[-1])
  for k, (task, colour) in enumerate(
    zip(tasks, style.task_colours(len(tasks)))
  ):
    rows = table[table.task == task]
    x = np.array([floor[seeds.index(s), k] for s in rows.seed])
    step = rows.step.values
    never = np.isnan(step)
    look = dict(ls='', ms=4.5, alpha=0.6, color=colour)
    axis.plot(x[~never], step[~never], marker='o', label=task, **look)
    axis.plot(
      x[never], np.full(never.sum(), 1.4 * end), marker='^', mfc='none', **look
    )
  if table.step.isna().any():
    axis.axhline(1.18 * end, color='grey', lw=0.8, ls=':')
    axis.plot([], [], 'k^', mfc='none', ms=4.5, label='not within the run')
  axis.set(
    xlabel='floor of RankMe (dimensions)', ylabel='step of emergence',
    yscale='symlog', ylim=(1, 2 * end),
  )  # fmt: skip


def _concordance(axis, results: Study, run: str) -> None:
  bars = results.tables['prediction']
  bars = bars[(bars.run == run) & bars.quantity.str.startswith('concordance')]
  bars = bars[np.isfinite(bars.value)]
  names = [q.removeprefix('concordance ') for q in bars.quantity]
  axis.bar(names, bars.value, color=style.BLUE, alpha=0.7)
  has = np.isfinite(bars.low)
  error = np.abs(np.stack([bars.value - bars.low, bars.high - bars.value]))
  axis.errorbar(
    np.flatnonzero(has), bars.value[has], yerr=error[:, has], fmt='none',
    color='black', capsize=4,
  )  # fmt: skip
  axis.axhline(0.5, color='grey', ls=':', lw=1)
  axis.set(ylim=(0, 1), ylabel='pairs in the order of their floors')
  if not names:
    axis.set_xticks([])
    axis.text(
      0.5, 0.55, 'no pairs that are not tied', ha='center',
      transform=axis.transAxes,
    )  # fmt: skip


def prediction(results: Study, run: str, data: xr.Dataset):
  """Floor against emergence, and concordance of pairs."""
  figure, (left, right) = style.subplots(
    1, 2, figsize=(10, 4), layout='constrained', width_ratios=(3, 2)
  )
  _floors_and_steps(left, results, run, data)
  _concordance(right, results, run)
  handles = left.get_legend_handles_labels()
  figure.legend(*handles, loc='outside lower center', ncols=5, fontsize=8)
  figure.suptitle(f'{run}: does the floor tell when a task emerges?')
  return figure


class Drawing(NamedTuple):
  """A figure that can be drawn.

  Attributes:
    section: key of the section of the page that shows it, see `page.py`.
    make: draws the figure.
    run: whose figure it is; empty where it is of several.
  """

  section: str
  make: Callable
  run: str = ''


class Picture(NamedTuple):
  """A figure that was drawn: section and run of its `Drawing`, and the PNG."""

  section: str
  path: pathlib.Path
  run: str = ''


def makers(results: Study, runs: Runs) -> dict[str, Drawing]:
  """Title → figure, in the order of the page."""
  made = {
    'Emergence': Drawing(
      'emergence', lambda: capabilities.figure(results, runs)
    )
  }
  ranked = {n: run.data for n, run in runs.items() if 'rankme' in run.data}
  if len(ranked) > 1:
    made['Floors across sizes'] = Drawing(
      'floors', lambda: floors.figure({n: runs[n] for n in ranked})
    )
  for name, data in ranked.items():
    if data.sizes['layer'] > 1:
      made[f'Depth: {name}'] = Drawing(
        'depth', functools.partial(depth_map, name, data), name
      )
    if data.sizes['task'] > 1:
      made[f'Prediction: {name}'] = Drawing(
        'prediction', functools.partial(prediction, results, name, data), name
      )
  for run in runs.values():
    if published.curves_of(run):
      made[f'Leads: {run.label} and benchmarks'] = Drawing(
        'leads', functools.partial(geometry.beside_benchmarks, run)
      )
  for name in dict.fromkeys(results.tables['timing'].run):
    made[f'Timing: {name}'] = Drawing(
      'timing',
      functools.partial(timing.figure, results, name, runs[name]),
      name,
    )
  for name, measures in results.changes.items():
    if any(leads.has_emerged(item) for item in measures.values()):
      made[f'Leads: {name}'] = Drawing(
        'leads', functools.partial(leads.figure, results, name), name
      )
  made |= _of_arms(results)
  for name, run in runs.items():
    for task in run.tasks:
      made[f'Anatomy: {name}: {task}'] = Drawing(
        'anatomy', functools.partial(anatomy.figure, name, run.data, task), name
      )
  return made


def _of_arms(results: Study) -> dict[str, Drawing]:
  """Figures of runs with arms."""
  made = {}
  for name, item in results.experiments.items():
    shown = [item.events[e] for e in item.shown]
    for e, (task, level) in zip(item.shown, shown):
      made[f'What moved it: {name}: {task} {level}'] = Drawing(
        'moved', functools.partial(arms.forest, item, e), name
      )
    table = results.tables['phase']
    table = table[table.run == name]
    keys = arms.axes_of(table)[:2]
    for task, level in shown if len(keys) == 2 else ():
      own = table[(table.task == task) & (table.level == level)]
      made[f'Phases: {name}: {task} {level}'] = Drawing(
        'moved', functools.partial(arms.phase, name, own, *keys), name
      )
    for task in dict.fromkeys(task for task, _ in shown if task != moved.ALL):
      made[f'Arms: {name}: {task}'] = Drawing(
        'moved',
        functools.partial(arms.curves, item, task, arms.shown(item)),
        name,
      )
  return made


def file_names(titles: Iterable[str]) -> dict[str, str]:
  """Title → a name of a file that any system takes, all of them different.

  >>> file_names(['Depth: lr-1', 'Depth: lr+1'])
  {'Depth: lr-1': 'depth_lr_1', 'Depth: lr+1': 'depth_lr_1-2'}
  """
  names: dict[str, str] = {}
  for title in titles:
    plain = re.sub(r'[^a-z0-9.]+', '_', title.lower()).strip('_')[:100]
    numbered = (f'{plain}-{i}' for i in itertools.count(2))
    taken = set(names.values())
    free = (n for n in itertools.chain([plain], numbered) if n not in taken)
    names[title] = next(free)
  return names


def draw(
  drawings: Mapping[str, Drawing],
  folder: pathlib.Path,
  log: Callable[[str], None] = lambda title: None,
) -> dict[str, Picture]:
  """Writes figures as PNG and SVG.

  Args:
    drawings: title → figure, from `makers`.
    folder: where to write; created if it is missing.
    log: takes the title of the figure that comes next.

  Returns:
    Title → picture.
  """
  names, pictures = file_names(drawings), {}
  with matplotlib.rc_context(style.RC):
    for title, drawing in drawings.items():
      log(title)
      figure = drawing.make()
      style.finish(figure)
      # The layout is solved once for both files.
      figure.draw_without_rendering()
      figure.set_layout_engine('none')
      path = folder / f'{names[title]}.png'
      style.save(figure, path, dpi=110)
      style.save(figure, folder / f'{names[title]}.svg')
      pictures[title] = Picture(drawing.section, path, drawing.run)
  return pictures
