"""`bench analysis`: a large study, and its lags beside a loop over SciPy.

The peer is what one would write with `scipy.signal.correlate`: a call for each
event.
"""

import time

import numpy as np
import xarray as xr
from scipy import signal

from emergence_jax.analysis import precedence, study
from emergence_jax.analysis.paper import algorithmic as paper
from emergence_jax.analysis.paper import peaks
from emergence_jax.analysis.paper.algorithmic import ALGORITHMIC
from emergence_jax.analysis.runs import Run
from emergence_jax.report import page
from experiments.bench.formatting import Table

_STEPS, _LAYERS, _DRAWS = 200, 4, precedence.DRAWS
# Seeds, and how many times as many.
_LEAST, _TIMES = 16, (1, 4, 16)


def made_up(seeds: int) -> xr.Dataset:
  """A timeseries of eight tasks and nine measures, all of them random walks."""
  rng = np.random.default_rng(0)
  tasks = [*paper.EASY, *paper.HARD]
  step = np.arange(_STEPS) * 100

  def walk(*shape):
    """Positive random walks."""
    return np.exp(0.05 * rng.normal(size=(seeds, _STEPS, *shape)).cumsum(1))

  dims = ('seed', 'step', 'task')
  level = (*dims, 'level')
  progress = np.linspace(0, 1, _STEPS)[:, None, None]
  accuracy = progress + 0.02 * rng.normal(size=(seeds, _STEPS, 8, 3))
  variables = {
    'accuracy': (level, accuracy),
    'log_prob': (level, np.log(np.clip(accuracy, 1e-3, 1))),
    'chance': (('task', 'level'), np.full((8, 3), 0.01)),
    'rankme': ((*dims, 'layer'), walk(8, _LAYERS)),
    'hessian_eigenvalues': (('seed', 'step', 'hessian_index'), walk(1)),
    'probe_accuracy': ((*dims, 'target', 'layer'), walk(8, 1, _LAYERS)),
    'status': (('seed', 'step'), np.zeros((seeds, _STEPS), np.int8)),
  }
  for name in ('fisher_rank', 'llc', 'llc_elevation', 'task_grad_norm'):
    variables[name] = (dims, walk(8))
  for name in ('gradcov_rank', 'hessian_trace', 'loss_barrier'):
    variables[name] = (('seed', 'step'), walk())
  coords = {
    'seed': np.arange(seeds), 'step': step, 'task': tasks,
    'level': ['1', '2', '3'], 'layer': np.arange(1, _LAYERS + 1),
  }  # fmt: skip
  return xr.Dataset(variables, coords)


def _scipy_seconds(x_NC, y_NC) -> float:
  """Lags of N events, one call each."""
  began = time.monotonic()
  for x, y in zip(peaks.changes(x_NC), peaks.changes(y_NC)):
    r = signal.correlate(y, x, 'full', method='direct')
    middle = x.size - 1
    window = r[middle - peaks.MAX_LAG : middle + peaks.MAX_LAG + 1]
    np.argmax(np.abs(window))
  return time.monotonic() - began


def run(folder, seeds: int, *, with_peers: bool) -> list[Table]:
  """Times a study of eight tasks × three levels."""
  del folder
  data = made_up(seeds)
  began = time.monotonic()
  run = Run('small', data, {'model': {'size': 'small'}}, reference=ALGORITHMIC)
  study.study({'small': run}, draws=_DRAWS)
  whole = time.monotonic() - began
  rank = np.moveaxis(data.rankme.values[..., -1], 1, -1)
  accuracy = np.moveaxis(data.accuracy.values, 1, -1)
  emerged = np.ones(accuracy.shape[:-1], bool)
  began = time.monotonic()
  precedence.tests(rank, accuracy, data.step.values, emerged, draws=_DRAWS)
  tests = time.monotonic() - began
  x = np.broadcast_to(rank[:, :, None], accuracy.shape)
  began = time.monotonic()
  peaks.peaks(x, accuracy)
  ours = time.monotonic() - began
  rows = [
    ['the whole study, nine measures', whole],
    ['changes and tests of one measure', tests],
    ['lags of one measure', ours],
  ]
  notes = []
  if with_peers:
    events = [v.reshape(-1, _STEPS) for v in (x, accuracy)]
    theirs = _scipy_seconds(*events)
    rows.append(['the same by scipy.signal.correlate', theirs])
    notes.append(f'Ours is faster by {theirs / ours:.1f}.')
  title = (
    f'{seeds} seeds × 24 task-levels × {_STEPS} checkpoints, {_DRAWS} '
    'permutations'
  )
  return [Table(title, ['what', 'seconds'], rows, notes), _growth()]


def _growth() -> Table:
  """A study and its page, of ever more seeds."""
  rows = []
  for times in _TIMES:
    data, seconds = made_up(_LEAST * times), []
    run = Run(
      'small', data, {'model': {'size': 'small'}}, reference=ALGORITHMIC
    )
    runs = {'small': run}
    began = time.monotonic()
    results = study.study(runs, draws=_DRAWS)
    seconds.append(time.monotonic() - began)
    began = time.monotonic()
    text = page.build(results, runs, {})
    seconds.append(time.monotonic() - began)
    rows.append([
      f'{_LEAST * times} × 24 × {_STEPS}', *seconds, len(text) / 2**20,
    ])  # fmt: skip
  first, *others = rows
  notes = [
    f'{times} times as much: the analysis takes {row[1] / first[1]:.1f} and '
    f'the page {row[2] / first[2]:.1f} times as long, and is '
    f'{row[3] / first[3]:.1f} times as large.'
    for times, row in zip(_TIMES[1:], others, strict=True)
  ]
  return Table(
    'Growth: seeds × task-levels × checkpoints',
    ['size', 'analysis, s', 'page without figures, s', 'page, MiB'],
    rows,
    notes,
  )
