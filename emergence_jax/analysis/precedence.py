"""What moves first: order, and whether geometry and behaviour are tied.

Each series is reduced to one step, that of its largest change (`changes`).
Measure and behaviour are treated alike, so that neither is favoured. An event
(seed, task, level) has the measure *first* if its change lies at an earlier
checkpoint, *together* at the same one, *after* at a later one, and is *unclear*
where one of the two has no change that stands out.

Nearly everything moves early in training, so that coming first says little by
itself. Three questions are asked, none of which supposes that a series is
stationary:

- order: is the measure first rather than after?
- tie over seeds: does a seed's own geometry go with its own behaviour, rather
  than with another seed's?
- tie over tasks: the same for tasks.

A positive lead means that behaviour follows the measure. Every checkpoint
counts alike in finding a change, so that a schedule that is dense early looks
closely early; the steps between checkpoints matter for the mean lead alone.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from emergence_jax.analysis import statistics
from emergence_jax.analysis.changes import LEAST, changes
from emergence_jax.analysis.statistics import holm

# Random flips and permutations where there are too many to try them all.
DRAWS = 1000
# A significance level, of the verdicts.
MAX_P = 0.05


class Tests(NamedTuple):
  """A measure against behaviour; all scalars.

  Attributes:
    first: number of events with the measure first.
    together: at the same checkpoint.
    after: with behaviour first.
    unclear: of which that cannot be said; the four add up to the events that
      emerged.
    lead: mean lead of the other three, in steps; nan without any.
    lead_low: lower end of its 95% interval over seeds; nan for one seed.
    lead_high: upper end.
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
  unclear: int
  lead: float
  lead_low: float
  lead_high: float
  p_order: float
  p_seeds: float
  p_tasks: float
  least_p_order: float
  least_p_seeds: float
  least_p_tasks: float

  @property
  def events(self) -> int:
    """Number of events that emerged."""
    return self.first + self.together + self.after + self.unclear


def _exact_or_drawn(count: int, draws: int) -> bool:
  """Whether all of `count` arrangements are tried."""
  return count <= max(draws, 1024)


def _share(null_D: np.ndarray, observed: float, exact: bool) -> float:
  """p-value: share of arrangements that are as large."""
  as_large = int((null_D >= observed - 1e-9).sum())
  size = null_D.size
  return as_large / size if exact else (1 + as_large) / (1 + size)


def _flip(total_N: np.ndarray, draws: int, rng) -> tuple[float, float]:
  """p-value of a positive sum when whole entries change their sign.

  Also the smallest p-value that is possible. Entries of 0 have no part in it.
  """
  total = total_N[total_N != 0]
  if not total.size:
    return 1.0, 1.0
  exact = _exact_or_drawn(2**total.size, draws)
  if exact:
    signs = np.array(list(itertools.product((1, -1), repeat=total.size)))
  else:
    signs = rng.choice((1, -1), (draws, total.size))
  least = 1 / len(signs) if exact else 1 / (1 + draws)
  return _share(signs @ total, total.sum(), exact), least


def _order(sign_SKL: np.ndarray, draws: int, rng) -> tuple[float, float]:
  """p-value of "first rather than after", and the smallest possible.

  By flipping the signs of whole seeds and of whole tasks: the larger counts,
  since the events of a seed are not independent, nor are those of a task. Of
  one task alone, it is about that task, by seeds alone.
  """
  seeds, tasks = sign_SKL.shape[:2]
  if seeds < 2:
    return np.nan, np.nan
  p_values = [_flip(sign_SKL.sum((1, 2)), draws, rng)]
  if tasks > 1:
    p_values.append(_flip(sign_SKL.sum((0, 2)), draws, rng))
  return max(p for p, _ in p_values), max(least for _, least in p_values)


def _ranks(x: np.ndarray) -> np.ndarray:
  """Ranks along the first axis, mean 0 and norm 1; 0 where x is nan."""
  known = np.isfinite(x)
  ranks = stats.rankdata(np.where(known, x, np.inf), axis=0)
  count = known.sum(0)
  centred = np.where(known, ranks - (count + 1) / 2, 0)
  norm = np.sqrt((centred**2).sum(0))
  return np.divide(centred, norm, out=np.zeros_like(centred), where=norm > 1e-9)


