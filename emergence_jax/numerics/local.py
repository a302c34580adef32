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
from emergence_jax.numerics import krylov, operators
from emergence_jax.numerics.sgld import Target

_LANCZOS_STEPS = 8
# Noise vectors at each end. In few dimensions one says little on average, and
# more cost little.
_FEW_DIMENSIONS, _MANY_VECTORS = 1000, 8
# 1 − ε·a/4 below which a direction counts as this near to instability.
_STABLE = 0.05


class Steps(NamedTuple):
  """Attributes: step size ε, steps of burn-in and steps that count."""

  size: jax.Array
  burnin: int
  draws: int


class Local(NamedTuple):
  """What was seen at the point and at the chains' ends; all scalars.

  Attributes:
    lambda_max: largest eigenvalue of the Hessian among what moves.
    discretization: what finite steps add to nβ·(E[L] − L(w*)).
    noise: what the noise of minibatches adds.
    shortfall: what chains that are too short lack.
    gradient_norm: ‖∇L(w*)‖.
    gradient_effect: what the gradient adds; never positive.
  """

  lambda_max: jax.Array
  discretization: jax.Array
  noise: jax.Array
  shortfall: jax.Array
  gradient_norm: jax.Array
  gradient_effect: jax.Array


def known(lambda_max, trace, target: Target, step_size) -> Local:
  """What follows from a known largest eigenvalue and trace alone."""
  zero = jnp.zeros((), target.center_P.dtype)
  added = step_size * target.nbeta * jnp.maximum(trace, 0) / 8
  return Local(lambda_max, zero + added, zero, zero, zero, zero)


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


def _shortfall(h, target: Target, steps: Steps):
  """Of chains from w*, whose variance rises as 1 − (1 − ε·a/2)^(2t)."""
  h = jnp.maximum(h, 0)
  pull = _pull(h, target)
  decay = jnp.clip(1 - steps.size * pull / 2, 0, 1) ** 2
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


def _ritz(target: Target, w_P, batch, start_P, key) -> tuple:
  """Ritz values at a point, and their weights, which sum to |start|²."""
  hessian = operators.hessian(target.loss, w_P, batch)
  square = jnp.sum(start_P**2)
  t = krylov.lanczos(
    lambda v_P: target.mask_P * hessian(target.mask_P * v_P), w_P.size, key,
    num_matvecs=min(_LANCZOS_STEPS, w_P.size), dtype=w_P.dtype,
    start_P=jnp.where(square > 0, start_P, target.mask_P),
  )  # fmt: skip
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
  t = krylov.lanczos(
    lambda v_P: mask_P * hessian(mask_P * v_P), w_P.size, key,
    num_matvecs=min(_LANCZOS_STEPS, w_P.size), dtype=w_P.dtype,
  )  # fmt: skip
  stiffest = krylov.ritz(t).scale
  length = 1 / jnp.where(stiffest > 0, stiffest, jnp.inf)

  def step(i, carry):
    w_P, ahead_P = carry
    next_P = ahead_P - length * slope(ahead_P)
    return next_P, next_P + i / (i + 3.0) * (next_P - w_P)

  return jax.lax.fori_loop(0, steps, step, (w_P, w_P))[0]


def look(
  target: Target,
  draw_batch: Callable[[jax.Array], PyTree],
  ends_CP: jax.Array,
  key: jax.Array,
  *,
  data: PyTree,
  examples_at_once: int | None,
  is_noisy: bool,
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
    is_noisy: whether batches are less than all of the data.
    each: maps a function over a leading axis.
    steps: of the chains.
  """
  count, size = ends_CP.shape
  key_spread, key_noise, key_batch = jax.random.split(key, 3)

  def noise_at(args):
    """A batch's noise: the difference of two gradients, of its variance."""
    w_P, key = args
    first, second = jax.lax.map(
      lambda k: jax.grad(target.loss)(w_P, draw_batch(k)),
      jax.random.split(key),
    )
    return (first - second) * target.mask_P / jnp.sqrt(2.0)

  # Where to look, and along what: random signs, whose sums are traces over
  # what moves; the noise of batches; and the gradient at w*.
  points_XP = jnp.concatenate([target.center_P[None], ends_CP])
  signs_XP = jax.random.rademacher(key_spread, points_XP.shape, points_XP.dtype)
  slope_P = target.mask_P * operators.batch_mean(
    lambda part: jax.grad(target.loss)(target.center_P, part), data,
    examples_at_once=examples_at_once,
  )  # fmt: skip
  repeats = 0
  if is_noisy:
    repeats = _MANY_VECTORS if size <= _FEW_DIMENSIONS else 1
  noisy_NP = jnp.repeat(ends_CP, repeats, 0)
  noise_NP = noisy_NP
  if repeats:
    keys_N = jax.random.split(key_noise, len(noisy_NP))
    noise_NP = each(noise_at)((noisy_NP, keys_N))
  where = jnp.concatenate([points_XP, noisy_NP, target.center_P[None]])
  along = jnp.concatenate([
    signs_XP * target.mask_P, noise_NP, slope_P[None]
  ])  # fmt: skip

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
  by_noise = jnp.zeros((), where.dtype)
  if repeats:
    by_noise = jnp.nanmean(total(_noise, slice(count + 1, -1)))
  return Local(
    lambda_max=jnp.nanmax(values[spread]),
    discretization=added,
    noise=by_noise,
    shortfall=lacking,
    gradient_norm=krylov.length(slope_P),
    gradient_effect=total(_gradient, -1),
  )
