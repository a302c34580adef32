"""Published accuracies of released models, as another axis of behaviour.

They are of one model a size (of no number of seeds), at a few of its
revisions, so that leads against them describe and are not tested.
"""

import functools
import pathlib
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from emergence_jax.analysis import emergence, precedence, series
from emergence_jax.analysis.paper import PYTHIA
from emergence_jax.analysis.paper import pythia as paper
from emergence_jax.analysis.runs import Run, Runs

_FILE = pathlib.Path(paper.__file__).with_name('pythia_accuracy.csv')
# Accuracy of the best constant answer; of wsc the share of the commoner label.
CHANCE = {
  'arc_challenge': 0.25, 'arc_easy': 0.25, 'lambada_openai': 0.0,
  'logiqa': 0.25, 'piqa': 0.5, 'sciq': 0.25, 'winogrande': 0.5, 'wsc': 0.635,
}  # fmt: skip
_COLUMNS = (
  'run', 'benchmark', 'emerged at', 'measure', 'largest change of it',
  'largest change of accuracy', 'lead_steps', 'checkpoints',
)  # fmt: skip


class Curve(NamedTuple):
  """A published accuracy over training.

  Attributes:
    step_C: steps.
    value_C: accuracies.
    stderr_C: their standard errors.
  """

  step_C: np.ndarray
  value_C: np.ndarray
  stderr_C: np.ndarray


@functools.cache
def read() -> pd.DataFrame:
  """All of them: model, step, task, value, stderr."""
  return pd.read_csv(_FILE, comment='#')


def curves(run: Run) -> dict[str, Curve]:
  """Benchmark → curve of the model that a run measured; none of others."""
  size = paper.size_of(run.config) if run.reference is PYTHIA else ''
  if not size or 0 not in run.data.seed.values:
    return {}
  table = read()
  table = table[table.model == f'pythia-{size}'].sort_values('step')
  return {
    str(task): Curve(one.step.values, one.value.values, one.stderr.values)
    for task, one in table.groupby('task')
  }


def over_sets(data: xr.Dataset, one: series.Series) -> xr.DataArray | None:
  """A measure of seed 0 over steps, mean over the sets where it has those."""
  array = series.scaled(data.sel(seed=0), one)
  if array is None:
    return None
  return array.mean('task') if 'task' in array.dims else array


def leads_table(runs: Runs) -> pd.DataFrame:
  """Every benchmark × measure: where each changes most, and the lead."""
  rows = []
  for run in runs.values():
    for benchmark, curve in curves(run).items():
      rows += _of_benchmark(run, benchmark, curve)
  return pd.DataFrame(rows, columns=list(_COLUMNS))


def _of_benchmark(run: Run, benchmark: str, curve: Curve) -> list[dict]:
  """A row for each measure."""
  index = emergence.emerged_with_error(
    curve.value_C, curve.stderr_C, CHANCE[benchmark]
  )
  emerged = np.nan if index is None else float(curve.step_C[index])
  rows = []
  for name, one in series.tested(run.data).items():
    measure = over_sets(run.data, one)
    if measure is None:
      continue
    both = np.isin(curve.step_C, measure.step.values[np.isfinite(measure)])
    step_C = curve.step_C[both]
    found = precedence.find_events(
      measure.sel(step=step_C).values[None, None],
      curve.value_C[both][None, None, None], step_C,
      np.full((1, 1, 1), index is not None),
    )  # fmt: skip
    rows.append(dict(zip(_COLUMNS, (
      run.label, benchmark, emerged, name, *_steps(found), len(step_C),
    ))))  # fmt: skip
  return rows


def _steps(found: precedence.Events) -> tuple[float, float, float]:
  """Steps of both changes and the lead; nan where none stands out."""
  places = found.measure_SK.item(), found.behaviour_SKL.item()
  steps = [
    float(found.step_C[int(p)]) if np.isfinite(p) else np.nan for p in places
  ]
  return *steps, steps[1] - steps[0]
