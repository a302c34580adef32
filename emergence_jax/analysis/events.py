"""Where a measure and behaviour change, and which of the two is first.

Three things are called the time of a change: its onset, its midpoint and its
end (`transitions`). A measure is *first* if both its onset and its midpoint lie
before behaviour's, each by `MARGIN` checkpoints and by more than the errors of
both places allow; *after* if behaviour is so; *together* if none of the three
is so far from behaviour's; and otherwise it *depends* on what is called the
change. A positive lead means that behaviour follows the measure.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from emergence_jax.analysis import transitions
from emergence_jax.analysis.changes import LEAST
from emergence_jax.analysis.transitions import MIDPOINT, ONSET

# Checkpoints below which nothing is first. Midpoints of different shapes of a
# change agree to one.
MARGIN = 2.0
# Standard errors of the difference beyond which it is apart; the tests add up
# over seeds, so that one is enough of each event.
_ERRORS = 1.0


class Events(NamedTuple):
  """Changes of a measure and of behaviour, as places among the checkpoints.

  Attributes:
    step_C: steps of the checkpoints at which both were measured.
    measure_3SK: onset, midpoint and end of the measure's change; nan where
      none stands out.
    measure_error_3SK: their standard errors, in checkpoints.
    behaviour_3SKL: the same of behaviour.
    behaviour_error_3SKL: likewise.
    emerged_SKL: bool, the events that count.
    seed_group_S: seeds of a group are exchangeable; all of them if empty.
    task_group_K: the same of tasks.
  """

  step_C: np.ndarray
  measure_3SK: np.ndarray
  measure_error_3SK: np.ndarray
  behaviour_3SKL: np.ndarray
  behaviour_error_3SKL: np.ndarray
  emerged_SKL: np.ndarray
  seed_group_S: Sequence = ()
  task_group_K: Sequence = ()

  @property
  def measure_SK(self) -> np.ndarray:
    """Midpoints of the measure."""
    return self.measure_3SK[MIDPOINT]

  @property
  def behaviour_SKL(self) -> np.ndarray:
    """Midpoints of behaviour; also of what does not count."""
    return self.behaviour_3SKL[MIDPOINT]

  @property
  def known_SKL(self) -> np.ndarray:
    """Events that emerged, with a clear change of both."""
    known = np.isfinite(self.measure_SK[..., None])
    return self.emerged_SKL & known & np.isfinite(self.behaviour_SKL)

  @property
  def places_3SKL(self) -> np.ndarray:
    """Checkpoints by which behaviour follows; nan where that is unclear."""
    later = self.behaviour_3SKL - self.measure_3SK[..., None]
    return np.where(self.known_SKL, later, np.nan)

  @property
  def lead_3SKL(self) -> np.ndarray:
    """The same in steps."""
    later = self.steps(self.behaviour_3SKL) - self.steps(
      self.measure_3SK[..., None]
    )
    return np.where(self.known_SKL, later, np.nan)

  @property
  def lead_SKL(self) -> np.ndarray:
    """Steps from midpoint to midpoint."""
    return self.lead_3SKL[MIDPOINT]

  @property
  def order_3SKL(self) -> np.ndarray:
    """By each of the three: 1 the measure is first, −1 behaviour, 0 neither."""
    error = np.hypot(
      self.measure_error_3SK[..., None], self.behaviour_error_3SKL
    )
    places = np.nan_to_num(self.places_3SKL)
    apart = np.abs(places) >= np.maximum(MARGIN, _ERRORS * np.nan_to_num(error))
    return np.sign(places).astype(int) * apart

  @property
  def sign_SKL(self) -> np.ndarray:
    """1 the measure is first, −1 after, 0 neither or unclear."""
    onset, midpoint = self.order_3SKL[ONSET], self.order_3SKL[MIDPOINT]
    return np.where(onset == midpoint, midpoint, 0)

  @property
  def depends_SKL(self) -> np.ndarray:
    """Bool: some of the three lie apart, but neither is first."""
    return (self.order_3SKL != 0).any(0) & (self.sign_SKL == 0)

  @property
  def words_SKL(self) -> np.ndarray:
    """The order of each event that emerged, in a word; empty for others."""
    return np.select(
      [~self.emerged_SKL, ~self.known_SKL, self.sign_SKL > 0, self.sign_SKL < 0,
       self.depends_SKL],
      ['', 'unclear', 'first', 'after', 'depends'], 'together',
    )  # fmt: skip

  def steps(self, place) -> np.ndarray:
    """Steps of places between checkpoints; nan where these are."""
    at_C = np.arange(len(self.step_C))
    steps = np.interp(np.nan_to_num(place), at_C, self.step_C)
    return np.where(np.isfinite(place), steps, np.nan)

  def of_tasks(self, inside_K: np.ndarray) -> 'Events':
    """The same of some tasks alone."""
    groups = self.task_group_K
    return self._replace(
      measure_3SK=self.measure_3SK[:, :, inside_K],
      measure_error_3SK=self.measure_error_3SK[:, :, inside_K],
      behaviour_3SKL=self.behaviour_3SKL[:, :, inside_K],
      behaviour_error_3SKL=self.behaviour_error_3SKL[:, :, inside_K],
      emerged_SKL=self.emerged_SKL[:, inside_K],
      task_group_K=np.asarray(groups)[inside_K] if len(groups) else (),
    )

  def among(
    self, seed_group_S: Sequence = (), task_group_K: Sequence = ()
  ) -> 'Events':
    """The same with the groups within which seeds, and tasks, trade places.

    Raises:
      ValueError: if there is not a group for each.
    """
    seeds, tasks = self.emerged_SKL.shape[:2]
    groups = (seed_group_S, seeds, 'seed'), (task_group_K, tasks, 'task')
    for group, size, name in groups:
      if len(group) not in (0, size):
        raise ValueError(
          f'{name} groups name the group of each {name}: {size}, got '
          f'{len(group)}.'
        )
    return self._replace(seed_group_S=seed_group_S, task_group_K=task_group_K)

  def by(self, definition: int) -> 'Events':
    """The same with one of the three in the place of all."""
    alone = [definition] * 3
    return self._replace(
      measure_3SK=self.measure_3SK[alone],
      measure_error_3SK=self.measure_error_3SK[alone],
      behaviour_3SKL=self.behaviour_3SKL[alone],
      behaviour_error_3SKL=self.behaviour_error_3SKL[alone],
    )


def find(
  measure_SKC: np.ndarray,
  behaviour_SKLC: np.ndarray,
  step_C: np.ndarray,
  emerged_SKL: np.ndarray,
) -> Events:
  """Changes of a measure and of behaviour; arguments as of `precedence.tests`.

  Raises:
    ValueError: if shapes do not fit.
  """
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
  changed = []
  for series in (measure_SKC[..., known_C], behaviour_SKLC[..., known_C]):
    if known_C.sum() < LEAST:
      unknown = np.full((3, *series.shape[:-1]), np.nan)
      changed += [unknown, unknown]
    else:
      changed += transitions.transitions(series)
  measure, error, other, its_error = changed
  return Events(step_C[known_C], measure, error, other, its_error, emerged_SKL)


def of_times(
  times_SK: np.ndarray, emergence_SKL: np.ndarray, step_C: np.ndarray
) -> Events:
  """`Events` of a step in the geometry against the steps of emergence.

  A step has no shape: onset, midpoint and end are the same.

  Args:
    times_SK: step of the event in the geometry; nan without one (unclear).
    emergence_SKL: step of emergence; nan for never (no event).
    step_C: steps of the checkpoints.
  """
  step_C = np.asarray(step_C)

  def places(steps):
    known = np.isfinite(steps)
    index = np.searchsorted(step_C, np.where(known, steps, step_C[0]))
    place = np.where(known, index, np.nan)
    return np.stack([place] * 3), np.zeros((3, *place.shape))

  measure, error = places(times_SK)
  other, its_error = places(emergence_SKL)
  return Events(
    step_C, measure, error, other, its_error, np.isfinite(emergence_SKL)
  )
