"""Does geometry tell more than behaviour itself does, and than cheap scalars?

Baselines are early signals of behaviour (losses, log-probability, accuracies)
and cheap scalars (gradient norm, norm of the weights). A measure *adds* to them
if it goes with the time of emergence once what the baselines say is taken out
of both, and if seeds that were left out are ordered better with it than
without.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy import stats

from emergence_jax.analysis import permutations

# Updates over which the training loss and its gradient's norm are averaged.
_UPDATES = 10
# Significance of a seed's accuracy above chance, of all checkpoints together.
_MAX_P = 0.05
# Seeds that it takes beyond the number of baselines.
_SPARE_SEEDS = 5
# Splits of the seeds into parts that are left out in turn.
_REPEATS, _FOLDS = 10, 5
LEAST_SEEDS = 20
_PENALTIES = np.logspace(-2, 3, 6)
# Permutations at once.
_BATCH = 100


def _history(name: str) -> Callable[[xr.Dataset], xr.DataArray | None]:
  """Mean over the updates before each checkpoint; nan at step 0."""

  def take(data: xr.Dataset) -> xr.DataArray | None:
    if name not in data or 'train_step' not in data[name].dims:
      return None
    values = data[name].transpose('seed', 'train_step').values
    columns = [
      values[:, max(0, step - _UPDATES) : step].mean(1)
      if 0 < step <= values.shape[1]
      else np.full(len(values), np.nan)
      for step in data.step.values
    ]
    return xr.DataArray(
      np.stack(columns, 1), dims=('seed', 'step'),
      coords={'seed': data.seed, 'step': data.step},
    )  # fmt: skip

  return take


def _variable(name: str) -> Callable[[xr.Dataset], xr.DataArray | None]:
  return lambda data: data[name] if name in data else None


# Label → what takes it from a timeseries: (seed, step, perhaps task, level).
BASELINES: dict[str, Callable[[xr.Dataset], xr.DataArray | None]] = {
  'held-out loss': _variable('loss'),
  'log-probability': _variable('log_prob'),
  'held-out accuracy': _variable('accuracy'),
  'training accuracy': _variable('train_accuracy'),
  'margin': _variable('margin'),
  'training loss': _history('train_loss'),
  'gradient norm': _history('grad_norm'),
  'weight norm': _variable('weight_norm'),
}


def of(data: xr.Dataset) -> dict[str, xr.DataArray]:
  """Label → series of every baseline that a timeseries has."""
  taken = {label: take(data) for label, take in BASELINES.items()}
  return {label: array for label, array in taken.items() if array is not None}


def _examples(accuracy: np.ndarray, most: int) -> int:
  """How many examples give these accuracies: `most`, or the least that do.

  Of a finite table only the held-out part counts, whose size is not stored.
  """
  known = accuracy[np.isfinite(accuracy)]
  for count in (most, *range(20, most)):
    hits = known * count
    if np.all(np.abs(hits - np.round(hits)) < 1e-3):
      return count
  return most


def leaves_chance(data: xr.Dataset) -> xr.DataArray:
  """Step at which the first seed is above chance (task, level); inf if none.

  A seed is above chance where so many right answers would come by guessing
  with a probability below 5% over all seeds and checkpoints (Bonferroni), each
  example right with the accuracy of the best constant answer.
  """
  accuracy = data.accuracy.transpose('task', 'level', 'seed', 'step').values
  chance = np.broadcast_to(
    data.chance.transpose('task', 'level').values, accuracy.shape[:2]
  )
  most = int(data.attrs.get('examples') or data.sizes.get('item') or 1000)
  first = np.full(accuracy.shape[:2], np.inf)
  for k, j in np.ndindex(first.shape):
    values_SC = accuracy[k, j]
    count = _examples(values_SC, most)
    tries = max(1, np.isfinite(values_SC).sum())
    hits_SC = np.round(np.nan_to_num(values_SC) * count)
    p_SC = stats.binom.sf(hits_SC - 1, count, chance[k, j])
    above_C = (p_SC < _MAX_P / tries).any(0)
    if above_C.any():
      first[k, j] = data.step.values[int(np.argmax(above_C))]
  return xr.DataArray(
    first, dims=('task', 'level'),
    coords={'task': data.task, 'level': data.level},
  )  # fmt: skip


def _ranks(x: np.ndarray) -> np.ndarray:
  """Ranks over the last axis, of mean 0 and deviation 1; nan becomes 0."""
  known = ~np.isnan(x)
  count = np.maximum(known.sum(-1, keepdims=True), 1)
  # What never comes is last, and what is not known is behind it.
  finite = np.minimum(x, np.finfo(float).max)
  ranks = stats.rankdata(np.where(known, finite, np.inf), axis=-1)
  ranks = np.where(known, ranks, 0.0)
  centred = np.where(known, ranks - ranks.sum(-1, keepdims=True) / count, 0.0)
  spread = np.sqrt((centred**2).sum(-1, keepdims=True) / count)
  return np.divide(
    centred, spread, out=np.zeros_like(centred), where=spread > 1e-9
  )


def _standard(x: np.ndarray) -> np.ndarray:
  """Values over the last axis, of mean 0 and deviation 1."""
  centred = x - x.mean(-1, keepdims=True)
  spread = centred.std(-1, keepdims=True)
  return np.divide(
    centred, spread, out=np.zeros_like(centred), where=spread > 1e-12
  )


def _basis(control_BS: np.ndarray, groups: Sequence[np.ndarray]) -> np.ndarray:
  """Orthonormal columns [S, R] of groups, the controls and their ranks.

  Ranks alone leave what a control's value says beyond its rank, which measure
  and behaviour may share.
  """
  is_in_GS = np.zeros((len(groups), control_BS.shape[1]))
  for row_S, inside in zip(is_in_GS, groups):
    row_S[inside] = 1
  design_SR = np.concatenate(
    [is_in_GS, _ranks(control_BS), _standard(control_BS)]
  ).T
  left, values, _ = np.linalg.svd(design_SR, full_matrices=False)
  return left[:, values > 1e-9 * values[0]]


def _residual(x_NS: np.ndarray, basis_SR: np.ndarray) -> np.ndarray:
  """What is left of each row without the basis, of norm 1; 0 if rounding."""
  left_NS = x_NS - (x_NS @ basis_SR) @ basis_SR.T
  norm = np.sqrt((left_NS**2).sum(-1, keepdims=True))
  whole = np.sqrt((x_NS**2).sum(-1, keepdims=True))
  return np.divide(
    left_NS, norm, out=np.zeros_like(left_NS), where=norm > 1e-6 * (whole + 1)
  )


class Partial(NamedTuple):
  """Attributes: partial rank correlations [F], and their p-values [F]."""

  rho_F: np.ndarray
  p_F: np.ndarray


def partial(
  feature_FES: np.ndarray,
  control_BES: np.ndarray,
  step_ES: np.ndarray,
  group_S: Sequence = (),
  *,
  draws: int = 10_000,
  seed: int = 0,
) -> Partial:
  """Rank correlation of features with emergence beyond the controls.

  Ranks of the feature and of the steps of emergence, each less a linear model
  of the controls and their ranks, are correlated over seeds, and averaged over
  events. The residuals of the feature are permuted over seeds, alike in all
  events, and less a linear model of the controls again (Freedman and Lane
  1983).

  Args:
    feature_FES: F features in E events of S seeds; nan where unknown.
    control_BES: B baselines.
    step_ES: steps of emergence; infinite where it never comes.
    group_S: seeds of a group are exchangeable; all are if empty.
    draws: permutations.
    seed: of these.

  Returns:
    Correlations and two-sided p-values; nan where a feature is unknown, and
    everywhere with fewer than 2·B + 5 seeds.
  """
  count, events, seeds = feature_FES.shape
  nothing = np.full(count, np.nan)
  if not len(control_BES) or seeds < 2 * len(control_BES) + _SPARE_SEEDS:
    return Partial(nothing, nothing)
  ours_FES = np.empty((count, events, seeds))
  theirs_ES = np.empty((events, seeds))
  groups = permutations.members(group_S, seeds)
  bases = [
    _basis(control_BS, groups) for control_BS in control_BES.swapaxes(0, 1)
  ]
  for e, basis_SR in enumerate(bases):
    ours_FES[:, e] = _residual(_ranks(feature_FES[:, e]), basis_SR)
    theirs_ES[e] = _residual(_ranks(step_ES[e])[None], basis_SR)[0]
  observed_F = np.einsum('fes,es->f', ours_FES, theirs_ES) / events
  rng = np.random.default_rng(seed)
  as_large_F = np.zeros(count)
  every_DS, exact = permutations.within(groups, draws, rng)
  for start in range(0, len(every_DS), _BATCH):
    moved_FEDS = ours_FES[:, :, every_DS[start : start + _BATCH]]
    # Moved residuals are no residuals: the controls are taken out again.
    explained_FED = np.stack(
      [((moved_FEDS[:, e] @ b) ** 2).sum(-1) for e, b in enumerate(bases)], 1
    )
    norm_FED = np.sqrt(np.maximum(1 - explained_FED, 1e-12))
    null_FED = np.einsum('feds,es->fed', moved_FEDS, theirs_ES) / norm_FED
    null_FD = null_FED.sum(1) / events
    as_large_F += (np.abs(null_FD) >= np.abs(observed_F)[:, None] - 1e-12).sum(
      1
    )
  tried = len(every_DS)
  p_F = as_large_F / tried if exact else (1 + as_large_F) / (1 + tried)
  known_F = np.isfinite(feature_FES).all((1, 2)) & (ours_FES != 0).any((1, 2))
  return Partial(
    np.where(known_F, observed_F, np.nan), np.where(known_F, p_F, np.nan)
  )


def _ridge(x_SF: np.ndarray, y_S: np.ndarray) -> np.ndarray:
  """Weights [F] of a ridge regression; its penalty by leaving out one each."""
  u, s, vt = np.linalg.svd(x_SF, full_matrices=False)
  best, weights = np.inf, np.zeros(x_SF.shape[1])
  for penalty in _PENALTIES:
    shrink = s / (s**2 + penalty)
    leverage_S = ((u * (s * shrink)) * u).sum(1)
    fitted_S = u @ (s * shrink * (u.T @ y_S))
    error = np.mean(((y_S - fitted_S) / (1 - leverage_S)) ** 2)
    if error < best:
      best, weights = error, vt.T @ (shrink * (u.T @ y_S))
  return weights


def _concordance(score_N: np.ndarray, step_N: np.ndarray) -> float:
  """Share of pairs that a score orders as they emerge; ties are a half."""
  first, second = np.triu_indices(len(score_N), 1)
  with np.errstate(invalid='ignore'):  # two that never emerge are tied
    order = np.sign(step_N[first] - step_N[second])
  decided = np.nan_to_num(order) != 0
  if not decided.any():
    return np.nan
  agree = order * np.sign(score_N[first] - score_N[second])
  return float(np.mean((1 + agree[decided]) / 2))


class OutOfSample(NamedTuple):
  """How well seeds that were left out are ordered.

  Attributes:
    alone: concordance of the baselines, 0.5 by chance.
    with_it: that of baselines and measure together.
    low: lower end of the 95% interval of the difference.
    high: upper end.
  """

  alone: float
  with_it: float
  low: float
  high: float


def out_of_sample(
  feature_FES: np.ndarray,
  control_FES: np.ndarray,
  step_ES: np.ndarray,
  *,
  seed: int = 0,
) -> OutOfSample:
  """Concordance over left-out seeds of baselines alone, and with a measure.

  Seeds are divided into five parts ten times; each part is ordered by a ridge
  regression on the ranks of the others, whose penalty is chosen among those
  alone. The interval is that of Nadeau and Bengio (2003), since splits share
  seeds.

  Args:
    feature_FES: features of the measure; nan where unknown.
    control_FES: features of the baselines.
    step_ES: steps of emergence; infinite where it never comes.
    seed: of the splits.

  Returns:
    nan for fewer than `LEAST_SEEDS` seeds.
  """
  seeds = step_ES.shape[1]
  if seeds < LEAST_SEEDS:
    return OutOfSample(np.nan, np.nan, np.nan, np.nan)
  y_ES = _ranks(step_ES)
  designs = [
    _ranks(x).swapaxes(0, 1)  # [E, F, S]
    for x in (control_FES, np.concatenate([control_FES, feature_FES]))
  ]
  rng = np.random.default_rng(seed)
  scores = []
  for _ in range(_REPEATS):
    parts = np.array_split(rng.permutation(seeds), _FOLDS)
    for part in parts:
      rest = np.setdiff1d(np.arange(seeds), part)
      scores.append([
        np.nanmean([
          _concordance(
            x_FS[:, part].T @ _ridge(x_FS[:, rest].T, y_S[rest]), step_S[part]
          )
          for x_FS, y_S, step_S in zip(design, y_ES, step_ES)
        ])
        for design in designs
      ])  # fmt: skip
  score_J2 = np.array(scores)
  alone, with_it = score_J2.mean(0)
  gain_J = score_J2[:, 1] - score_J2[:, 0]
  count, test_share = len(gain_J), 1 / (_FOLDS - 1)
  half = stats.t.ppf(0.975, count - 1) * np.sqrt(
    (1 / count + test_share) * gain_J.var(ddof=1)
  )
  gain = with_it - alone
  return OutOfSample(
    float(alone), float(with_it), float(gain - half), float(gain + half)
  )
