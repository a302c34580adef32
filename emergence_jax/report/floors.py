"""Floors of RankMe across runs, beside those of the study."""

import numpy as np

from emergence_jax.analysis import published, tables
from emergence_jax.analysis.reference import FLOOR
from emergence_jax.analysis.runs import Run, Runs
from emergence_jax.report import style


def figure(runs: Runs):
  """Floors of RankMe across runs, the paper's beside them."""
  made, axis = style.subplots(figsize=(7.5, 4), layout='constrained')
  tasks = list(dict.fromkeys(t for run in runs.values() for t in run.tasks))
  colours = style.task_colours(len(tasks))
  for j, run in enumerate(runs.values()):
    floor_SxK = tables.floors_of(run.data)
    for i, (task, colour) in enumerate(zip(tasks, colours)):
      if task in run.tasks:
        x = j + (i - len(tasks) / 2) * 0.06
        _floor(axis, run, task, floor_SxK[:, run.tasks.index(task)], x, colour)
  for task, colour in zip(tasks, colours):
    axis.plot([], [], 'o', color=colour, ms=4, label=style.short(task, 20))
  if any(_paper_floors(run) for run in runs.values()):
    axis.plot([], [], 'kx', ms=9, mew=2, label='the paper')
  axis.set_xticks(range(len(runs)), [style.short(n, 20) for n in runs])
  axis.set_xlim(-0.5, len(runs) - 0.5)
  axis.set_ylabel('floor of RankMe, last layer (dimensions)')
  made.legend(loc='outside right upper', fontsize=9)
  axis.set_title('Floors across sizes; a dot is a seed', fontsize=10)
  return made


def _paper_floors(run: Run) -> dict[str, float]:
  """Task → the paper's floor at the size of a run, if it has one."""
  numbers = published.numbers_of(run)
  return {n.task: n.value for n in numbers if n.quantity == FLOOR}


def _floor(axis, run: Run, task: str, values_S, x: float, colour) -> None:
  """A dot for each seed, and a cross for the paper."""
  axis.plot(
    np.full(values_S.size, x), values_S, 'o', color=colour, ms=4, alpha=0.6
  )
  theirs = _paper_floors(run).get(task)
  if theirs is not None:
    axis.plot(x, theirs, 'x', color=colour, ms=9, mew=2)
