"""The table at the end of a run: when each seed's capabilities emerged."""

import io

import numpy as np
import xarray as xr
from rich import box, markup
from rich import console as rich_console
from rich import table as rich_table

from emergence_jax.analysis import emergence, statistics
from emergence_jax.base.types import BAD_ROWS

_MAX_SEED_COLUMNS = 8
_RULES = 'chance-corrected', emergence.RULE_OF_EVENTS


def _step(value: float) -> str:
  return f'{int(value):,}' if np.isfinite(value) else '–'


def _row(
  label: str, threshold: str, steps_S: np.ndarray, each: bool
) -> list[str]:
  """Cells of one row: each seed, or the range of them."""
  emerged = steps_S[np.isfinite(steps_S)]
  # A seed that never emerges is later than all that do.
  middle = float(statistics.lower_median(steps_S))
  cells = [
    markup.escape(label),
    threshold,
    f'{emerged.size}/{steps_S.size}',
    _step(middle),
  ]
  if each:
    return cells + [_step(s) for s in steps_S]
  if not emerged.size:
    return [*cells, '–']
  return [*cells, f'{_step(emerged.min())}…{_step(emerged.max())}']


def emergence_table(data: xr.Dataset, each: bool = False) -> rich_table.Table:
  """Rows: task × level (and the training table).

  Args:
    data: a run's timeseries.
    each: whether there is a column for each seed, rather than their range.
  """
  each = each and data.sizes['seed'] <= _MAX_SEED_COLUMNS
  table = rich_table.Table(
    title=f'First step above a threshold for {emergence.PERSISTENCE} '
    'checkpoints in a row',
    box=box.SIMPLE_HEAD,
    pad_edge=False,
    show_edge=False,
    padding=(0, 1, 0, 0),
    title_justify='left',
    caption='lower median over seeds; – not within the run',
    caption_justify='left',
  )
  heads = ['task · level', 'accuracy', 'seeds', 'median']
  if each:
    heads += [f'seed {s}' for s in data.seed.values]
  else:
    heads.append('range')
  for i, head in enumerate(heads):
    table.add_column(head, justify='right' if i else 'left', no_wrap=True)
  for k, task in enumerate(data.task.values):
    for j, level in enumerate(data.level.values):
      place = {'task': k, 'level': j}
      name = f'{task} · {level}'
      if 'train_accuracy' in data:
        steps = emergence.emergence_step(
          data.train_accuracy.isel(place), np.nextafter(1.0, 0.0)
        )
        table.add_row(*_row(f'{name} (training)', '= 1', steps.values, each))
      for rule in _RULES:
        steps = emergence.by_rule(data.isel(task=[k], level=[j]), rule)
        words = emergence.WORDS[rule]
        table.add_row(*_row(name, words, steps.values.ravel(), each))
      if 'train_accuracy' in data:
        steps = emergence.emergence_step(data.accuracy.isel(place), 0.95)
        table.add_row(*_row(name, 'above 0.95', steps.values, each))
  return table


def text(data: xr.Dataset, headline: str, *, each: bool = False) -> str:
  """The summary of a run as plain text.

  Args:
    data: its timeseries.
    headline: what it is.
    each: whether every seed has a column, for a file; else it fits a terminal
      of 80 columns, if the names of tasks do.
  """
  out = io.StringIO()
  console = rich_console.Console(file=out, width=160 if each else 100)
  console.print(headline, highlight=False, markup=False)
  if 'accuracy' not in data:
    console.print('No behaviour was measured (config.measures.behaviour).')
    return out.getvalue()
  console.print()
  console.print(emergence_table(data, each))
  for state in BAD_ROWS:
    bad = data.status == state
    for seed in data.seed.values[bad.any('step').values]:
      rows = bad.sel(seed=seed).values
      first = data.step.values[rows.argmax()]
      console.print(
        f'seed {seed}: {rows.sum()} of {rows.size} rows are {state.words}, '
        f'the first at step {first:,}.',
        highlight=False,
      )
  return out.getvalue()
