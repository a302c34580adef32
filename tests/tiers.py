"""Which cases of a test run in the default tier, and which nightly."""

from collections.abc import Iterable

import pytest


def some(cases: Iterable, *kept: int) -> list:
  """Cases for `parametrize`, all but a few of them marked nightly.

  Args:
    cases: values, or tuples of them where there are several arguments.
    kept: places of those that the default tier runs; the first if empty.
  """
  marked = []
  for place, case in enumerate(cases):
    values = case if isinstance(case, tuple) else (case,)
    nightly = () if place in (kept or (0,)) else pytest.mark.nightly
    marked.append(pytest.param(*values, marks=nightly))
  return marked
