"""What the tests cost: processor time of each, and a budget for all.

`python -m tests.budget SECONDS` exits with 1 if the default tier, which took so
long, is over its budget on this machine. The tests compile much and compute
little, so the budget is counted in compilations of one program, on all cores at
once, as the tests run. CI calls it; no test asserts a time.
"""

import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator

import pytest

CLOCK = pytest.StashKey[float]()
COMPILATIONS = 600
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


def _compile_again_and_again() -> float:
  """The least seconds in which the program of a step is traced and compiled."""
  import jax
  import jax.numpy as jnp

  from emergence_jax.config import schema
  from tests import small

  jax.config.update('jax_enable_compilation_cache', False)
  objective = schema.from_mapping(small.modadd_config()).objective
  task = objective.exams

  def once(trial: int) -> float:
    def step(seed):
      key = jax.random.key(seed + trial)
      batch = task.train_batch(task.prepare(seed), key)
      return jax.value_and_grad(objective.loss)(objective.init(key), batch)

    began = time.perf_counter()
    jax.jit(step).lower(jnp.int32(0)).compile()
    return time.perf_counter() - began

  return min(once(trial) for trial in range(6))


def compilation() -> float:
  """Seconds of a compilation while every core has one."""
  from tests import small

  code = 'from tests import budget; print(budget._compile_again_and_again())'
  each = [
    subprocess.Popen(
      [sys.executable, '-c', code],
      stdout=subprocess.PIPE,
      env={**os.environ, **small.QUICK},
    )
    for _ in range(os.cpu_count() or 1)
  ]
  return statistics.mean(float(p.communicate()[0]) for p in each)


def main(seconds: float) -> int:
  """Prints the budget of this machine; 1 if it was exceeded."""
  each = compilation()
  print(
    f'tests: {seconds:.0f} s of wall, or {seconds / each:.0f} compilations of '
    f'{each:.2f} s; the budget is {COMPILATIONS}.'
  )
  return int(seconds / each > COMPILATIONS)


if __name__ == '__main__':
  sys.exit(main(float(sys.argv[1])))
