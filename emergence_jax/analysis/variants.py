"""Which of our RankMes are the paper's? All of them beside all of its numbers.

The paper does not say which positions it takes, nor whether features are
centred. Each variant that a run measured is set beside what the paper gives
for that size: the value at step 0 and the floor of four tasks.
"""

import numpy as np
import pandas as pd
import xarray as xr

from emergence_jax.analysis import collapse, published
from emergence_jax.analysis.reference import FLOOR, INITIAL_RANK
from emergence_jax.analysis.runs import Runs

# Variable → in words.
VARIANTS = {
  'rankme': 'at `=`',
  'rankme_centered': 'at `=`, centred',
  'rankme_norm': 'at `=`, behind the last norm',
  'rankme_answer': 'at every answer token',
  'rankme_mean': 'mean over tokens',
}
_LEVEL = 'rankme_level'


def _series(data: xr.Dataset) -> dict[str, xr.DataArray]:
  """Variant in words → its last layer's rank (seed, task, step)."""
  by_variant = {
    words: data[name] for name, words in VARIANTS.items() if name in data
  }
  if _LEVEL in data:
    for level in data.level.values:
      by_variant[f'at `=`, level {level} alone'] = data[_LEVEL].sel(level=level)
  return {
    words: rank.isel(layer=-1) if 'layer' in rank.dims else rank
    for words, rank in by_variant.items()
  }


def variants_table(runs: Runs) -> pd.DataFrame:
  """Rows of variants: initial value → floor of each task, and a distance.

  The distance is the mean over the paper's numbers of |log₂ (ours / theirs)|:
  1 says that they differ by a factor of two. Floors of a collapse that is not
  over are what they are so far.
  """
  rows: list[dict[str, str | float]] = []
  for label, run in runs.items():
    first, floor = (
      {n.task: n.value for n in published.numbers_of(run) if n[0] == what}
      for what in (INITIAL_RANK, FLOOR)
    )
    tasks = [t for t in run.tasks if t in first and t in floor]
    if not tasks:
      continue
    theirs = {t: (first[t], floor[t]) for t in tasks}
    rows.append({'run': label, 'RankMe': 'the paper', **_cells(theirs)})
    for words, variant in _series(run.data).items():
      rank = variant.transpose('seed', 'task', 'step').sel(task=tasks)
      collapsed = collapse.collapse(rank.step.values, rank.values)
      ours = {
        task: (np.mean(collapsed.initial[:, k]), np.mean(collapsed.floor[:, k]))
        for k, task in enumerate(tasks)
      }
      ratios = [
        np.log2(a / b) for t in tasks for a, b in zip(ours[t], theirs[t])
      ]
      rows.append({
        'run': label, 'RankMe': words, **_cells(ours),
        'distance': float(np.mean(np.abs(ratios))),
      })  # fmt: skip
  return pd.DataFrame(rows)


def _cells(values: dict[str, tuple[float, float]]) -> dict[str, str]:
  return {
    t: '–' if np.isnan([a, b]).all() else f'{a:.3g} → {b:.3g}'
    for t, (a, b) in values.items()
  }
