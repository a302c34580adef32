"""`bench accelerator`: what only a GPU or a TPU can say, in one call.

Seeds at once beside one, mapping beside vmapping, how near large comes to the
peak, and what the measures of a checkpoint cost beside the training between
two of them. It is sized to end within ten minutes; work that would not is left
out, and said.
"""

import json
import sys
import time

from experiments.bench import peers, train
from experiments.bench.formatting import Table

_NANO, _LARGE = (
  ('configs.algorithmic', 'nano'),
  ('configs.algorithmic', 'large'),
)
# The steps between two checkpoints of the paper, at its densest and later on.
_BETWEEN = (20, 100, 500, 2000)


class _Clock:
  """Says what does not fit any more."""

  def __init__(self, budget: float):
    self._end = time.monotonic() + budget
    self.left_out: list[str] = []

  def has_time(self, what: str) -> bool:
    """Whether to begin; if not, notes it."""
    if time.monotonic() < self._end:
      return True
    self.left_out.append(what)
    return False


def _rate(config, seeds: int, at_once: int, steps: int, precision: str) -> dict:
  return train.ours(
    config=config, overrides={'train': {'precision': precision}}, seeds=seeds,
    devices=1, at_once=at_once, steps=steps, repeats=2,
  )  # fmt: skip


def _seeds(clock: _Clock, nano, counts, steps: int, precisions) -> Table:
  """Nano, by seeds at once: all of them (vmap), or one (map)."""
  rows, single = [], {}
  for seeds in counts:
    for precision in precisions:
      for way, at_once in (('vmap', 0), ('map', 1)):
        if way == 'map' and (seeds == 1 or precision != precisions[0]):
          continue
        if not clock.has_time(f'{seeds} seeds, {way}, {precision}'):
          continue
        rate = _rate(nano, seeds, at_once, steps, precision)['rate']
        beside = rate / single.setdefault(precision, rate)
        rows.append([seeds, way, precision, rate, beside])
  return Table(
    'nano on one device: seeds at once (vmap) or one after the other (map)',
    ['seeds', 'mapping', 'precision', 'seed-steps/s', 'beside the first'],
    rows,
  )


def _peak(clock: _Clock, large, side: int, steps: int, precisions) -> Table:
  """How near large comes to what the device's matrix unit can do."""
  rows = []
  for precision in precisions:
    if not clock.has_time(f'large, {precision}'):
      continue
    peak = train.matmul_peak(side, precision)
    measured = _rate(large, 1, 1, steps, precision)
    done = measured['rate'] * measured['flops']
    rows.append([precision, measured['rate'], done / 1e12, peak / 1e12,
                 f'{done / peak:.0%}'])  # fmt: skip
  return Table(
    'large, one seed, one device',
    ['precision', 'seed-steps/s', 'TFLOP/s', 'of a matrix product, TFLOP/s',
     'reached'],
    rows,
  )  # fmt: skip


def _measures(clock: _Clock, nano, seeds: int, steps: int) -> Table:
  """Measures of a checkpoint beside the training between two."""
  title = (
    f'nano, {seeds} seeds: measures of a checkpoint beside the steps between '
    'two'
  )
  header = ['measure', 'compiled in, s', 'seconds',
            *(f'of {n:,} steps' for n in _BETWEEN)]  # fmt: skip
  if not clock.has_time('measures'):
    return Table(title, header, [])
  request = dict(what='population', config=nano, seeds=seeds, steps=steps)
  result = peers.last_json(
    sys.executable, '-m', 'experiments.bench.ours_measures', json.dumps(request)
  )
  training = [steps * result['step'] for steps in _BETWEEN]
  each, compiling = result['measures'], result['compile']
  rows = [
    [name, compiling.get(name, sum(compiling.values())), seconds,
     *(f'{seconds / between:.0%}' for between in training)]
    for name, seconds in [*each.items(), ('all', sum(each.values()))]
  ]  # fmt: skip
  return Table(title, header, rows)


def run(
  folder: str | None,
  seeds: int,
  *,
  with_peers: bool,
  budget: float = 480.0,
  nano=_NANO,
  large=_LARGE,
  counts=(1, 64, 16, 4),
  steps: int = 50,
  side: int = 8192,
  precisions=('float32', 'tensorfloat32', 'bfloat16'),
) -> list[Table]:
  """Times all of it; the sizes are arguments for a test on a CPU.

  Args:
    folder: not used.
    seeds: whose measures are timed at once.
    with_peers: not used.
    budget: seconds. Half of them are for the counts of seeds, what is left of
      three quarters for large, and measures begin before the last is over;
      what has begun goes on to its end.
    nano: configuration in the place of nano's: module and argument.
    large: likewise.
    counts: of seeds, the telling ones first.
    steps: to time.
    side: of the matrix product that stands for the peak.
    precisions: of training.
  """
  del folder, with_peers
  clocks = [_Clock(share * budget) for share in (0.5, 0.75, 1.0)]
  tables = [
    _seeds(clocks[0], nano, counts, steps, precisions),
    _peak(clocks[1], large, side, max(1, steps // 5), precisions),
    _measures(clocks[2], nano, seeds, steps),
  ]
  left_out = [what for clock in clocks for what in clock.left_out]
  if left_out:
    print(f'left out for want of time: {"; ".join(left_out)}')
  return tables
