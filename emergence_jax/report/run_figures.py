"""Figures of a run, from its timeseries."""

import pathlib

import matplotlib
import numpy as np
import xarray as xr

from emergence_jax.analysis import emergence, statistics
from emergence_jax.report import geometry
from emergence_jax.report.style import (
  BLUE,
  GREEN,
  ORANGE,
  PURPLE,
  RC,
  curves,
  legend_beside,
  line_colours,
  save,
  step_axis,
  subplots,
)

_LEVEL_COLOURS = (BLUE, ORANGE, GREEN)


def _accuracy(axis, data: xr.Dataset, task: int) -> None:
  if 'train_accuracy' in data:
    train = data.train_accuracy.isel(task=task, level=0)
    curves(axis, train, ORANGE, 'training pairs')
    curves(axis, data.accuracy.isel(task=task, level=0), BLUE, 'held-out pairs')
  else:
    for i, level in enumerate(data.level.values):
      accuracy = data.accuracy.isel(task=task, level=i)
      curves(axis, accuracy, _LEVEL_COLOURS[i % 3], f'level {level}')
  chance = float(data.chance.isel(task=task).max())
  axis.axhline(chance, color='grey', lw=0.8, ls=':', label='chance (highest)')
  axis.set(ylim=(-0.03, 1.03))


def _rankme(axis, data: xr.Dataset, task: int) -> None:
  layers = data.layer.values
  colours = line_colours([f'layer {layer}' for layer in layers])
  colours = [PURPLE] if len(layers) == 1 else colours
  for i, layer in enumerate(layers):
    rank = data.rankme.isel(task=task, layer=i)
    curves(axis, rank, colours[i], f'layer {layer}')


def accuracy_and_rankme(data: xr.Dataset, path: pathlib.Path) -> None:
  """Accuracy above, RankMe of every layer below, over training steps.

  One column a task, at most four side by side; thin lines are seeds and the
  thick one is their median. The step axis is logarithmic behind its first
  checkpoint.

  Args:
    data: a run's timeseries with `accuracy` and `rankme`.
    path: PNG file to write.
  """
  tasks = [str(t) for t in data.task.values]
  columns = min(4, len(tasks))
  bands = -(-len(tasks) // columns)
  seeds = data.sizes['seed']
  with matplotlib.rc_context(RC):
    figure, axes = subplots(
      2 * bands, columns, sharex=True, squeeze=False, layout='constrained',
      figsize=(max(7.5, 3.4 * columns), 2.5 * 2 * bands),
    )  # fmt: skip
    for k, task in enumerate(tasks):
      band, column = divmod(k, columns)
      top, bottom = axes[2 * band, column], axes[2 * band + 1, column]
      _accuracy(top, data, k)
      _rankme(bottom, data, k)
      top.set_title(task, loc='left', fontweight='bold')
      step_axis(bottom, data)
      bottom.set_ylim(bottom=0.9)
      if column == 0:
        top.set_ylabel('exact-match accuracy')
        bottom.set_ylabel('RankMe (dimensions)')
      if column == columns - 1 and band == 0:
        for axis in (top, bottom):
          legend_beside(axis)
    for axis in axes[-1]:
      axis.set_xlabel('training step')
    figure.suptitle(
      f'{seeds} seed{"s" if seeds > 1 else ""} (thin) and their median '
      '(thick): behaviour, and the rank of the representation at `=`',
      fontsize=10,
    )
    save(figure, path, dpi=130)


def training(data: xr.Dataset, path: pathlib.Path) -> None:
  """Training loss and gradient norm of every step, on logarithmic axes.

  Args:
    data: a run's timeseries.
    path: PNG file to write.
  """
  with matplotlib.rc_context(RC):
    figure, axes = subplots(
      2, 1, sharex=True, layout='constrained', figsize=(7.5, 5)
    )
    labels = {
      'train_loss': 'training loss (nat / token)',
      'grad_norm': 'gradient norm',
    }
    for axis, (name, label) in zip(axes, labels.items()):
      series = data[name].rename(train_step='step')
      series = series.assign_coords(step=series.step + 1)
      curves(axis, series, BLUE, 'median over seeds')
      axis.set(xscale='log', yscale='log', ylabel=label)
    legend_beside(axes[0])
    axes[-1].set_xlabel('training step')
    save(figure, path, dpi=130)


def median_emergence(data: xr.Dataset) -> float:
  """Lower median step of emergence of all events; nan if most never emerge.

  By the rule of events.
  """
  steps = emergence.by_rule(data, emergence.RULE_OF_EVENTS).values
  middle = float(statistics.lower_median(steps.ravel()))
  return middle if np.isfinite(middle) else np.nan


def draw(data: xr.Dataset, folder: pathlib.Path) -> list[pathlib.Path]:
  """All figures that the data allow; returns the files."""
  paths = []
  if data.sizes.get('train_step'):
    paths.append(folder / 'training.png')
    training(data, paths[-1])
  if not data.sizes['step']:
    return paths
  if 'accuracy' in data and 'rankme' in data:
    paths.append(folder / 'accuracy_rankme.png')
    accuracy_and_rankme(data, paths[-1])
  if geometry.panels_of(data):
    paths.append(folder / 'geometry.png')
    one_event = (
      'accuracy' in data and data.accuracy.isel(seed=0, step=0).size == 1
    )
    emerged = median_emergence(data) if one_event else None
    geometry.geometry(data, paths[-1], emerged)
  return paths
