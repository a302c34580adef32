"""What an intervention did: paired tests over seeds, on plain arrays.

Every arm has the same seeds: the same first weights, data and exams. So each
seed is its own control, and what is tested is the difference of its step of
emergence from that of the baseline, and from that of the placebo: a push of the
same size in a random direction. An intervention has an effect of its own only
beyond its placebo; that it has none is a result as well, by equivalence.

A seed that does not emerge is later than all: differences enter by their ranks.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from emergence_jax.analysis import permutations, statistics
from emergence_jax.base.types import UserError

MAX_P = 0.05
MOVES, MOVES_NOT = 'moves it', 'does not move it'
UNDECIDED, STOPPED = 'undecided', 'stopped learning'
# Of signs: all of them up to 14 seeds.
DRAWS = 20_000
# An arm in which a smaller share of the baseline's seeds emerges has stopped.
LEAST_SHARE = 0.5


@dataclasses.dataclass(frozen=True)
class Shift:
  """A paired difference over seeds.

  Attributes:
    estimate: Hodges–Lehmann, the median of means of two differences; infinite
      where half of the seeds or more have emerged in one arm alone.
    low: lower end of its 95% interval; nan for fewer than six seeds.
    high: upper end.
    inner: ends of the 90% interval, by which equivalence is tested at 5%.
    p: two-sided, of whole seeds' signs.
    seeds: of which both are known.
  """

  estimate: float
  low: float
  high: float
  inner: tuple[float, float]
  p: float
  seeds: int

  def is_within(self, margin: float) -> bool:
    """Whether it is equivalent to none: the inner interval lies within."""
    low, high = self.inner
    return bool(low > -margin and high < margin)


@dataclasses.dataclass(frozen=True)
class Effect:
  """What an arm did.

  Attributes:
    arm: its name.
    shift: of the step of emergence, beside the baseline.
    beyond: the same beside its placebo; None if it has none.
    p: the larger of both, by Holm over the arms.
    emerged: seeds that emerged, of how many.
    verdict: `moves it`, `does not move it`, `undecided`, `stopped learning`.
  """

  arm: str
  shift: Shift
  beyond: Shift | None
  p: float
  emerged: tuple[int, int]
  verdict: str


def differences(one_S: np.ndarray, other_S: np.ndarray) -> np.ndarray:
  """one − other of each seed; nought where neither emerged.

  >>> differences(np.array([3, np.inf, np.inf]), np.array([5, 9, np.inf]))
  array([-2., inf,  0.])
  """
  both = np.isinf(one_S) & np.isinf(other_S)
  with np.errstate(invalid='ignore'):
    return np.where(both, 0.0, np.asarray(one_S, float) - other_S)


def _signed_ranks(difference_S: np.ndarray) -> np.ndarray:
  """Ranks of the sizes, with the signs; nought for none."""
  size_S = np.abs(difference_S)
  finite_S = size_S[np.isfinite(size_S)]
  beyond = 1 + 2 * (finite_S.max() if finite_S.size else 0)
  ranks_S = stats.rankdata(np.where(np.isinf(size_S), beyond, size_S))
  return np.sign(difference_S) * ranks_S


def sign_flip(
  difference_S: np.ndarray, draws: int = DRAWS, seed: int = 0
) -> float:
  """Two-sided p of signed ranks by flipping the signs of whole seeds.

  >>> sign_flip(np.array([1.0, 2, 3, 4, 5, 6]))
  0.03125
  """
  rank_S = _signed_ranks(difference_S)
  rank_S = rank_S[rank_S != 0]
  if not rank_S.size:
    return 1.0
  rng = np.random.default_rng(seed)
  signs_DS, exact = permutations.signs(rank_S.size, draws, rng)
  null_D = np.abs(signs_DS @ np.abs(rank_S))
  return permutations.share(null_D, abs(rank_S.sum()), exact)


def _walsh(difference_S: np.ndarray) -> np.ndarray:
  """Means of all pairs of differences, each with itself too, in order."""
  i, j = np.triu_indices(len(difference_S))
  with np.errstate(invalid='ignore'):
    means = (difference_S[i] + difference_S[j]) / 2
  # One that came only here, and one that came only there.
  return np.sort(np.where(np.isnan(means), 0.0, means))


def _ends(mean_P: np.ndarray, seeds: int, level: float) -> tuple[float, float]:
  """Ends of the interval that inverts the test of signed ranks."""
  counts = np.ones(1)
  for rank in range(1, seeds + 1):  # of all sums of ranks
    counts = np.concatenate([counts, np.zeros(rank)]) + np.concatenate(
      [np.zeros(rank), counts]
    )
  below = np.cumsum(counts) / counts.sum()
  cut = int(np.searchsorted(below, (1 - level) / 2, side='right'))
  if cut == 0:
    return float('nan'), float('nan')
  return float(mean_P[cut - 1]), float(mean_P[-cut])


def shift(
  one_S: np.ndarray, other_S: np.ndarray, draws: int = DRAWS, seed: int = 0
) -> Shift:
  """How much later one is than the other, over seeds that are in both.

  Args:
    one_S: a number of each seed; inf for a step that did not come, nan for a
      seed that is not there.
    other_S: the same of the other arm.
    draws: of signs, where there are too many seeds for all.
    seed: of the draws.
  """
  known_S = ~np.isnan(one_S) & ~np.isnan(other_S)
  difference_S = differences(one_S[known_S], other_S[known_S])
  count = len(difference_S)
  if not count:
    nan = float('nan')
    return Shift(nan, nan, nan, (nan, nan), 1.0, 0)
  mean_P = _walsh(difference_S)
  middle = mean_P[(len(mean_P) - 1) // 2], mean_P[len(mean_P) // 2]
  estimate = middle[0] if middle[0] == middle[1] else sum(middle) / 2
  low, high = _ends(mean_P, count, statistics.CONFIDENCE)
  return Shift(
    float(estimate), low, high,
    _ends(mean_P, count, 1 - 2 * MAX_P),
    sign_flip(difference_S, draws, seed), count,
  )  # fmt: skip


def _verdict(
  own: Shift, beyond: Shift | None, p: float, margin: float, stopped: bool
) -> str:
  if stopped:
    return STOPPED
  least = own if beyond is None else beyond
  same_side = beyond is None or np.sign(own.estimate) == np.sign(least.estimate)
  if p < MAX_P and same_side:
    return MOVES
  return MOVES_NOT if least.is_within(margin) else UNDECIDED


def effects(
  emergence_AS: np.ndarray,
  arms: Sequence[str],
  *,
  baseline: str,
  margin: float,
  placebos: Mapping[str, str] | None = None,
  controls: Sequence[str] = (),
  stopped: Sequence[str] = (),
  least_share: float = LEAST_SHARE,
  draws: int = DRAWS,
) -> list[Effect]:
  """What each arm did to the step of emergence, paired by seed.

  Args:
    emergence_AS: step of emergence [arms, seeds]; inf where it did not come
      within the run, nan for a seed that is not there. Any number that an arm
      may shift will do: a feature of the geometry, a final accuracy.
    arms: their names.
    baseline: the one that the others are compared with.
    margin: a shift within ± this counts as none; in the unit of the array.
    placebos: arm → the arm that is its placebo.
    controls: arms that are judged for no effect of their own (sham, placebos);
      those of `placebos` are added.
    stopped: arms in which training itself has stopped.
    least_share: an arm in which a smaller share of the baseline's seeds emerges
      has stopped, too; 0 where it is known by `stopped` alone.
    draws: of signs.

  Returns:
    An `Effect` for each arm but baseline and controls. It "moves it" where it
    differs from baseline and placebo alike, in one direction (Holm over arms);
    it "does not move it" where its difference from the placebo (from the
    baseline, without one) is equivalent to none.

  Raises:
    UserError: for arrays or names that do not fit.
  """
  emergence_AS = np.asarray(emergence_AS, float)
  _check(emergence_AS, arms, baseline, margin, placebos or {})
  placebos = dict(placebos or {})
  place = {name: i for i, name in enumerate(arms)}
  aside = {baseline, *controls, *placebos.values()}
  judged = [name for name in arms if name not in aside]
  base_S = emergence_AS[place[baseline]]
  own: dict[str, Shift] = {}
  beyond: dict[str, Shift | None] = {}
  for name in judged:
    arm_S = emergence_AS[place[name]]
    own[name] = shift(arm_S, base_S, draws)
    beyond[name] = None
    if name in placebos:
      placebo_S = emergence_AS[place[placebos[name]]]
      beyond[name] = shift(arm_S, placebo_S, draws)
  raw = [
    max(own[n].p, beyond[n].p if beyond[n] is not None else 0.0) for n in judged
  ]
  results = []
  for name, p in zip(judged, statistics.holm(raw) if judged else []):
    arm_S = emergence_AS[place[name]]
    known_S = ~np.isnan(arm_S) & ~np.isnan(base_S)
    count = int(np.isfinite(arm_S[known_S]).sum())
    wanted = int(np.isfinite(base_S[known_S]).sum())
    has_stopped = name in stopped or count < least_share * wanted
    verdict = _verdict(own[name], beyond[name], float(p), margin, has_stopped)
    results.append(
      Effect(
        name,
        own[name],
        beyond[name],
        float(p),
        (count, int(known_S.sum())),
        verdict,
      )  # fmt: skip
    )
  return results


def _check(emergence_AS, arms, baseline, margin, placebos) -> None:
  """Raises a UserError that names what does not fit."""
  if emergence_AS.ndim != 2 or len(emergence_AS) != len(arms):
    raise UserError(
      f'emergence has the shape {emergence_AS.shape}, and must be [arms, '
      f'seeds] with {len(arms)} arms.'
    )
  if len(set(arms)) < len(arms):
    raise UserError(f'arms={list(arms)} names an arm twice.')
  for name in (baseline, *placebos, *placebos.values()):
    if name not in arms:
      raise UserError(f'{name!r} is none of the arms {list(arms)}.')
  if not margin > 0:
    raise UserError(f'margin={margin} must be above 0.')


def trend(
  value_AS: np.ndarray, strength_A: Sequence[float], draws: int = DRAWS
) -> tuple[float, float]:
  """Whether a number grows with an arm's strength, within each seed.

  Args:
    value_AS: a number of each arm and seed; inf is larger than all.
    strength_A: of the arms.
    draws: permutations of the arms within each seed.

  Returns:
    Mean rank correlation within a seed, and its two-sided p.
  """
  value_AS = np.asarray(value_AS, float)
  known_S = ~np.isnan(value_AS).any(0)
  rank_AS = _centred(stats.rankdata(value_AS[:, known_S], axis=0))
  order_A = _centred(stats.rankdata(strength_A))
  scale_S = np.linalg.norm(rank_AS, axis=0) * np.linalg.norm(order_A)
  used_S = scale_S > 0
  if not used_S.any():
    return float('nan'), 1.0
  rank_AS = rank_AS[:, used_S] / scale_S[used_S]
  correlation = float((order_A @ rank_AS).mean())
  rng = np.random.default_rng(0)
  reached = 0
  for _ in range(draws):
    order_AS = rng.random(rank_AS.shape).argsort(0)
    mixed_AS = np.take_along_axis(rank_AS, order_AS, 0)
    reached += abs((order_A @ mixed_AS).mean()) >= abs(correlation) - 1e-12
  return correlation, (1 + reached) / (1 + draws)


def _centred(value_AS: np.ndarray) -> np.ndarray:
  return value_AS - value_AS.mean(0)


def mediation(
  emergence_AS: np.ndarray, feature_AS: np.ndarray, draws: int = DRAWS
) -> tuple[float, float]:
  """Whether a seed whose geometry an arm moved more emerged later for it.

  Shifts of both from the first arm are taken, ranked within each arm, and
  compared beyond what the arm itself explains: what all its seeds share is
  taken out. It describes; a common cause within a seed does the same.

  Args:
    emergence_AS: step of emergence; the first arm is the baseline.
    feature_AS: a number of the geometry.
    draws: permutations of whole seeds.

  Returns:
    Correlation over seeds and arms, and its two-sided p.
  """
  moved = []
  known_S = ~(np.isnan(emergence_AS) | np.isnan(feature_AS)).any(0)
  for value_AS in (emergence_AS[:, known_S], feature_AS[:, known_S]):
    shift_AS = np.stack([differences(v, value_AS[0]) for v in value_AS[1:]])
    rank_AS = stats.rankdata(shift_AS, axis=1)
    rank_AS = rank_AS - rank_AS.mean(1, keepdims=True)
    moved.append(rank_AS)
  time_rank_AS, feature_rank_AS = moved
  scale = np.linalg.norm(time_rank_AS) * np.linalg.norm(feature_rank_AS)
  if not scale:
    return float('nan'), 1.0
  correlation = float((time_rank_AS * feature_rank_AS).sum() / scale)
  rng = np.random.default_rng(0)
  reached = sum(
    abs(
      (
        time_rank_AS[:, rng.permutation(time_rank_AS.shape[1])]
        * feature_rank_AS
      ).sum()
      / scale
    )
    >= abs(correlation) - 1e-12
    for _ in range(draws)
  )
  return correlation, (1 + reached) / (1 + draws)
