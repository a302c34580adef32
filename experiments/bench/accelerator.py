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
from experiments.bench.tables import Table

_BUDGET = 480.0  # seconds; nothing new is begun after it
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
  rows, one = [], None
  for precision in precisions:
    for seeds in counts:
      for way, at_once in (('vmap', 0), ('map', 1)):
        if way == 'map' and seeds == 1:
          continue
        if not clock.has_time(f'{seeds} seeds, {way}, {precision}'):
          continue
        rate = _rate(nano, seeds, at_once, steps, precision)['rate']
        one = one or rate
        rows.append([seeds, way, precision, rate, rate / one])
  return Table(
    'nano on one device: seeds at once (vmap) or one after the other (map)',
    ['seeds', 'mapping', 'precision', 'seed-steps/s', 'beside one seed'],
    rows,
  )


def _peak(clock: _Clock, large, side: int, steps: int, precisions) -> Table:
  """How near large comes to what the device's matrix unit can do."""
  rows = []
  for precision in precisions:
    if not clock.has_time(f'large, {precision}'):
      continue
    peak = train.matmul_peak(side, precision)
    found = _rate(large, 1, 1, steps, precision)
    done = found['rate'] * found['flops']
    rows.append([precision, found['rate'], done / 1e12, peak / 1e12,
                 f'{done / peak:.0%}'])  # fmt: skip
  return Table(
    'large, one seed, one device',
    ['precision', 'seed-steps/s', 'TFLOP/s', 'of a matrix product, TFLOP/s',
     'reached'],
    rows,
  )  # fmt: skip


def _measures(clock: _Clock, nano, seconds_a_step: float) -> Table:
  """Measures of a checkpoint beside the training between two."""
  if not clock.has_time('measures'):
    return Table('measures of a checkpoint', ['measure', 'seconds'], [])
  found = peers.last_json(
    sys.executable, '-m', 'experiments.bench.ours_measures',
    json.dumps(dict(what='nano', config=nano)),
  )  # fmt: skip
  training = [steps * seconds_a_step for steps in _BETWEEN]
  rows = [
    [name, seconds, *(f'{seconds / between:.0%}' for between in training)]
    for name, seconds in [*found.items(), ('all', sum(found.values()))]
  ]
  return Table(
    'nano, one seed: measures of a checkpoint beside the steps between two',
    ['measure', 'seconds', *(f'of {n:,} steps' for n in _BETWEEN)],
    rows,
    ['The LLC is of one task; a checkpoint has eight.'],
  )


def run(
  folder: str | None,
  seeds: int,
  *,
  with_peers: bool,
  nano=_NANO,
  large=_LARGE,
  counts=(1, 4, 16, 64),
  steps: int = 50,
  side: int = 8192,
  precisions=('float32', 'bfloat16'),
) -> list[Table]:
  """Times all of it; the sizes are arguments for a test on a CPU."""
  del folder, seeds, with_peers
  clock = _Clock(_BUDGET)
  of_seeds = _seeds(clock, nano, counts, steps, precisions)
  one = of_seeds.rows[0][3]
  tables = [
    of_seeds,
    _peak(clock, large, side, max(1, steps // 5), precisions),
    _measures(clock, nano, 1.0 / one),
  ]
  if clock.left_out:
    print(f'left out for want of time: {"; ".join(clock.left_out)}')
  return tables
