"""How far an early floor predicts the order in which tasks emerge."""

import itertools
from typing import NamedTuple

import numpy as np
from scipy import stats


class Concordance(NamedTuple):
  """Pairs of events that a predictor orders as they emerged.

  Attributes:
    agree: pairs in which the lower predictor emerged first.
    disagree: pairs in which it emerged last.
    ties: pairs with equal predictor or equal emergence, which do not count.
  """

  agree: int
  disagree: int
  ties: int

  @property
  def share(self) -> float:
    """Agreeing share of the pairs that are not tied; nan without any."""
    total = self.agree + self.disagree
    return self.agree / total if total else np.nan

  def __add__(self, other):
    return Concordance(*(a + b for a, b in zip(self, other)))


def spearman(predictor_N: np.ndarray, step_N: np.ndarray) -> float:
  """Rank correlation; events that never emerge come last, tied."""
  step = np.where(np.isnan(step_N), np.inf, step_N)
  known = np.isfinite(predictor_N)
  predictor, step = np.asarray(predictor_N)[known], step[known]
  if len(step) < 3 or np.ptp(predictor) == 0 or np.all(step == step[0]):
    return np.nan
  ranks = stats.rankdata(step)  # infinities are ranked, and tied
  return float(stats.spearmanr(predictor, ranks).statistic)


def pairs(
  predictor_N: np.ndarray,
  step_N: np.ndarray,
  group_N: np.ndarray,
  first: str,
  second: str,
) -> Concordance:
  """Concordance of all pairs between two groups, or within one.

  A pair of which neither emerged is a tie; one that never did is later.

  Args:
    predictor_N: a number an event; nan leaves the event out.
    step_N: emergence steps, nan for never.
    group_N: a group's name for each event.
    first: group of one event of a pair.
    second: group of the other; the same for pairs within.
  """
  agree = disagree = ties = 0
  step = np.where(np.isnan(step_N), np.inf, step_N)
  for i, j in itertools.combinations(range(len(step)), 2):
    if {group_N[i], group_N[j]} != {first, second}:
      continue
    if np.isnan(predictor_N[i]) or np.isnan(predictor_N[j]):
      continue
    lower = np.sign(predictor_N[i] - predictor_N[j])
    earlier = float(step[i] > step[j]) - float(step[i] < step[j])
    if lower == 0 or earlier == 0:
      ties += 1
    elif lower == earlier:
      agree += 1
    else:
      disagree += 1
  return Concordance(agree, disagree, ties)


class Swap(NamedTuple):
  """Attributes: reversals of emergence order between sizes; predicted ones."""

  reversals: int
  predicted: int

  @property
  def share(self) -> float:
    """Predicted share; nan without reversals."""
    return self.predicted / self.reversals if self.reversals else np.nan


def swaps(
  predictor_AN: tuple[np.ndarray, np.ndarray],
  step_AN: tuple[np.ndarray, np.ndarray],
) -> Swap:
  """Pairs whose order of emergence reverses from one size to another.

  A reversal is predicted if the predictor's order reverses with it.
  """
  reversals = predicted = 0
  steps = [np.where(np.isnan(s), np.inf, s) for s in step_AN]
  for i, j in itertools.combinations(range(len(steps[0])), 2):
    order = [float(s[i] > s[j]) - float(s[i] < s[j]) for s in steps]
    if order[0] * order[1] >= 0:
      continue
    reversals += 1
    lower = [np.sign(p[i] - p[j]) for p in predictor_AN]
    predicted += lower[0] == order[0] and lower[1] == order[1]
  return Swap(reversals, int(predicted))
