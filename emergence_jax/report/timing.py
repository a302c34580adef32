"""A figure: does a seed's own early geometry tell when that seed gets there?"""

import numpy as np
from matplotlib.lines import Line2D
from scipy import stats

from emergence_jax.analysis import timing
from emergence_jax.analysis.runs import Run
from emergence_jax.analysis.study import Study
from emergence_jax.report import style

# Features shown of each window: those with the least p, of measures and of
# baselines.
_SHOWN = {timing.MEASURE: 2, timing.BASELINE: 1}


def _ranks(x_ES: np.ndarray) -> np.ndarray:
  """Ranks over seeds, from 0 to 1, so that events lie over one another."""
  ranks = stats.rankdata(x_ES, axis=-1, nan_policy='omit')
  return (ranks - 1) / (x_ES.shape[-1] - 1)


def _panel(axis, told: timing.Told, row, colours) -> None:
  """Seeds of every event: a feature against the step of emergence."""
  several = len(told.events) > 1
  x_ES, step_ES = told.feature_ES, told.step_ES
  last = step_ES[np.isfinite(step_ES)].max()
  # What never emerged is later than all: at the top, as a triangle.
  y_ES = np.where(np.isfinite(step_ES), step_ES, 1.05 * last)
  if several:
    x_ES, y_ES = _ranks(x_ES), _ranks(y_ES)
  for x_S, y_S, step_S, colour in zip(x_ES, y_ES, step_ES, colours):
    for is_there, marker in ((np.isfinite(step_S), 'o'), (
      np.isinf(step_S), '^')):  # fmt: skip
      axis.plot(
        x_S[is_there], y_S[is_there], marker, color=colour, ms=5, alpha=0.6,
        mew=0,
      )  # fmt: skip
  axis.set_xlabel(f'{row.measure}: {row.feature}', fontsize=9)
  is_baseline = row.kind == timing.BASELINE
  said = 'baseline: ' if is_baseline else ''
  beyond = '' if is_baseline else f'\nbeyond the baselines: {row.beyond}'
  axis.set_title(
    f'{said}τ = {row.tau:.2f}, p by Holm {row.p_holm:.2g}: {row.verdict}'
    f'{beyond}', fontsize=9, color=style.BLUE if is_baseline else 'black',
  )  # fmt: skip
  axis.grid(alpha=0.3)


def figure(results: Study, label: str, run: Run):
  """Features of measures and baselines in each window, against emergence."""
  table = results.tables['timing']
  table = table[table.run == label]
  windows = [w for w in timing.WINDOWS if (table.window == w).any()]
  fig, axes = style.subplots(
    len(windows), sum(_SHOWN.values()), figsize=(11, 0.8 + 3.2 * len(windows)),
    layout='constrained', squeeze=False, sharey=True,
  )  # fmt: skip
  events: list[str] = []
  for row_of_axes, window in zip(axes, windows):
    inside = table[table.window == window]
    rows = [
      row
      for kind, count in _SHOWN.items()
      for row in timing.telling(inside[inside.kind == kind], count).itertuples()
    ]
    for axis in row_of_axes[len(rows) :]:
      axis.set_axis_off()
    for axis, row in zip(row_of_axes, rows):
      told = timing.told(run, window, row.measure, row.feature)
      events = told.events
      _panel(axis, told, row, style.task_colours(len(events)))
    y = 'step of emergence'
    y = f'{y}, rank over seeds' if len(events) > 1 else y
    row_of_axes[0].set_ylabel(f'{window}\n{y}')
  if len(events) > 1:
    handles = [
      Line2D([], [], ls='', marker='o', color=c)
      for c in style.task_colours(len(events))
    ]
    fig.legend(handles, events, loc='outside lower center', ncols=8, fontsize=8)
  fig.suptitle(
    f"{label}: does a seed's early geometry tell when that seed gets there, "
    'and more than its loss does?\n'
    + ('A dot is a seed in one task and level; both axes are ranks over seeds'
       if len(events) > 1 else 'A dot is a seed'), fontsize=10,
  )  # fmt: skip
  return fig
