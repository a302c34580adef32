"""When a capability emerges."""

import numpy as np
import xarray as xr

PERSISTENCE = 5


def above_chance(chance: np.ndarray, margin: float = 0.1) -> np.ndarray:
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
  steps = accuracy.step.values

  def one(above_C):
    index = first_sustained(above_C, persistence)
    return np.nan if index is None else float(steps[index])

  return xr.apply_ufunc(
    one, above, input_core_dims=[['step']], vectorize=True,
    output_dtypes=[float],
  )  # fmt: skip
