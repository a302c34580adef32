"""When a capability emerges."""

from typing import Any

import numpy as np
import xarray as xr

PERSISTENCE = 5


def above_chance(chance: Any, margin: float = 0.1) -> Any:
  """Chance-corrected threshold: chance + margin·(1 − chance)."""
  return chance + margin * (1 - np.asarray(chance))


def first_sustained(
  above_C: np.ndarray, persistence: int = PERSISTENCE
) -> int | None:
  """Index of the first of `persistence` consecutive true values, or None."""
  run = 0
  for i, value in enumerate(above_C):
    run = run + 1 if value else 0
    if run == persistence:
      return i - persistence + 1
  return None


def emergence_step(
  accuracy: xr.DataArray,
  threshold: float | xr.DataArray,
  persistence: int = PERSISTENCE,
) -> xr.DataArray:
  """Step of the first checkpoint above a threshold that stays above it.

  Consecutive are checkpoints at which it was measured: one where it was not
  (nan) is left out, and neither above nor below.
  Source: arXiv:2602.15997, section 3: above for at least five consecutive
  checkpoints.

  Args:
    accuracy: has a dimension `step`, with its coordinate.
    threshold: a number, or an array of the other dimensions.
    persistence: consecutive checkpoints that it takes.

  Returns:
    float array without `step`; nan where it never happens.
  """
  above = accuracy > threshold
  known = xr.apply_ufunc(np.isfinite, accuracy).broadcast_like(above)
  steps = accuracy.step.values

  def first_of(above_C, known_C):
    index = first_sustained(above_C[known_C], persistence)
    return np.nan if index is None else float(steps[known_C][index])

  return xr.apply_ufunc(
    first_of, above, known, input_core_dims=[['step'], ['step']],
    vectorize=True, output_dtypes=[float],
  )  # fmt: skip


def corrected(data: xr.Dataset) -> xr.DataArray:
  """Chance-corrected threshold of each task × level.

  At least two standard errors above chance on as many examples as there are
  (`attrs['examples']`, or the dimension `item`): on a small fixed exam a
  constant answer may be right more often than by chance, at every checkpoint.
  With the protocol's 1,000 examples that makes no difference.
  """
  threshold = above_chance(data.chance)
  examples = data.attrs.get('examples') or data.sizes.get('item')
  if not examples:
    return threshold
  error = np.sqrt(data.chance * (1 - data.chance) / examples)
  return xr.apply_ufunc(np.maximum, threshold, data.chance + 2 * error)


# Name → (variable, threshold from the data).
RULES = {
  'paper': ('accuracy', lambda data: 0.1),
  'chance-corrected': ('accuracy', corrected),
  'halfway': ('accuracy', lambda data: above_chance(data.chance, 0.5)),
  'half': ('accuracy', lambda data: 0.5),
  # The geometric mean of the answers' probabilities, by the same threshold.
  'log-probability': ('log_prob', lambda data: np.log(corrected(data))),
}


# The paper's own rule, for the paper's own numbers.
RULE_OF_CLAIMS = 'paper'
# For all else that speaks of a capability: halfway from chance to perfect, for
# five checkpoints. Accuracy that hovers a little above chance is none yet: a
# seed of modular addition lies at 0.15 to 0.24 for 300 steps before it groks.
RULE_OF_EVENTS = 'halfway'
# The same in words, for titles and captions.
WORDS = {
  'paper': 'above 0.1',
  'chance-corrected': 'above chance + 10% of the rest',
  'halfway': 'above halfway from chance to 1',
  'half': 'above 0.5',
  'log-probability': 'log-probability above that of chance + 10% of the rest',
}


def passed_by_chance(data: xr.Dataset) -> np.ndarray:
  """Bool [K, L]: what the best constant answer has, by the claims' rule."""
  _, threshold = RULES[RULE_OF_CLAIMS]
  return (data.chance.transpose('task', 'level') > threshold(data)).values


def by_rule(data: xr.Dataset, rule: str) -> xr.DataArray:
  """Emergence steps (seed, task, level) by one of `RULES`; nan for never.

  Never means not within the run: such an event is censored at its last step.
  """
  variable, threshold = RULES[rule]
  steps = emergence_step(data[variable], threshold(data))
  return steps.transpose('seed', 'task', 'level')


def emerged_with_error(
  value_C: np.ndarray,
  stderr_C: np.ndarray,
  chance: float,
  *,
  sigmas: float = 2.0,
  stderr_floor: float = 0.005,
  persistence: int = PERSISTENCE,
) -> int | None:
  """Emergence of a published curve, with its standard errors.

  The chance-corrected threshold must lie `sigmas` standard errors below, and
  the last value must still be above it: what a curve passes on its way from
  one prior to another is not a capability.

  Args:
    value_C: accuracies at C checkpoints.
    stderr_C: their standard errors; those below `stderr_floor` (a published 0
      is a rounded one) count as it.
    chance: accuracy of the best constant answer.
    sigmas: how many standard errors.
    stderr_floor: least standard error.
    persistence: consecutive checkpoints.

  Returns:
    Index of the first checkpoint, or None.
  """
  error_C = np.maximum(stderr_C, stderr_floor)
  above_C = value_C - sigmas * error_C > above_chance(chance)
  index = first_sustained(above_C, persistence)
  return index if index is not None and above_C[-1] else None
