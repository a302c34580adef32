"""`bench calibration`: do p-values and intervals hold what they say?

Every p-value of the analysis over made-up studies in which measure and
behaviour are independent; the power for a planted lead; and how often each
interval over seeds covers the truth.
"""

import functools
from collections.abc import Callable

import numpy as np
from rich import box, console, progress, table
from scipy import stats

from emergence_jax.analysis import collapse, precedence, statistics
from experiments.bench import intervals, made_up_arms, made_up_studies
from experiments.bench.made_up_studies import Made, Sizes

_STUDIES, _DRAWS, _SAMPLES, _SHAPED = 1000, 400, 4000, 1000


def _p_values(make: Callable[..., Made], studies: int, **options):
  """p-values [N, 4] of order, ties, and of all together."""
  p_values = np.empty((studies, 4))
  for i in range(studies):
    made = make(np.random.default_rng(i), **options)
    tests = precedence.tests(*made, draws=_DRAWS, seed=i)
    p_values[i] = (
      tests.p_order, tests.p_seeds, tests.p_tasks, precedence.p_precedes(tests)
    )  # fmt: skip
  return p_values


def _percent(share: float, possible: bool = True) -> str:
  return f'{100 * share:.1f}' if possible else '–'


def _false_alarms(show) -> table.Table:
  rows = table.Table(
    title=f'Independent studies with p < 0.05, % of {_STUDIES}',
    box=box.SIMPLE_HEAD,
  )
  for name in ('made-up study', 'order', 'tie over seeds', 'tie over tasks',
               'precedes'):  # fmt: skip
    rows.add_column(name, justify='left' if not rows.columns else 'right')
  for name, scenario in show(made_up_studies.INDEPENDENT.items()):
    p = _p_values(scenario.make, _STUDIES)
    alarms = (p < precedence.MAX_P).mean(0)
    possible = np.isfinite(p).any(0)
    order = _percent(alarms[0]) + ('' if scenario.neither_first else ' (true)')
    rows.add_row(name, order, *map(_percent, alarms[1:], possible[1:]))
  return rows


_PLANTED = {
  '8 seeds × 8 tasks × 3 levels': Sizes(),
  '5 seeds': Sizes(seeds=5),
  '4 seeds: the least p of order is 1/16': Sizes(seeds=4),
  'one task and level': Sizes(tasks=1, levels=1),
}


def _power(show) -> table.Table:
  rows = table.Table(
    title=f'A lead of 200 steps, seeds differ by 20%: p < 0.05, % of '
    f'{_STUDIES // 2}',
    box=box.SIMPLE_HEAD,
  )
  for name in ('made-up study', 'order', 'tie over seeds', 'tie over tasks',
               'precedes'):  # fmt: skip
    rows.add_column(name, justify='left' if not rows.columns else 'right')
  for name, sizes in show(_PLANTED.items()):
    p = _p_values(made_up_studies.planted, _STUDIES // 2, sizes=sizes)
    power, possible = (p < precedence.MAX_P).mean(0), np.isfinite(p).any(0)
    rows.add_row(name, *map(_percent, power, possible))
  return rows


def _coverage(show) -> table.Table:
  rows = table.Table(
    title=f'How often intervals over seeds cover, % of {_SAMPLES}; in brackets '
    'the level that is said, and how often there is an interval',
    box=box.SIMPLE_HEAD,
  )
  counts = (3, 4, 5, 8)
  rows.add_column('interval of')
  for seeds in counts:
    rows.add_column(f'{seeds} seeds', justify='right')
  for name, make in show(intervals.INTERVALS.items()):
    cells = []
    for seeds in counts:
      share, given, level = intervals.covered(make, seeds, _SAMPLES)
      notes = [f'said {level:.0%}'] * (level < statistics.CONFIDENCE)
      notes += [f'of {given:.0%}'] * (given < 1)
      cells.append(_percent(share) + (f' ({", ".join(notes)})' * bool(notes)))
    rows.add_row(name, *cells)
  return rows


def _shapes(show) -> table.Table:
  """Neither first: the measure's shape against behaviour's, one task."""
  sizes = Sizes(tasks=1, levels=1)
  rows = table.Table(
    title='Equal midpoints, 8 seeds of one task: called "precedes", % of '
    f'{_SHAPED}; in brackets where the measure leads by three checkpoints',
    box=box.SIMPLE_HEAD,
  )
  rows.add_column('measure')
  for behaviour in made_up_studies.RISES:
    rows.add_column(behaviour, justify='right')
  for measure in show(made_up_studies.SHAPES):
    cells = []
    for behaviour in made_up_studies.RISES:
      alarms, power = (
        np.mean(
          _p_values(
            functools.partial(
              made_up_studies.of_shapes, measure=measure, behaviour=behaviour,
              lead=lead,
            ),
            studies, sizes=sizes,
          )[:, -1] < precedence.MAX_P
        )
        for lead, studies in ((0, _SHAPED), (3, _SHAPED // 10))
      )  # fmt: skip
      cells.append(f'{_percent(alarms)} ({_percent(power)})')
    rows.add_row(measure, *cells)
  return rows


def _invariance() -> table.Table:
  """The analysis of variance of floors over five sizes that are all alike."""
  rows = table.Table(
    title=f'Floors that do not depend on size: p < 0.05, % of {_SAMPLES}',
    box=box.SIMPLE_HEAD,
  )
  rows.add_column('floors')
  for seeds in (3, 8):
    rows.add_column(f'{seeds} seeds', justify='right')
  for name, draw in (
    ('normal', lambda rng, n: rng.normal(3, 0.3, n)),
    ('log-normal (0.3)', lambda rng, n: np.exp(rng.normal(1, 0.3, n))),
  ):
    cells = []
    for seeds in (3, 8):
      rng = np.random.default_rng(0)
      p = [
        collapse.invariance([draw(rng, seeds) for _ in range(5)]).p_value
        for _ in range(_SAMPLES)
      ]
      cells.append(_percent(np.mean(np.array(p) < precedence.MAX_P)))
    rows.add_row(name, *cells)
  return rows


def run(folder, seeds: int, with_peers: bool) -> None:
  """Prints the tables; it takes some minutes."""
  del folder, seeds, with_peers
  out = console.Console(width=110)

  def show(items):
    return progress.track(list(items), transient=True, console=out)

  for make in (_false_alarms, _power, _shapes, _coverage):
    out.print(make(show))
  out.print(_invariance())
  out.print(made_up_arms.shown(show, _STUDIES))
  least = stats.binom.ppf(0.99, _STUDIES, precedence.MAX_P) / _STUDIES
  out.print(f'Of {_STUDIES} with a true rate of 5%, 1% exceed {least:.1%}.')