def _tie(
  measure_NM: np.ndarray, behaviour_NML: np.ndarray, draws: int, rng
) -> tuple[float, float]:
  """p-value of a tie over the first axis, and the smallest possible.

  Two-sided, since it is not known beforehand in which direction the two go
  together; but only a positive tie, early with early, can be significant.
  Rank correlation over the first axis, summed over the others, beside its
  values with the rows of the measure permuted: whole rows, since what stands
  in one row may share its noise.

  Args:
    measure_NM: steps of change, nan where unknown.
    behaviour_NML: the same of behaviour.
    draws: permutations, where they are too many to try them all.
    rng: of the permutations.
  """
  count = len(measure_NM)
  if count < 2:
    return np.nan, np.nan
  x_NM, y_NML = _ranks(measure_NM), _ranks(behaviour_NML)
  # Entry (i, j): behaviour of row i with the measure of row j.
  pair_NN = np.einsum('iml,jm->ij', y_NML, x_NM)
  exact = count < 12 and _exact_or_drawn(math.factorial(count), draws)
  if exact:
    order = np.array(list(itertools.permutations(range(count))))
  else:
    order = np.argsort(rng.random((draws, count)), 1)
  null_D = pair_NN[np.arange(count), order].sum(1)
  least = 2 / len(order) if exact else 2 / (1 + draws)
  p_value = 2 * _share(null_D, np.trace(pair_NN), exact)
  return min(p_value, 1.0), min(least, 1.0)


class Events(NamedTuple):
  """Where measure and behaviour change, as places among the checkpoints.

  Attributes:
    step_C: steps of the checkpoints at which both were measured.
    measure_SK: place of the measure's change; nan where there is none that
      stands out.
    behaviour_SKL: the same of behaviour.
    emerged_SKL: bool, the events that count.
  """

  step_C: np.ndarray
  measure_SK: np.ndarray
  behaviour_SKL: np.ndarray
  emerged_SKL: np.ndarray

  @property
  def known_SKL(self) -> np.ndarray:
    """Events that emerged, with a clear change of both."""
    known = np.isfinite(self.measure_SK[..., None])
    return self.emerged_SKL & known & np.isfinite(self.behaviour_SKL)

  @property
  def places_SKL(self) -> np.ndarray:
    """Checkpoints by which behaviour follows; nan where that is unclear."""
    later = self.behaviour_SKL - self.measure_SK[..., None]
    return np.where(self.known_SKL, later, np.nan)

  @property
  def lead_SKL(self) -> np.ndarray:
    """The same in steps."""

    def steps(place):
      return self.step_C[np.nan_to_num(place).astype(int)]

    later = steps(self.behaviour_SKL) - steps(self.measure_SK[..., None])
    return np.where(self.known_SKL, later, np.nan)

  def of_tasks(self, inside_K: np.ndarray) -> 'Events':
    """The same of some tasks alone."""
    return self._replace(
      measure_SK=self.measure_SK[:, inside_K],
      behaviour_SKL=self.behaviour_SKL[:, inside_K],
      emerged_SKL=self.emerged_SKL[:, inside_K],
    )


def seed_means(x_SKL: np.ndarray) -> np.ndarray:
  """Mean of each seed over what is known; nan where nothing is."""
  known = np.isfinite(x_SKL).sum((1, 2))
  mean_S = np.full(len(x_SKL), np.nan)
  return np.divide(np.nansum(x_SKL, (1, 2)), known, out=mean_S, where=known > 0)


def test_events(events: Events, *, draws: int = DRAWS, seed: int = 0) -> Tests:
  """The tests of `tests`, of changes that were found before."""
  sign_SKL = np.nan_to_num(np.sign(events.places_SKL))
  first, after = int((sign_SKL > 0).sum()), int((sign_SKL < 0).sum())
  known, emerged = int(events.known_SKL.sum()), int(events.emerged_SKL.sum())
  mean = statistics.mean_interval(seed_means(events.lead_SKL))
  behaviour_SKL = np.where(events.emerged_SKL, events.behaviour_SKL, np.nan)
  rng = np.random.default_rng(seed)
  order = _order(sign_SKL, draws, rng)
  seeds = _tie(events.measure_SK, behaviour_SKL, draws, rng)
  tasks = _tie(events.measure_SK.T, behaviour_SKL.swapaxes(0, 1), draws, rng)
  return Tests(
    first, known - first - after, after, emerged - known, mean.value, mean.low,
    mean.high, order[0], seeds[0], tasks[0], order[1], seeds[1], tasks[1],
  )  # fmt: skip


