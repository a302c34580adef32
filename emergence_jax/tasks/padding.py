"""Computing without most of the padding: rows in groups of similar size.

Rows of one array are padded to its longest text and its largest set. A program
takes one size, so that rows are computed in a few groups, each cut to its own.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from emergence_jax.base.types import Batch, PyTree

# Every further group is a program more to compile; it has to save this part
# of what is computed without it.
_WORTH = 0.25


class Group(NamedTuple):
  """Rows that are computed together.

  Attributes:
    rows: their places along the leading axis, in order.
    length: tokens of their longest text.
    items: of their largest row.
  """

  rows: tuple[int, ...]
  length: int
  items: int = 1

  @property
  def cost(self) -> int:
    """Tokens that are computed, padding included."""
    return len(self.rows) * self.length * self.items

  def cut(self, tree: PyTree) -> PyTree:
    """These rows of arrays [K, ...]; of batches, as long as their texts."""

    def taken(x):
      every = self.rows == tuple(range(len(x)))
      return x if every else x[np.array(self.rows)]

    def trim(x):
      x = jax.tree.map(taken, x)
      if not isinstance(x, Batch):
        return x
      return x._replace(
        tokens=x.tokens[..., : self.length], scored=x.scored[..., : self.length]
      )

    return jax.tree.map(trim, tree, is_leaf=lambda x: isinstance(x, Batch))


def _joined(first: Group, second: Group) -> Group:
  return Group(
    tuple(sorted(first.rows + second.rows)),
    max(first.length, second.length),
    max(first.items, second.items),
  )


def groups(
  length_K: Sequence[int] | np.ndarray,
  count_K: Sequence[int] | np.ndarray | None = None,
) -> list[Group]:
  """Rows in as few groups as are worth their program.

  Groups are joined, the pair that costs least first, until the next would add
  too much.

  >>> [group.rows for group in groups([20, 40, 19, 40, 20])]
  [(0, 2, 4), (1, 3)]
  >>> len(groups([36, 40, 38, 40, 40]))
  1

  Args:
    length_K: tokens of the longest text of each row.
    count_K: items of each row; 1 if absent.
  """
  if count_K is None:
    count_K = np.ones(len(length_K), int)
  alike: dict[tuple[int, int], list[int]] = {}
  for row, size in enumerate(zip(length_K, count_K, strict=True)):
    alike.setdefault((int(size[0]), int(size[1])), []).append(row)
  merged = [Group(tuple(rows), *size) for size, rows in alike.items()]
  while len(merged) > 1:
    now = sum(group.cost for group in merged)
    first, second = min(
      itertools.combinations(merged, 2),
      key=lambda pair: _joined(*pair).cost - pair[0].cost - pair[1].cost,
    )
    new = _joined(first, second)
    more = new.cost - first.cost - second.cost
    if more > _WORTH * (now + more):
      break
    merged = [g for g in merged if g is not first and g is not second] + [new]
  return sorted(merged)


def over(
  fn: Callable[[PyTree, Group], PyTree], tree: PyTree, among: Sequence[Group]
) -> PyTree:
  """`fn` of each group of rows, put together in the order of the rows.

  Args:
    fn: (arrays of a group's rows, the group) → arrays with a leading axis of
      its rows.
    tree: batches and other arrays, leading axis K.
    among: all K rows in groups.

  Returns:
    Arrays [K, ...].
  """
  if len(among) == 1:
    return fn(among[0].cut(tree), among[0])
  parts = [fn(group.cut(tree), group) for group in among]
  order = np.argsort(np.concatenate([group.rows for group in among]))
  return jax.tree.map(lambda *part: jnp.concatenate(part)[order], *parts)
