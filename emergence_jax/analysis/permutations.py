"""Permutations of what is exchangeable: within groups, all of them or drawn."""

import itertools
import math
from collections.abc import Sequence

import numpy as np

# As many are tried, also where fewer would be drawn.
_ALL = 1024
# Of more rows there are too many, whatever their groups.
_MOST_ROWS = 12


def are_all(count: int, draws: int) -> bool:
  """Whether all of `count` arrangements are tried."""
  return count <= max(draws, _ALL)


def members(group_N: Sequence, count: int) -> list[np.ndarray]:
  """Indices of each group; of all, if there are no groups."""
  if not len(group_N):
    return [np.arange(count)]
  names_N = np.asarray(group_N)
  return [np.flatnonzero(names_N == name) for name in np.unique(names_N)]


def signs(
  count: int, draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, bool]:
  """Signs [D, N] of so many entries, and whether these are all.

  Args:
    count: entries.
    draws: how many are drawn where they are not all tried.
    rng: of these.
  """
  if are_all(2**count, draws):
    return np.array(list(itertools.product((1, -1), repeat=count))), True
  return rng.choice((1, -1), (draws, count)), False


def share(null_D: np.ndarray, observed: float, exact: bool) -> float:
  """p-value: share of arrangements that are as large."""
  as_large = int((null_D >= observed - 1e-9).sum())
  size = null_D.size
  return as_large / size if exact else (1 + as_large) / (1 + size)


def within(
  groups: Sequence[np.ndarray], draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, bool]:
  """Permutations [D, N] within groups, and whether these are all.

  >>> within([np.array([0, 1]), np.array([2])], 10, np.random.default_rng(0))
  (array([[0, 1, 2],
         [1, 0, 2]]), True)

  Args:
    groups: of `members`.
    draws: how many are drawn where they are not all tried.
    rng: of these.
  """
  size = sum(map(len, groups))
  count = math.prod(math.factorial(len(inside)) for inside in groups)
  if size < _MOST_ROWS and are_all(count, draws):
    order_DN = np.empty((count, size), int)
    each = (itertools.permutations(inside) for inside in groups)
    for order_N, parts in zip(order_DN, itertools.product(*each)):
      for inside, part in zip(groups, parts):
        order_N[inside] = part
    return order_DN, True
  order_DN = np.empty((draws, size), int)
  random_DN = rng.random((draws, size))
  for inside in groups:
    order_DN[:, inside] = inside[np.argsort(random_DN[:, inside], 1)]
  return order_DN, False
