"""What a Langevin chain near a point does if the loss is quadratic there.

With curvature h in a direction, a = nβ·h + γ pulls back to the point, and the
chain's distribution is known: its variance, what finite steps and the noise
of minibatches add to it, how long it takes, and where a gradient shifts it.
Each is a sum of a function of h over directions, which a few Lanczos steps
give by Gauss quadrature. So an estimate can say what is wrong with it.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from emergence_jax.base.types import PyTree
from emergence_jax.numerics import krylov, operators, trace
from emergence_jax.numerics.sgld import Target

_LANCZOS_STEPS = 8
# Random directions along which the noise is looked at, over all ends; each
# costs two passes over all of the data. Along them examples that two in
# thousands have are seen, too.
_FEW_DIMENSIONS, _DIRECTIONS, _FEW_DIRECTIONS = 1000, 8, 4
# Examples of the curvature that the noise meets, at least.
_LEAST_EXAMPLES = 64
# 1 − ε·a/4 below which a direction counts as this near to instability.
_STABLE = 0.05


class Steps(NamedTuple):
  """How chains run.

  Attributes:
    size: step size ε.
    burnin: steps of burn-in.
    draws: steps that count.
    chains: how many chains.
    every: draws from one evaluation to the next.
  """

  size: jax.Array
  burnin: int
  draws: int
  chains: int
  every: int


class Local(NamedTuple):
  """What was seen at the point and at the chains' ends; all scalars.

  Attributes:
    lambda_max: largest eigenvalue of the Hessian among what moves.
    discretization: what finite steps add to nβ·(E[L] − L(w*)).
    noise: what the noise of minibatches adds.
    noise_error: its standard error, such that twice of it covers.
    size: what the estimate comes to.
    stderr: what its standard error comes to.
    shortfall: what chains that are too short lack.
    gradient_norm: ‖∇L(w*)‖.
    gradient_effect: what the gradient adds; never positive.
  """

  lambda_max: jax.Array
  discretization: jax.Array
  noise: jax.Array
  noise_error: jax.Array
  size: jax.Array
  stderr: jax.Array
  shortfall: jax.Array
  gradient_norm: jax.Array
  gradient_effect: jax.Array


def known(lambda_max, trace, target: Target, step_size) -> Local:
  """What follows from a known largest eigenvalue and trace alone."""
  zero = jnp.zeros((), target.center_P.dtype)
  added = step_size * target.nbeta * jnp.maximum(trace, 0) / 8
  nothing = Local(*[zero] * len(Local._fields))
  return nothing._replace(lambda_max=lambda_max, discretization=zero + added)


def _pull(h, target: Target):
  """a of curvatures h; negative ones pull no further away."""
  return target.nbeta * jnp.maximum(h, 0) + target.localization


def _stable(h, target: Target, steps: Steps):
  return jnp.maximum(1 - steps.size * _pull(h, target) / 4, _STABLE)


def _discretization(h, target: Target, steps: Steps):
  h = jnp.maximum(h, 0)
  return target.nbeta * h * steps.size / 8 / _stable(h, target, steps)


def _noise(h, target: Target, steps: Steps):
  """Per unit of the variance of a batch's gradient."""
  h = jnp.maximum(h, 0)
  return (
    target.nbeta**3 * h * steps.size
    / (8 * _pull(h, target) * _stable(h, target, steps))
  )  # fmt: skip


def _size(h, target: Target, steps: Steps):
  del steps
  return target.nbeta * jnp.maximum(h, 0) / (2 * _pull(h, target))


def _decay(h, target: Target, steps: Steps):
  """Of the autocorrelation of a direction's energy, from step to step."""
  return jnp.clip(1 - steps.size * _pull(h, target) / 2, 0, 1) ** 2