# They are no tests of the project, as which pytest would collect them.
test_events.__test__ = False  # type: ignore[attr-defined]
Tests.__test__ = False  # type: ignore[attr-defined]


def find_events(
  measure_SKC: np.ndarray,
  behaviour_SKLC: np.ndarray,
  step_C: np.ndarray,
  emerged_SKL: np.ndarray,
) -> Events:
  """Changes of a measure and of behaviour; arguments as of `tests`."""
  measure_SKC = np.asarray(measure_SKC, float)
  behaviour_SKLC = np.asarray(behaviour_SKLC, float)
  step_C, emerged_SKL = np.asarray(step_C), np.asarray(emerged_SKL, bool)
  seeds, tasks, count = measure_SKC.shape
  wanted = (seeds, tasks, emerged_SKL.shape[-1], count)
  if (
    behaviour_SKLC.shape != wanted
    or emerged_SKL.shape != wanted[:3]
    or step_C.shape != (count,)
  ):
    raise ValueError(
      f'a measure [S, K, C] = {measure_SKC.shape} takes behaviour [S, K, L, C]'
      f', got {behaviour_SKLC.shape}; steps [C], got {step_C.shape}; and '
      f'emerged [S, K, L], got {emerged_SKL.shape}.'
    )
  # Both are looked at where both were measured.
  known_C = np.isfinite(measure_SKC).any((0, 1))
  known_C &= np.isfinite(behaviour_SKLC).any((0, 1, 2))
  places = []
  for series in (measure_SKC[..., known_C], behaviour_SKLC[..., known_C]):
    if known_C.sum() < LEAST:
      places.append(np.full(series.shape[:-1], np.nan))
      continue
    result = changes(series)
    places.append(np.where(result.is_clear, result.index, np.nan))
  measure_SK, behaviour_SKL = places
  return Events(step_C[known_C], measure_SK, behaviour_SKL, emerged_SKL)


def tests(
  measure_SKC: np.ndarray,
  behaviour_SKLC: np.ndarray,
  step_C: np.ndarray,
  emerged_SKL: np.ndarray,
  *,
  draws: int = DRAWS,
  seed: int = 0,
) -> Tests:
  """Does a measure move before behaviour, and do the two belong together?

  Suppose: seeds are exchangeable, and, for the tie over tasks, tasks too.
  Nothing is supposed of the course of a series. All permutations and flips
  are tried where there are at most 1,024 (or `draws`) of them.

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
    draws: random flips and permutations, where they are not all tried.
    seed: of these.

  Raises:
    ValueError: if shapes do not fit.
  """
  events = find_events(measure_SKC, behaviour_SKLC, step_C, emerged_SKL)
  return test_events(events, draws=draws, seed=seed)


tests.__test__ = False  # type: ignore[attr-defined]


def events_of_times(
  times_SK: np.ndarray, emergence_SKL: np.ndarray, step_C: np.ndarray
) -> Events:
  """`Events` of a step in the geometry against the steps of emergence.

  Args:
    times_SK: step of the event in the geometry; nan without one (unclear).
    emergence_SKL: step of emergence; nan for never (no event).
    step_C: steps of the checkpoints.
  """
  step_C = np.asarray(step_C)

  def place(steps):
    known = np.isfinite(steps)
    index = np.searchsorted(step_C, np.where(known, steps, step_C[0]))
    return np.where(known, index, np.nan)

  return Events(
    step_C, place(times_SK), place(emergence_SKL), np.isfinite(emergence_SKL)
  )


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


VERDICTS = ('precedes', 'not shown', 'undecided')


def verdicts(results: Sequence[Tests]) -> list[str]:
  """A word of `VERDICTS` for each measure of a run, after Holm.

  Undecided is a measure whose smallest possible p-value, after the same
  correction, is not below 0.05: there are too few seeds or tasks.
  """
  adjusted = holm([p_precedes(result) for result in results])
  words = []
  for i, p in enumerate(adjusted):
    if p < MAX_P:
      words.append('precedes')
      continue
    at_best = [p_precedes(result) for result in results]
    at_best[i] = least_p(results[i])
    possible = holm(at_best)[i] < MAX_P
    words.append('not shown' if possible else 'undecided')
  return words
