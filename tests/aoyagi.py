"""Learning coefficients of deep linear networks, in closed form."""

from collections.abc import Sequence
from typing import NamedTuple


class LearningCoefficient(NamedTuple):
  """Attributes: coefficient λ, and its multiplicity m."""

  coefficient: float
  multiplicity: int


def deep_linear(widths: Sequence[int], rank: int) -> LearningCoefficient:
  """λ and m of a linear network whose true product has rank `rank`.

  Source: Aoyagi, Neural Networks 172 (2024), main theorem, in the form of
  Lau et al., arXiv:2308.12108, theorem 1.

  >>> deep_linear([5, 3, 5], 0)
  LearningCoefficient(coefficient=6.5, multiplicity=2)

  Args:
    widths: of all layers, input and output included.
    rank: of the true matrix, at most the least width.

  Raises:
    ValueError: for a rank out of range or fewer than two widths.
  """
  if len(widths) < 2:
    raise ValueError(f'widths={list(widths)} must name at least two layers.')
  if not 0 <= rank <= min(widths):
    raise ValueError(f'rank={rank} must be from 0 to {min(widths)}.')
  excess = sorted(w - rank for w in widths)
  # The narrowest layers that limit each other; they are a beginning of the
  # sorted excess widths.
  size = len(excess)
  for used in range(2, len(excess) + 1):
    total, steps = sum(excess[:used]), used - 1
    above = excess[used] if used < len(excess) else float('inf')
    if total >= steps * excess[used - 1] and total < steps * above:
      size = used
      break
  chosen, steps = excess[:size], size - 1
  total = sum(chosen)
  ceiling = -(-total // steps)
  remainder = total - (ceiling - 1) * steps
  # In whole numbers over 4·steps, so that halves and quarters are exact.
  numerator = (
    2 * steps * (rank * (widths[0] + widths[-1]) - rank**2)
    + remainder * (steps - remainder)
    - (steps - 1) * total**2
    + steps * (total**2 - sum(m * m for m in chosen))
  )
  coefficient = numerator / (4 * steps)
  return LearningCoefficient(coefficient, remainder * (steps - remainder) + 1)
