"""`bench arms`: arms of a run beside as many seeds of a run without arms.

Eight arms of S seeds and 8·S seeds are as many networks. Both programs train in
turn, in one process; the least of several times counts.
"""

import itertools
import time

from experiments.bench.formatting import Table

_ARMS = 'optimizer.rate=1e-3,2e-3,4e-3,8e-3;optimizer.weight_decay=0.5,1'
_STEPS, _TURNS = 40, 5
_PUSHES = '-0.03,0.003,0.01'
# Name → the arms, and what acts within the steps that are timed.
_KINDS = {
  'numbers': {'arms': {'grid': _ARMS}},
  'rank, sham and placebo': {'interventions': {'rank': {'strengths': _PUSHES}}},
  'the same, behind their window': {
    'interventions': {'rank': {'strengths': _PUSHES, 'stop': 1}}
  },
}  # fmt: skip


def _programs(raw, *, together: bool):
  """Compiled training of a configuration, and its population.

  Args:
    raw: the configuration.
    together: whether all networks of a device are trained at once, as on a GPU.
  """
  from emergence_jax.config import schema
  from emergence_jax.running.programs import Programs

  config = schema.from_mapping({**raw, 'measures': {}})
  if together:
    seeds = {**raw['seeds'], 'at_once': config.members}
    config = schema.from_mapping({**raw, 'measures': {}, 'seeds': seeds})
  programs = Programs(config)
  programs.compile()
  return programs, programs.init(), config.members


def _seconds(programs, population):
  """Seconds of a segment, and the population behind it."""
  import jax

  began = time.monotonic()
  population, history = programs.segment(population, _STEPS)
  jax.block_until_ready((population, history))
  return time.monotonic() - began, population


def run(folder: str | None, seeds: int, *, with_peers: bool) -> list[Table]:
  """Times both for the same number of networks."""
  del folder, with_peers
  from emergence_jax.cli import config_flag

  rows = []
  for (name, groups), together in itertools.product(
    _KINDS.items(), [False, True]
  ):
    raw = config_flag.load('modadd')
    raw['seeds']['count'] = seeds
    armed, one, members = _programs({**raw, **groups}, together=together)
    raw['seeds']['count'] = members
    plain, other, _ = _programs(raw, together=together)
    times = []
    for _ in range(_TURNS):
      first, one = _seconds(armed, one)
      second, other = _seconds(plain, other)
      times.append((first, second))
    best = [min(column) for column in zip(*times, strict=True)]
    rate = [members * _STEPS / seconds for seconds in best]
    how = 'together' if together else 'as on this machine'
    rows.append([name, how, members, *rate, best[0] / best[1]])
  return [
    Table(
      'arms beside as many seeds (modadd mod 31)',
      ['arms', 'mapped', 'networks', 'arms, seed-steps/s',
       'seeds, seed-steps/s', 'time, arms over seeds'],
      rows,
    )
  ]  # fmt: skip
