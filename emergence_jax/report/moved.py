"""What moved the capabilities of runs with arms, in sentences."""

import numpy as np

from emergence_jax.analysis import effects
from emergence_jax.analysis.moved import Experiment
from emergence_jax.analysis.study import Study


def _steps(shift: effects.Shift) -> str:
  """A shift in words: `310 steps earlier [250, 380]`."""
  if np.isinf(shift.estimate):
    return 'beyond the run' if shift.estimate > 0 else 'from beyond the run'
  side = 'later' if shift.estimate > 0 else 'earlier'
  ends = sorted(abs(e) for e in (shift.low, shift.high))
  one_side = shift.low * shift.high > 0 and np.isfinite(ends).all()
  span = f' [{ends[0]:,.0f}, {ends[1]:,.0f}]' if one_side else ''
  return f'{abs(shift.estimate):,.0f} steps {side}{span}'


def _size(one: effects.Effect, margin: float) -> str:
  """How far an arm moved it, beyond its placebo where it has one."""
  if one.beyond is None:
    return _steps(one.shift)
  small = ', less than the margin' if one.beyond.is_within(margin) else ''
  return f'{_steps(one.beyond)} than its placebo{small}'


def _moved_in(item: Experiment, event: int) -> str:
  """What moved one capability, and what did not."""
  by: dict[str, list[effects.Effect]] = {}
  for one in item.judged[event]:
    by.setdefault(one.verdict, []).append(one)
  margin = item.margin[event]
  moves = ', '.join(
    f'{one.arm} ({_size(one, margin)})' for one in by.get(effects.MOVES, ())
  )
  said = [f'{moves} moved it' if moves else 'Nothing is shown to have moved it']
  for verdict, words in (
    (effects.MOVES_NOT, f'{{}} did not, within ±{margin:,.0f} steps'),
    (effects.UNDECIDED, 'not decided: {}'),
    (effects.STOPPED, '{} slowed or stopped the training itself'),
  ):
    if verdict in by:
      said.append(words.format(', '.join(one.arm for one in by[verdict])))
  seeds = item.data.sizes['seed']
  return f'{"; ".join(said)} ({seeds} paired seeds).'


def sentences(results: Study) -> list[str]:
  """What moved the capabilities of runs with arms: a sentence for each."""
  said = []
  for label, item in results.experiments.items():
    several = len(item.events) > 1 or len(results.experiments) > 1
    for e in item.foremost:
      place = f'{label}, {item.title(e)}: ' if several else ''
      said.append(f'{place}{_moved_in(item, e)}')
  return said
