"""Published numbers and accuracies of a study, beside those of the runs.

A study has one model a size and few of its checkpoints, so that leads against
its accuracies describe and are not tested.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from emergence_jax.analysis import (
  align,
  claims,
  emergence,
  series,
  statistics,
  tables,
)
from emergence_jax.analysis import events as events_lib
from emergence_jax.analysis.reference import (
  EMERGENCE,
  FLOOR,
  INITIAL_RANK,
  Curve,
  Number,
)
from emergence_jax.analysis.runs import Run, Runs

_COLUMNS = (
  'run', 'benchmark', 'emerged at', 'measure', 'largest change of it',
  'largest change of accuracy', 'lead_steps', 'checkpoints',
)  # fmt: skip


def numbers_of(run: Run) -> Sequence[Number]:
  """What the study beside a run publishes for its size."""
  return run.reference.numbers(run.config) if run.reference else ()


def curves_of(run: Run) -> Mapping[str, Curve]:
  """Benchmark → published accuracy of the model of a run; none of others."""
  if run.reference is None or 0 not in run.data.seed.values:
    return {}
  return run.reference.curves(run.config)


def numbers_table(runs: Runs) -> pd.DataFrame:
  """Every number that a study gives for a size, beside ours."""
  rows = []
  for name, run in runs.items():
    for number in numbers_of(run):
      ours = _ours(run.data, number)
      if ours is not None:
        rows.append({'run': name, **_number_row(run, number, *ours)})
  return pd.DataFrame(rows)


def _spacing(step_C: np.ndarray, steps_S: np.ndarray) -> np.ndarray:
  """Steps from the checkpoint before to that of each step [S]."""
  place = np.searchsorted(step_C, np.nan_to_num(steps_S)).clip(1, None)
  return (step_C[place] - step_C[place - 1]).astype(float)


def _number_row(
  run: Run, number: Number, ours_S: np.ndarray, is_final: bool
) -> dict:
  is_step = number.quantity == EMERGENCE
  estimate = (
    statistics.median_time(ours_S) if is_step
    else statistics.mean_interval(ours_S)
  )  # fmt: skip
  theirs = number.value - number.below, number.value + number.above
  spacing_S = _spacing(run.data.step.values, ours_S) if is_step else 0.0
  ends = statistics.prediction(ours_S, spacing_S)
  word, why = claims.number_verdict(ends, theirs, align.caveat(run, is_final))
  return {
    'quantity': number.quantity, 'task': number.task, 'level': number.level,
    'paper': float(number.value), 'ours': estimate.value, 'low': estimate.low,
    'high': estimate.high, 'seeds': estimate.count,
    'one more seed, low': ends[0], 'one more seed, high': ends[1],
    'verdict': word, 'why': why,
  }  # fmt: skip


def _ours(data: xr.Dataset, number: Number) -> tuple[np.ndarray, bool] | None:
  """Our values [S] of a number, and whether more training leaves them so.

  None where it was not measured.
  """
  if number.task not in data.task.values:
    return None
  if number.quantity == EMERGENCE:
    if number.level not in data.level.values:
      return None
    steps = emergence.by_rule(data, emergence.RULE_OF_CLAIMS)
    ours_S = steps.sel(task=number.task, level=number.level).values
    return ours_S, bool(np.isfinite(ours_S).all())
  if 'rankme' not in data:
    return None
  collapsed = tables.collapse_of(data)
  place = list(data.task.values).index(number.task)
  values_SK = {INITIAL_RANK: collapsed.initial, FLOOR: collapsed.floor}[
    number.quantity
  ]
  is_final = (
    number.quantity == INITIAL_RANK or collapsed.is_over[:, place].all()
  )
  return values_SK[:, place], bool(is_final)


def over_sets(data: xr.Dataset, item: series.Series) -> xr.DataArray | None:
  """A measure of seed 0 over steps, mean over the sets where it has those."""
  array = series.scaled(data.sel(seed=0), item)
  if array is None:
    return None
  return array.mean('task') if 'task' in array.dims else array


def leads_table(runs: Runs) -> pd.DataFrame:
  """Every benchmark × measure: where each changes most, and the lead."""
  rows = []
  for run in runs.values():
    for benchmark, curve in curves_of(run).items():
      rows += _of_benchmark(run, benchmark, curve)
  return pd.DataFrame(rows, columns=list(_COLUMNS))


def _of_benchmark(run: Run, benchmark: str, curve: Curve) -> list[dict]:
  """A row for each measure."""
  index = emergence.emerged_with_error(
    curve.value_C, curve.stderr_C, curve.chance
  )
  emerged = np.nan if index is None else float(curve.step_C[index])
  rows = []
  for name, item in series.tested(run.data).items():
    measure = over_sets(run.data, item)
    if measure is None:
      continue
    both = np.isin(curve.step_C, measure.step.values[np.isfinite(measure)])
    step_C = curve.step_C[both]
    events = events_lib.find(
      measure.sel(step=step_C).values[None, None],
      curve.value_C[both][None, None, None], step_C,
      np.full((1, 1, 1), index is not None),
    )  # fmt: skip
    rows.append(dict(zip(_COLUMNS, (
      run.label, benchmark, emerged, name, *_steps(events), len(step_C),
    ))))  # fmt: skip
  return rows


def _steps(events: events_lib.Events) -> tuple[float, float, float]:
  """Steps of both changes and the lead; nan where none stands out."""
  measure, behaviour = (
    float(events.steps(place).item())
    for place in (events.measure_SK, events.behaviour_SKL)
  )
  return measure, behaviour, behaviour - measure
