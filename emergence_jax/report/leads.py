"""The figure of leads: which measure moves first, a dot an event."""

import numpy as np
from matplotlib.lines import Line2D

from emergence_jax.analysis import precedence, statistics
from emergence_jax.analysis.changes import LEAST
from emergence_jax.analysis.events import Events
from emergence_jax.analysis.study import Study
from emergence_jax.report import style, text

_INTERVAL_WIDTH = 5


def _strip(axis, events: Events, row: int, rng) -> None:
  """One measure's events, and the interval of their mean over seeds."""
  lead = events.lead_SKL[events.known_SKL]
  y = row + rng.uniform(-0.25, 0.25, lead.size)
  axis.plot(lead, y, 'o', ms=3.5, alpha=0.45, color=style.BLUE)
  mean = statistics.mean_interval(precedence.seed_means(events.lead_SKL))
  if mean.has_interval:
    axis.plot(
      [mean.low, mean.high], [row, row], color='#E69F00',
      lw=_INTERVAL_WIDTH, alpha=0.8,
      solid_capstyle='butt',
    )  # fmt: skip
  if mean.count:
    axis.plot([mean.value] * 2, [row - 0.4, row + 0.4], 'k', lw=2)


def _clipped(axis) -> None:
  """Marks the ends of intervals that lie beyond the axis."""
  low, high = axis.get_xlim()
  for line in list(axis.lines):
    if line.get_lw() != _INTERVAL_WIDTH:
      continue
    (start, end), row = line.get_xdata(), line.get_ydata()[0]
    for beyond, place, marker in (
      (start < low, low, '<'), (end > high, high, '>'),
    ):  # fmt: skip
      if beyond:
        axis.plot(
          place, row, marker, color='#E69F00', ms=9, clip_on=False, zorder=3
        )


def has_emerged(item: Events | int) -> bool:
  """Whether there is an event whose lead could be drawn."""
  return isinstance(item, Events) and bool(item.emerged_SKL.any())


def _why_none(item: Events | int) -> str:
  """Why a measure has no lead that counts; empty if it has."""
  if isinstance(item, int):
    return f'{item} checkpoints; it takes {LEAST}'
  if not item.emerged_SKL.any():
    return 'no event emerged'
  return '' if item.known_SKL.any() else 'no change that stands out'


def _words(results: Study, run: str, measure: str) -> str:
  """Counts, p-values and verdict of one measure, beside its dots."""
  table = results.tables['precedence']
  table = table[
    (table.run == run) & (table.measure == measure) & (table.tasks == 'all')
  ]
  if not len(table):
    return ''
  row = table.iloc[0]

  p = text.p_value
  return (
    f'{row["first"]:>5} {row.together:>5} {row.after:>5} {row.depends:>5} '
    f'{row.unclear:>5}   '
    f'{p(row.p_order):>6} {p(row.p_seeds):>6} {p(row.p_tasks):>6} '
    f'{p(row.p_holm):>6}   {row.verdict}'
  )


def figure(results: Study, run: str):
  """Lead of every event and measure, with the tests beside them."""
  measures = results.changes[run]
  figure, (axis, right) = style.subplots(
    1, 2, figsize=(12.5, 1.9 + 0.5 * len(measures)), sharey=True,
    layout='constrained', width_ratios=(6, 5),
  )  # fmt: skip
  rng = np.random.default_rng(0)
  look = dict(family='monospace', fontsize=8, va='center')
  for i, (name, events) in enumerate(measures.items()):
    if why := _why_none(events):
      axis.annotate(
        why, (0.02, i), xycoords=('axes fraction', 'data'), va='center',
        fontsize=8, color='#777777',
      )  # fmt: skip
    if not isinstance(events, int):
      _strip(axis, events, i, rng)
      right.text(0, i, _words(results, run, name), **look)
  axis.set_ylim(len(measures) - 0.4, -0.8)
  axis.set_yticks(range(len(measures)), list(measures))
  axis.axvline(0, color='grey', lw=1, ls=':')
  # By the events: an interval of few seeds may be far wider.
  known = [e.lead_SKL for e in measures.values() if isinstance(e, Events)]
  reach = max((np.nanmax(np.abs(x), initial=0) for x in known), default=0)
  if reach > 0:
    axis.set_xlim(-1.3 * reach, 1.3 * reach)
    _clipped(axis)
  axis.set_xlabel('← behaviour first    lead (steps)    measure first →')
  right.set_axis_off()
  right.set_xlim(0, 1)
  right.text(
    0, -0.65,
    'first  tog. after  dep. uncl.    order  seeds  tasks   Holm   verdict',
    **look,
  )  # fmt: skip
  handles = [
    Line2D([], [], ls='', marker='o', color=style.BLUE, ms=5),
    Line2D([], [], color='k', lw=2),
    Line2D([], [], color='#E69F00', lw=_INTERVAL_WIDTH, alpha=0.8),
  ]
  words = (
    'event that emerged: a seed × task × level', 'mean',
    '95% interval of the mean, over seeds',
  )  # fmt: skip
  figure.legend(handles, words, loc='outside lower center', ncols=3, fontsize=9)
  figure.suptitle(
    f'{run}: which moves first? Midpoint of the largest change of accuracy '
    'minus that of the measure; p-values of order and ties', fontsize=10,
  )  # fmt: skip
  return figure
