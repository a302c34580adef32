"""Rank correlations over seeds, averaged over events, and their p-values.

Kendall's tau-b of a feature with the step of emergence, where seeds trade
their steps in all events alike. Up to a hundred seeds arrangements are drawn.
Of more the distribution is normal to within a hundredth of its width, and its
variance over all arrangements is known, so that time goes with the square of
the seeds once, and not for each of thousands of draws.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from emergence_jax.analysis import permutations

DRAWS = 10_000
# Of more seeds the variance over all arrangements is used.
MOST_DRAWN = 100
_BATCH = 250


class Pooled(NamedTuple):
  """Attributes: mean taus [F] over the events, and their p-values [F]."""

  tau_F: np.ndarray
  p_F: np.ndarray


def _signs(x_ES: np.ndarray, alike_SS: np.ndarray) -> np.ndarray:
  """Order of every pair of seeds of a group, [E, S, S], of norm 1 an event.

  It is 0 of what is unknown.
  """
  with np.errstate(invalid='ignore'):  # two that never emerge are tied
    signs = np.sign(x_ES[:, :, None] - x_ES[:, None])
  signs = np.nan_to_num(signs) * alike_SS
  norm_E = np.sqrt((signs**2).sum((1, 2)))
  return signs / np.where(norm_E > 0, norm_E, 1)[:, None, None]


def pool(
  feature_FES: np.ndarray,
  step_ES: np.ndarray,
  group_S: Sequence = (),
  *,
  draws: int = DRAWS,
  seed: int = 0,
) -> Pooled:
  """Mean taus of features over events, tested by permuting seeds.

  Seeds that have no value of a feature in any event take no part in its test:
  what they lack may go with when they emerge.

  Args:
    feature_FES: F features in E events of S seeds; nan where unknown.
    step_ES: steps of emergence; infinite where it never comes.
    group_S: seeds of a group are exchangeable; all are if empty.
    draws: permutations, where not all are tried.
    seed: of those that are drawn.
  """
  tau_F, p_F = np.full((2, len(feature_FES)), np.nan)
  has_FS = ~np.isnan(feature_FES).all(1)
  sets, set_F = np.unique(has_FS, axis=0, return_inverse=True)
  for i, has_S in enumerate(sets):
    chosen_F = set_F.ravel() == i
    names = np.asarray(group_S)[has_S] if len(group_S) else ()
    if has_S.sum() > 1:
      tau_F[chosen_F], p_F[chosen_F] = _pool(
        feature_FES[chosen_F][..., has_S], step_ES[:, has_S], names, draws,
        np.random.default_rng(seed),
      )  # fmt: skip
  return Pooled(tau_F, p_F)


def _pool(feature_FES, step_ES, group_S, draws: int, rng) -> Pooled:
  """The same of features that all seeds have."""
  seeds = step_ES.shape[1]
  groups = permutations.members(group_S, seeds)
  alike_SS = np.zeros((seeds, seeds))
  for inside in groups:
    alike_SS[np.ix_(inside, inside)] = 1
  theirs = _signs(step_ES, alike_SS)
  if seeds > MOST_DRAWN:
    return _by_variance(feature_FES, theirs, alike_SS, groups)
  return _by_draws(feature_FES, theirs, alike_SS, groups, draws, rng)


def _by_draws(feature_FES, theirs, alike_SS, groups, draws: int, rng) -> Pooled:
  """p-values from arrangements, all of them or some that are drawn."""
  count, events, seeds = feature_FES.shape
  # A pair of seeds once: the other way round it has the other sign, twice.
  first_M, second_M = np.nonzero(np.triu(alike_SS, 1))
  ours_EFM = np.stack(
    [_signs(x_ES, alike_SS)[:, first_M, second_M] for x_ES in feature_FES], 1
  )
  ours_EFM *= 2 / events
  observed_F = np.einsum('efm,em->f', ours_EFM, theirs[:, first_M, second_M])
  order_DS, exact = permutations.within(groups, draws, rng)
  as_large_F = np.zeros(count)
  for start in range(0, len(order_DS), _BATCH):
    some_DS = order_DS[start : start + _BATCH]
    # Seeds trade their steps, in all events alike.
    moved_DM = some_DS[:, first_M] * seeds + some_DS[:, second_M]
    null_FD = sum(
      ours_FM @ theirs_SS.ravel().take(moved_DM).T
      for ours_FM, theirs_SS in zip(ours_EFM, theirs)
    )
    as_large_F += (np.abs(null_FD) >= np.abs(observed_F)[:, None] - 1e-12).sum(
      1
    )
  drawn = len(order_DS)
  p_F = as_large_F / drawn if exact else (1 + as_large_F) / (1 + drawn)
  known_F = (ours_EFM != 0).any((0, 2))
  return Pooled(
    np.where(known_F, observed_F, np.nan), np.where(known_F, p_F, np.nan)
  )


def variance(
  ours: np.ndarray, theirs: np.ndarray, groups: Sequence[np.ndarray]
) -> float:
  """Of the sum over events of Σ ours · theirs, over all arrangements of seeds.

  Both change their sign with the order of a pair, so that of two pairs only
  those count that are the same or share a seed (Daniels 1944, there of one
  event).

  Args:
    ours: signs [E, S, S] of pairs of seeds, antisymmetric.
    theirs: signs [E, S, S], whose seeds are arranged anew, alike in all events.
    groups: indices of seeds that trade places among themselves; signs between
      groups are 0.
  """
  whole = 0.0
  for inside in groups:
    size = len(inside)
    if size < 2:
      continue
    same, shared = [], []
    for signs in (ours, theirs):
      of_group = signs[:, inside[:, None], inside]
      flat = of_group.reshape(len(signs), -1)
      row_ES = of_group.sum(2)
      same.append(flat @ flat.T)
      shared.append(row_ES @ row_ES.T - same[-1])
    pairs = size * (size - 1)
    whole += 2 * np.sum(same[0] * same[1]) / pairs
    if size > 2:
      whole += 4 * np.sum(shared[0] * shared[1]) / (pairs * (size - 2))
  return whole


def _by_variance(feature_FES, theirs, alike_SS, groups) -> Pooled:
  """p-values from the variance over all arrangements."""
  events = len(theirs)
  tau_F, p_F = np.full((2, len(feature_FES)), np.nan)
  for f, x_ES in enumerate(feature_FES):
    ours = _signs(x_ES, alike_SS)
    if ours.any():
      tau_F[f] = np.sum(ours * theirs) / events
      spread = np.sqrt(variance(ours, theirs, groups)) / events
      p_F[f] = 2 * special.ndtr(-np.abs(tau_F[f]) / spread)
  return Pooled(tau_F, p_F)