def _variance(h, target: Target, steps: Steps):
  """Of the mean over draws: an energy is χ² of one degree of freedom."""
  kept = _decay(h, target, steps) ** steps.every
  draws = steps.chains * (steps.draws // steps.every)
  times = jnp.minimum((1 + kept) / jnp.maximum(1 - kept, 1e-6), draws)
  return 2 * _size(h, target, steps) ** 2 * times / draws


def _shortfall(h, target: Target, steps: Steps):
  """Of chains from w*, whose variance rises as 1 − (1 − ε·a/2)^(2t)."""
  h = jnp.maximum(h, 0)
  pull = _pull(h, target)
  decay = _decay(h, target, steps)
  # A sum of a geometric series, also where it hardly decays.
  slow = 1 - decay < 1e-6
  series = (1 - decay**steps.draws) / jnp.where(slow, 1, 1 - decay)
  series = jnp.where(slow, steps.draws, series)
  mean = decay**steps.burnin * series / steps.draws
  return target.nbeta * h / (2 * pull) * mean


def _gradient(h, target: Target, steps: Steps):
  """Per unit of the squared gradient."""
  del steps
  h, pull = jnp.maximum(h, 0), _pull(h, target)
  return -(target.nbeta**2) * (1 / pull - target.nbeta * h / (2 * pull**2))


def _lanczos(target: Target, hessian, key, start_P=None) -> krylov.Tridiagonal:
  """A few Lanczos steps on a Hessian among what moves."""
  mask_P = target.mask_P
  return krylov.lanczos(
    lambda v_P: mask_P * hessian(mask_P * v_P), mask_P.size, key,
    num_matvecs=min(_LANCZOS_STEPS, mask_P.size), dtype=mask_P.dtype,
    start_P=start_P,
  )  # fmt: skip


def _ritz(target: Target, w_P, batch, start_P, key) -> tuple:
  """Ritz values at a point, and their weights, which sum to |start|²."""
  hessian = operators.hessian(target.loss, w_P, batch)
  square = jnp.sum(start_P**2)
  t = _lanczos(
    target, hessian, key, jnp.where(square > 0, start_P, target.mask_P)
  )
  pairs = krylov.ritz(t)
  return pairs.values_M, pairs.first_M**2 * square


def descend(
  target: Target,
  data: PyTree,
  key: jax.Array,
  *,
  steps: int,
  examples_at_once: int | None,
) -> jax.Array:
  """The point [P] after steps of gradient descent on all of the data.

  Steps are 1/λmax of the Hessian where they begin, which moves stiff
  directions to their minimum at once and cannot overshoot in others; with
  Nesterov's momentum, for those in between.

  Args:
    target: its `center_P` is where to begin, and only what moves does.
    data: all of the data.
    key: of a random vector.
    steps: how many.
    examples_at_once: None for all.
  """
  w_P, mask_P = target.center_P, target.mask_P

  def slope(w_P):
    return mask_P * operators.batch_mean(
      lambda part: jax.grad(target.loss)(w_P, part),
      data,
      examples_at_once=examples_at_once,
    )

  hessian = operators.hessian(
    target.loss, w_P, data, examples_at_once=examples_at_once
  )
  t = _lanczos(target, hessian, key)
  stiffest = krylov.ritz(t).scale
  length = 1 / jnp.where(stiffest > 0, stiffest, jnp.inf)

  def step(i, carry):
    w_P, ahead_P = carry
    next_P = ahead_P - length * slope(ahead_P)
    return next_P, next_P + i / (i + 3.0) * (next_P - w_P)

  return jax.lax.fori_loop(0, steps, step, (w_P, w_P))[0]


def _one(target: Target, example: PyTree) -> Callable:
  """w → loss of a single example."""
  batch = jax.tree.map(lambda x: x[None], example)
  return lambda w_P: target.loss(w_P, batch)


def _slopes(target: Target, w_P, along_P, data, at_once: int | None):
  """Slope of every example's loss along a direction, [n]."""
  along_P = target.mask_P * along_P

  def slope(example):
    one = _one(target, example)
    return jax.jvp(one, (w_P,), (along_P,))[1]

  count = operators.leading_size(data)
  return jax.lax.map(slope, data, batch_size=min(at_once or count, count))


def _chosen(target: Target, data, key, count: int, at_once: int | None):
  """Examples by how noisy they are, and weights that make up for it.

  Half of them are drawn evenly and half by the square of their gradient at w*,
  as random directions show it: what few examples have is among them.
  """
  n = operators.leading_size(data)
  key_sign, key_pick = jax.random.split(key)
  center_P = target.center_P
  signs_RP = jax.random.rademacher(
    key_sign, (_FEW_DIRECTIONS, center_P.size), center_P.dtype
  )
  slopes_RN = jax.lax.map(
    lambda sign_P: _slopes(target, center_P, sign_P, data, at_once), signs_RP
  )
  square_N = jnp.mean(slopes_RN**2, 0)
  total = jnp.sum(square_N)
  share_N = jnp.where(
    total > 0, square_N / jnp.where(total > 0, total, 1), 1 / n
  )
  share_N = (1 / n + share_N) / 2
  pick = jax.random.choice(key_pick, n, (count,), p=share_N)
  return jax.tree.map(lambda x: x[pick], data), 1 / (n * share_N[pick])


def _noise_along(target: Target, data, chosen, steps, batch_size, at_once):
  """(w, key) → what the noise of batches adds, along one random direction.

  Over directions the mean is the sum over all of `_noise` times the variance
  of a batch's gradient.
  """

  def weighted(w_P, batch):
    examples, weight_N = batch
    losses_N = jax.vmap(lambda x: _one(target, x)(w_P))(examples)
    return jnp.mean(weight_N * losses_N)

  def along(args):
    w_P, key = args
    key_sign, key_more = jax.random.split(key)
    hessian = operators.hessian(weighted, w_P, chosen)
    sign_P = target.mask_P * jax.random.rademacher(
      key_sign, w_P.shape, w_P.dtype
    )
    t = _lanczos(target, hessian, key_more, sign_P)
    pairs = krylov.ritz(t)
    root_M = jnp.sqrt(_noise(pairs.values_M, target, steps))
    inside_M = pairs.vectors_MM @ (root_M * pairs.first_M)
    slope_N = _slopes(
      target, w_P, krylov.length(sign_P) * (inside_M @ t.basis_MP), data,
      at_once,
    )  # fmt: skip
    return jnp.var(slope_N) / batch_size

  return along


def _of_noise(
  target: Target, ends_CP, key, *, data, batch_size, at_once, each, steps
):
  """What the noise of batches adds, and the standard error of that."""
  chains, size = ends_CP.shape
  key_chosen, key_along = jax.random.split(key)
  n = operators.leading_size(data)
  count = min(n, max(batch_size, _LEAST_EXAMPLES))
  chosen = _chosen(target, data, key_chosen, count, at_once)
  wanted = _DIRECTIONS if size <= _FEW_DIMENSIONS else _FEW_DIRECTIONS
  where_RP = jnp.repeat(ends_CP, -(-wanted // chains), 0)
  added_R = each(
    _noise_along(target, data, chosen, steps, batch_size, at_once)
  )((where_RP, jax.random.split(key_along, len(where_RP))))
  # A chain that has diverged has none.
  known_R = jnp.isfinite(added_R)
  added_R = jnp.where(known_R, added_R, jnp.nan)
  spread = jnp.nanstd(added_R) / jnp.sqrt(jnp.maximum(known_R.sum() - 1, 1))
  return jnp.nanmean(added_R), trace.of_few(len(where_RP)) * spread


def look(
  target: Target,
  draw_batch: Callable[[jax.Array], PyTree],
  ends_CP: jax.Array,
  key: jax.Array,
  *,
  data: PyTree,
  examples_at_once: int | None,
  batch_size: int | None,
  each: Callable,
  steps: Steps,
) -> Local:
  """Estimates a `Local` at w* and at the ends of C chains.

  Args:
    target: what is sampled.
    draw_batch: key → batch of a step.
    ends_CP: ends of the chains.
    key: of random vectors and batches.
    data: all of the data.
    examples_at_once: of all of the data; None for all.
    batch_size: of a batch that is less than all of the data; else None.
    each: maps a function over a leading axis.
    steps: of the chains.
  """
  count = len(ends_CP)
  key_spread, key_noise, key_batch = jax.random.split(key, 3)

  # Where to look, and along what: random signs, whose sums are traces over
  # what moves; and the gradient at w*.
  points_XP = jnp.concatenate([target.center_P[None], ends_CP])
  signs_XP = jax.random.rademacher(key_spread, points_XP.shape, points_XP.dtype)
  slope_P = target.mask_P * operators.batch_mean(
    lambda part: jax.grad(target.loss)(target.center_P, part), data,
    examples_at_once=examples_at_once,
  )  # fmt: skip
  where = jnp.concatenate([points_XP, target.center_P[None]])
  along = jnp.concatenate([signs_XP * target.mask_P, slope_P[None]])

  def ritz(args):
    w_P, start_P, key = args
    return _ritz(target, w_P, draw_batch(key), start_P, key)

  keys = jax.random.split(key_batch, len(where))
  values, weights = each(ritz)((where, along, keys))

  def total(of, rows):
    """A sum over directions, of each row."""
    return jnp.sum(weights[rows] * of(values[rows], target, steps), -1)

  spread = slice(count + 1)
  # A chain that has diverged is not stiff but lost, and its status says so.
  added = jnp.nanmean(total(_discretization, spread))
  lacking = jnp.nanmean(total(_shortfall, spread))
  by_noise = noise_error = jnp.zeros((), where.dtype)
  if batch_size is not None:
    by_noise, noise_error = _of_noise(
      target, ends_CP, key_noise, data=data, batch_size=batch_size,
      at_once=examples_at_once, each=each, steps=steps,
    )  # fmt: skip
  return Local(
    lambda_max=jnp.nanmax(values[spread]),
    discretization=added,
    noise=by_noise,
    noise_error=noise_error,
    size=jnp.nanmean(total(_size, spread)),
    stderr=jnp.sqrt(jnp.nanmean(total(_variance, spread))),
    shortfall=lacking,
    gradient_norm=krylov.length(slope_P),
    gradient_effect=total(_gradient, -1),
  )
