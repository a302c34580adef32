"""What the tests cost: processor time of each, and a budget in operations.

`python -m tests.budget SECONDS` exits with 1 if the default tier, which took so
long, is over its budget on a machine of this one's matrix rate. CI calls it;
no test asserts a time.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterator

import pytest

CLOCK = pytest.StashKey[float]()
# Ten minutes on two cores that multiply float32 matrices at 300 GFLOP/s.
OPERATIONS = 600 * 300e9
_SHOWN = int(os.environ.get('EMERGENCE_JAX_DEAREST', 10))


def processor_seconds() -> float:
  """Processor time of this process and of the children it has waited for."""
  spent = os.times()
  return spent.user + spent.system + spent.children_user + spent.children_system


def dearest(stats) -> Iterator[str]:
  """Lines for the end of a session: the tests that took most."""
  spent: Counter[str] = Counter()
  for reports in stats.values():
    for report in reports:
      for name, value in getattr(report, 'user_properties', ()):
        if name == 'processor':
          spent[report.nodeid] += value
  if not spent:
    return
  yield f'processor time {spent.total():,.0f} s; the {_SHOWN} dearest tests:'
  for test, seconds in spent.most_common(_SHOWN):
    yield f'{seconds:8.1f} s  {test}'


def matrix_rate() -> float:
  """Operations a second of float32 products on all cores together."""
  from emergence_jax.machine import flops, mesh

  mesh.start(mesh.available_cores())
  import jax

  return max(flops.matrix_rate(jax.devices()).every for _ in range(5))


def main(seconds: float) -> int:
  """Prints the budget of this machine; 1 if it was exceeded."""
  rate = matrix_rate()
  allowed = OPERATIONS / rate
  print(
    f'tests: {seconds:.0f} s of wall at {rate / 1e9:.0f} GFLOP/s; '
    f'the budget here is {allowed:.0f} s.'
  )
  return int(seconds > allowed)


if __name__ == '__main__':
  sys.exit(main(float(sys.argv[1])))
