"""What moves first: order, and whether geometry and behaviour are tied.

Measure and behaviour are treated alike, so that neither is favoured: of each
series the onset, the midpoint and the end of its largest change are found, and
an event (seed, task, level) has the measure *first*, *after*, or *together*
with behaviour, or it *depends* on what is called the change (`events`).

Nearly everything moves early in training, so that coming first says little by
itself. Three questions are asked, none of which supposes that a series is
stationary:

- order: is the measure first rather than after?
- tie over seeds: does a seed's own geometry go with its own behaviour, rather
  than with another seed's?
- tie over tasks: the same for tasks.

Seeds and tasks trade places within their groups alone: an easy task does not
with a hard one, nor a seed with one of another run. Every checkpoint counts
alike in finding a change, so that a schedule that is dense early looks closely
early; the steps between checkpoints matter for the mean lead alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from emergence_jax.analysis import events as events_lib
from emergence_jax.analysis import permutations, statistics, transitions
from emergence_jax.analysis.events import Events
from emergence_jax.analysis.statistics import holm

# Random flips and permutations where there are too many to try them all.
DRAWS = 1000
# A significance level, of the verdicts.
MAX_P = 0.05


class Tests(NamedTuple):
  """A measure against behaviour; all scalars.

  Attributes:
    first: number of events with the measure first.
    together: with neither first.
    after: with behaviour first.
    depends: of which it depends on what is called the change.
    unclear: of which one of the two has no change that stands out; the five
      add up to the events that emerged.
    lead: mean lead of the other four, in steps from midpoint to midpoint; nan
      without any.
    lead_low: lower end of its 95% interval over seeds; nan for one seed.
    lead_high: upper end.
    lead_onset: mean lead from onset to onset.
    lead_end: mean lead from end to end.
    p_order: p-value of "first rather than after"; nan where there is one seed.
    p_seeds: p-value of the tie over seeds; nan where there is one seed.
    p_tasks: p-value of the tie over tasks; nan where there is one task.
    least_p_order: the smallest that these seeds and tasks could give.
    least_p_seeds: likewise.
    least_p_tasks: likewise.
  """

  first: int
  together: int
  after: int
  depends: int
  unclear: int
  lead: float
  lead_low: float
  lead_high: float
  lead_onset: float
  lead_end: float
  p_order: float
  p_seeds: float
  p_tasks: float
  least_p_order: float
  least_p_seeds: float
  least_p_tasks: float

  @property
  def events(self) -> int:
    """Number of events that emerged."""
    known = self.first + self.together + self.after + self.depends
    return known + self.unclear


def _flip(total_N: np.ndarray, draws: int, rng) -> float:
  """p-value of a positive sum when whole entries change their sign.

  Entries of 0 have no part in it.
  """
  total = total_N[total_N != 0]
  if not total.size:
    return 1.0
  signs_DN, exact = permutations.signs(total.size, draws, rng)
  return permutations.share(signs_DN @ total, total.sum(), exact)


def _least_flip(known: int, draws: int) -> float:
  """The smallest p-value that so many entries could give."""
  exact = permutations.are_all(2**known, draws)
  return 0.5**known if exact else 1 / (1 + draws)


def _order(
  sign_SKL: np.ndarray, known_SKL: np.ndarray, draws: int, rng
) -> tuple[float, float]:
  """p-value of "first rather than after", and the smallest possible.

  By flipping the signs of whole seeds and of whole tasks: the larger counts,
  since the events of a seed are not independent, nor are those of a task. Of
  one task alone, it is about that task, by seeds alone.
  """
  seeds, tasks = sign_SKL.shape[:2]
  if seeds < 2:
    return np.nan, np.nan
  axes = [(1, 2)] if tasks == 1 else [(1, 2), (0, 2)]
  return (
    max(_flip(sign_SKL.sum(axis), draws, rng) for axis in axes),
    max(_least_flip(known_SKL.any(axis).sum(), draws) for axis in axes),
  )


def _ranks(x: np.ndarray, members: Sequence[np.ndarray]) -> np.ndarray:
  """Ranks along the first axis within groups, norm 1; 0 where x is nan."""
  centred = np.zeros(x.shape)
  for inside in members:
    known = np.isfinite(x[inside])
    ranks = stats.rankdata(np.where(known, x[inside], np.inf), axis=0)
    middle = (known.sum(0) + 1) / 2
    centred[inside] = np.where(known, ranks - middle, 0)
  norm = np.sqrt((centred**2).sum(0))
  return np.divide(centred, norm, out=np.zeros_like(centred), where=norm > 1e-9)


def _tie(
  measure_NM: np.ndarray,
  behaviour_NML: np.ndarray,
  group_N: Sequence,
  draws: int,
  rng,
) -> tuple[float, float]:
  """p-value of a tie over the first axis, and the smallest possible.

  Two-sided, since it is not known beforehand in which direction the two go
  together; but only a positive tie, early with early, can be significant.
  Rank correlation over the first axis, summed over the others, beside its
  values with the rows of the measure permuted: whole rows, since what stands
  in one row may share its noise, and within groups, since rows of different
  groups differ in what they have in common.

  Args:
    measure_NM: places of change, nan where unknown.
    behaviour_NML: the same of behaviour.
    group_N: group of each row; all are one if empty.
    draws: permutations, where they are too many to try them all.
    rng: of the permutations.
  """
  count = len(measure_NM)
  if count < 2:
    return np.nan, np.nan
  members = permutations.members(group_N, count)
  x_NM, y_NML = _ranks(measure_NM, members), _ranks(behaviour_NML, members)
  # Entry (i, j): behaviour of row i with the measure of row j.
  pair_NN = np.einsum('iml,jm->ij', y_NML, x_NM)
  order, exact = permutations.within(members, draws, rng)
  null_D = pair_NN[np.arange(count), order].sum(1)
  least = 2 / len(order) if exact else 2 / (1 + draws)
  p_value = 2 * permutations.share(null_D, np.trace(pair_NN), exact)
  return min(p_value, 1.0), min(least, 1.0)


def seed_means(x_SKL: np.ndarray) -> np.ndarray:
  """Mean of each seed over what is known; nan where nothing is."""
  known = np.isfinite(x_SKL).sum((1, 2))
  mean_S = np.full(len(x_SKL), np.nan)
  return np.divide(np.nansum(x_SKL, (1, 2)), known, out=mean_S, where=known > 0)


def test_events(events: Events, *, draws: int = DRAWS, seed: int = 0) -> Tests:
  """The tests of `tests`, of changes that were found before."""
  sign_SKL = events.sign_SKL
  first, after = int((sign_SKL > 0).sum()), int((sign_SKL < 0).sum())
  known, emerged = int(events.known_SKL.sum()), int(events.emerged_SKL.sum())
  depends = int(events.depends_SKL.sum())
  onset, mean, end = (
    statistics.mean_interval(seed_means(lead)) for lead in events.lead_3SKL
  )
  behaviour_SKL = np.where(events.emerged_SKL, events.behaviour_SKL, np.nan)
  rng = np.random.default_rng(seed)
  order = _order(sign_SKL, events.known_SKL, draws, rng)
  seeds = _tie(
    events.measure_SK, behaviour_SKL, events.seed_group_S, draws, rng
  )
  tasks = _tie(
    events.measure_SK.T, behaviour_SKL.swapaxes(0, 1), events.task_group_K,
    draws, rng,
  )  # fmt: skip
  return Tests(
    first, known - first - after - depends, after, depends, emerged - known,
    mean.value, mean.low, mean.high, onset.value, end.value,
    order[0], seeds[0], tasks[0], order[1], seeds[1], tasks[1],
  )  # fmt: skip


def by_definition(events: Events, *, draws: int = DRAWS) -> list[float]:
  """p-values of "it precedes" by the onset, the midpoint or the end alone."""
  return [
    p_precedes(test_events(events.by(i), draws=draws))
    for i in range(len(transitions.NAMES))
  ]


# They are no tests of the project, as which pytest would collect them.
test_events.__test__ = False  # type: ignore[attr-defined]
Tests.__test__ = False  # type: ignore[attr-defined]


def tests(
  measure_SKC: np.ndarray,
  behaviour_SKLC: np.ndarray,
  step_C: np.ndarray,
  emerged_SKL: np.ndarray,
  *,
  seed_group_S: Sequence = (),
  task_group_K: Sequence = (),
  draws: int = DRAWS,
  seed: int = 0,
) -> Tests:
  """Does a measure move before behaviour, and do the two belong together?

  Suppose: seeds of a group are exchangeable, and, for the tie over tasks,
  tasks of a group too. Nothing is supposed of the course of a series. All
  permutations and flips are tried where there are at most 1,024 (or `draws`)
  of them.

  >>> step = np.arange(40) * 10
  >>> moved = step >= np.array([100, 150, 200, 250, 300])[:, None, None]
  >>> later = step >= np.array([120, 170, 220, 270, 320])[:, None, None, None]
  >>> found = tests(moved, later, step, np.ones((5, 1, 1), bool))
  >>> found.first, found.lead, found.p_order, round(found.p_seeds, 4)
  (5, 20.0, 0.03125, 0.0167)

  Args:
    measure_SKC: a measure of S seeds and K tasks at C checkpoints; nan where
      it was not measured.
    behaviour_SKLC: accuracy of L levels at the same checkpoints.
    step_C: steps of the checkpoints, increasing.
    emerged_SKL: which capabilities emerged; only these are events.
    seed_group_S: group of each seed, where not all are exchangeable.
    task_group_K: the same of tasks.
    draws: random flips and permutations, where they are not all tried.
    seed: of these.

  Raises:
    ValueError: if shapes do not fit.
  """
  events = events_lib.find(measure_SKC, behaviour_SKLC, step_C, emerged_SKL)
  events = events.among(seed_group_S, task_group_K)
  return test_events(events, draws=draws, seed=seed)


tests.__test__ = False  # type: ignore[attr-defined]


def p_precedes(result: Tests) -> float:
  """p-value of "the measure precedes": order, and at least one tie.

  The larger of that of order and that of both ties together (the smaller one,
  times their number); nan where one of the two parts is not possible.
  """
  ties = [p for p in (result.p_seeds, result.p_tasks) if np.isfinite(p)]
  if not ties or np.isnan(result.p_order):
    return np.nan
  return max(result.p_order, min(1.0, min(ties) * len(ties)))


def least_p(result: Tests) -> float:
  """The smallest `p_precedes` that these seeds and tasks could give."""
  return p_precedes(
    result._replace(
      p_order=result.least_p_order, p_seeds=result.least_p_seeds,
      p_tasks=result.least_p_tasks,
    )
  )  # fmt: skip


VERDICTS = ('precedes', 'depends', 'not shown', 'undecided')


def verdicts(
  results: Sequence[Tests], precedes_by: Sequence[str] = ()
) -> list[str]:
  """A word of `VERDICTS` for each measure of a run, after Holm.

  It depends where a measure is not first in onset and midpoint, but would
  precede by one of the three alone. Undecided is a measure whose smallest
  possible p-value, after the same correction, is not below 0.05: there are
  too few seeds or tasks.

  Args:
    results: of measures that are tested together.
    precedes_by: of `preceding_by`, for each of them; nothing depends if empty.
  """
  adjusted = holm([p_precedes(result) for result in results])
  precedes_by = precedes_by or [''] * len(results)
  words = []
  for i, p in enumerate(adjusted):
    at_best = [p_precedes(result) for result in results]
    at_best[i] = least_p(results[i])
    if p < MAX_P:
      words.append('precedes')
    elif precedes_by[i]:
      words.append('depends')
    elif holm(at_best)[i] < MAX_P:
      words.append('not shown')
    else:
      words.append('undecided')
  return words


def preceding_by(p_alone_N3: Sequence[Sequence[float]]) -> list[str]:
  """By which of onset, midpoint and end each measure precedes, after Holm.

  Args:
    p_alone_N3: of `by_definition`, of measures that are tested together.
  """
  adjusted_3N = [holm(p_N) for p_N in zip(*p_alone_N3)]
  return [
    ', '.join(name for name, p in zip(transitions.NAMES, p_3) if p < MAX_P)
    for p_3 in zip(*adjusted_3N)
  ]
