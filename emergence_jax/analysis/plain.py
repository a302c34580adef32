"""The tests on plain arrays [seed, step], whoever made them and with what.

  what_moved_first(rank, accuracy, steps).sentence
  timing(rank, accuracy, steps)

They need NumPy, and no run, no model and no JAX.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from emergence_jax.analysis import emergence, precedence, statistics
from emergence_jax.analysis import events as events_lib
from emergence_jax.analysis import timing as timing_lib
from emergence_jax.analysis.changes import LEAST
from emergence_jax.analysis.precedence import Tests
from emergence_jax.base.types import UserError


@dataclasses.dataclass(frozen=True)
class MovedFirst:
  """Whether a measure moved before accuracy, and whether it belongs to it.

  Attributes:
    name: of the measure.
    verdict: of `precedence.VERDICTS`, after Holm over the measures.
    p: of "it precedes", so corrected; nan where it cannot be tested.
    tests: counts, leads and p-values.
    emergence_S: step of emergence of each seed; nan where it did not come.
    sentence: all of this, in words.
  """

  name: str
  verdict: str
  p: float
  tests: Tests
  emergence_S: np.ndarray
  sentence: str

  def __str__(self) -> str:
    return self.sentence


def _checked(
  measures: Mapping[str, np.ndarray], accuracy_SC, step_C
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
  """Arrays of the shapes that they must have.

  Raises:
    UserError: for another shape, with what it is and what it must be.
  """
  accuracy_SC = np.asarray(accuracy_SC, float)
  step_C = np.asarray(step_C, float)
  if accuracy_SC.ndim != 2:
    raise UserError(
      f'accuracy has the shape {accuracy_SC.shape}, and must be [seeds, steps].'
    )
  seeds, count = accuracy_SC.shape
  if step_C.shape != (count,) or (np.diff(step_C) <= 0).any():
    raise UserError(
      f'steps has the shape {step_C.shape}, and must be the {count} steps of '
      'the checkpoints, increasing.'
    )
  arrays = {name: np.asarray(x, float) for name, x in measures.items()}
  for name, x_SC in arrays.items():
    if x_SC.shape != (seeds, count):
      raise UserError(
        f'{name} has the shape {x_SC.shape}, and must have that of accuracy, '
        f'[seeds, steps] = {accuracy_SC.shape}.'
      )
  return arrays, accuracy_SC, step_C


def emergence_steps(
  accuracy: np.ndarray, steps: Sequence[float], chance: float = 0.0
) -> np.ndarray:
  """Step at which each seed emerged, [seeds]; nan where it did not.

  The first checkpoint above halfway from chance to 1 that is followed by four
  more above it.

  Args:
    accuracy: [seeds, steps]; nan where it was not measured.
    steps: of the checkpoints, increasing.
    chance: accuracy of the best constant answer.
  """
  _, accuracy_SC, step_C = _checked({}, accuracy, steps)
  dims = ('seed', 'task', 'level', 'step')
  data = xr.Dataset(
    {'accuracy': (dims, accuracy_SC[:, None, None]), 'chance': chance},
    {'step': step_C},
  )
  return emergence.by_rule(data, emergence.RULE_OF_EVENTS).values[:, 0, 0]


def what_moved_first(
  measure: np.ndarray | Mapping[str, np.ndarray],
  accuracy: np.ndarray,
  steps: Sequence[float],
  *,
  chance: float = 0.0,
  groups: Sequence = (),
  draws: int = precedence.DRAWS,
) -> MovedFirst | list[MovedFirst]:
  """Did a measure move before accuracy, and do the two belong together?

  Coming first proves little, since nearly everything moves early in training:
  a measure *precedes* if it is first in onset and midpoint of its largest
  change rather than after (by flipping the signs of whole seeds), **and** seeds
  in which it is early are those that learn early (by permuting seeds).

  >>> step = np.arange(40) * 10
  >>> later = step >= np.arange(120, 360, 30)[:, None]
  >>> moved = step >= np.arange(80, 320, 30)[:, None]
  >>> print(what_moved_first(moved, later, step))
  The measure changed before accuracy in all 8 seeds that learned, by about ...

  Args:
    measure: [seeds, steps], nan where it was not measured; or name → array of
      several, which are corrected together.
    accuracy: [seeds, steps].
    steps: of the checkpoints, increasing; nine or more.
    chance: accuracy of the best constant answer.
    groups: group of each seed, where not all are exchangeable.
    draws: flips and permutations, where they are not all tried.

  Returns:
    A `MovedFirst`, whose text is a sentence; a list of them, for several.

  Raises:
    UserError: for shapes that do not fit, or too few checkpoints.
  """
  several = isinstance(measure, Mapping)
  named = dict(measure) if several else {'the measure': measure}
  arrays, accuracy_SC, step_C = _checked(named, accuracy, steps)
  if len(step_C) < LEAST:
    raise UserError(
      f'{len(step_C)} checkpoints are too few to say which changes first: it '
      f'takes {LEAST}.'
    )
  emergence_S = emergence_steps(accuracy_SC, step_C, chance)
  emerged = np.isfinite(emergence_S)[:, None, None]
  results, alone = [], []
  for x_SC in arrays.values():
    events = events_lib.find(
      x_SC[:, None], accuracy_SC[:, None, None], step_C, emerged
    ).among(groups)
    results.append(precedence.test_events(events, draws=draws))
    alone.append(precedence.by_definition(events, draws=draws))
  words = precedence.verdicts(results, precedence.preceding_by(alone))
  adjusted = statistics.holm([precedence.p_precedes(r) for r in results])
  moved = [
    MovedFirst(
      name, word, float(p), tests, emergence_S,
      _sentence(name, word, float(p), tests, len(accuracy_SC)),
    )
    for name, word, p, tests in zip(arrays, words, adjusted, results)
  ]  # fmt: skip
  return moved if several else moved[0]


def _count(number: int, of: int) -> str:
  return f'all {of}' if number == of else f'{number} of {of}'


_MEANS = {
  'precedes': 'seeds in which it was early learned early, so that it precedes',
  'depends': 'whether it precedes depends on what is called the change',
  'undecided': 'so few seeds cannot decide whether it precedes',
}


def _sentence(
  name: str, verdict: str, p: float, tests: Tests, seeds: int
) -> str:
  """A result in plain words, numbers behind."""
  subject = name[0].upper() + name[1:]
  if not tests.events:
    return (
      f'No seed of {seeds} learned it (above halfway from chance to 1, for '
      f'five checkpoints), so that nothing moved before.'
    )
  if tests.first >= tests.after:
    what, count, lead = 'before', tests.first, tests.lead
  else:
    what, count, lead = 'after', tests.after, -tests.lead
  text = (
    f'{subject} changed {what} accuracy in {_count(count, tests.events)} seeds '
    'that learned'
  )
  if np.isfinite(lead):
    text += f', by about {lead:,.3g} steps'
  if verdict == 'not shown':
    order = tests.p_order < precedence.MAX_P
    meaning = (
      'but seeds in which it was early are not shown to learn early'
      if order
      else 'and is not shown to come first'
    )
  else:
    meaning = _MEANS[verdict]
  p_words = f'p = {p:.2g}' if np.isfinite(p) else 'no p-value'
  return f'{text}; {meaning} ({verdict}, {p_words}).'


def timing(
  measure: np.ndarray,
  accuracy: np.ndarray,
  steps: Sequence[float],
  *,
  until: float | None = None,
  chance: float = 0.0,
  groups: Sequence = (),
  draws: int = timing_lib.DRAWS,
) -> pd.DataFrame:
  """Does a seed's own geometry tell when that seed learns?

  Features of the measure within a window are compared with the step of
  emergence over seeds, by Kendall's τ; a seed that does not emerge is later
  than all. Whole seeds are permuted, and Holm corrects over the features.

  Args:
    measure: [seeds, steps]; nan where it was not measured.
    accuracy: [seeds, steps].
    steps: of the checkpoints, increasing.
    until: last step of the window; the first emergence of any seed if absent,
      which lies outside of it.
    chance: accuracy of the best constant answer.
    groups: group of each seed, where not all are exchangeable.
    draws: permutations, where not all are tried.

  Returns:
    A row for each feature: `feature`, `tau` (positive: the larger, the later),
    `p`, `p_holm`, `seeds`.

  Raises:
    UserError: for shapes that do not fit, or a window of too few checkpoints.
  """
  arrays, accuracy_SC, step_C = _checked(
    {'the measure': measure}, accuracy, steps
  )
  (x_SC,) = arrays.values()
  emergence_S = emergence_steps(accuracy_SC, step_C, chance)
  if until is None:
    first = np.nanmin(emergence_S, initial=np.inf)
    inside_C = step_C < first
  else:
    inside_C = step_C <= until
  # Where one lacks a value, that it does may go with emergence.
  inside_C &= np.isfinite(x_SC).all(0)
  if inside_C.sum() < timing_lib.LEAST_STEPS:
    raise UserError(
      f'the window holds {inside_C.sum()} checkpoints at which every seed was '
      f'measured, and it takes {timing_lib.LEAST_STEPS}; give a later until=.'
    )
  feature_FS = timing_lib.features(step_C[inside_C], x_SC[:, inside_C])
  later_S = np.where(np.isfinite(emergence_S), emergence_S, np.inf)
  pooled = timing_lib.pool(
    feature_FS[:, None], later_S[None], groups, draws=draws
  )
  return pd.DataFrame(
    {
      'feature': list(timing_lib.FEATURES),
      'tau': pooled.tau_F,
      'p': pooled.p_F,
      'p_holm': statistics.holm(pooled.p_F),
      'seeds': np.isfinite(feature_FS).sum(1),
    }
  )
