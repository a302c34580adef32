"""Stochastic-gradient Langevin dynamics near a point, as one scan.

The target is exp(−nβ L(w) − γ/2 ‖w − w*‖²).
Source: Welling and Teh 2011; Lau et al., arXiv:2308.12108, section 4.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from emergence_jax.base.types import PyTree

SAMPLERS = ('sgld', 'rmsprop')
# Proposals from which the acceptance rate of a chain is estimated.
_PROPOSALS = 16
# Of the RMSprop preconditioner 1 / (stability + sqrt(mean square)).
_DECAY, _STABILITY = 0.99, 0.1


class Target(NamedTuple):
  """What is sampled, on flat vectors.

  Attributes:
    loss: (w [P], batch) → scalar.
    center_P: w*, where chains start.
    mask_P: 1 where a parameter moves, 0 where it stays.
    nbeta: number of examples times inverse temperature.
    localization: γ.
  """

  loss: Callable[[jax.Array, PyTree], jax.Array]
  center_P: jax.Array
  mask_P: jax.Array
  nbeta: jax.Array | float
  localization: jax.Array | float


class Chain(NamedTuple):
  """One chain.

  Attributes:
    losses_T: loss of each step's batch at its draw, burn-in included.
    evaluations_K: loss on all of the data at every so many draws after the
      burn-in, which no noise of a batch hides.
    end_P: the last draw.
    acceptance: [], mean Metropolis acceptance of moves from the end.
    stretch: [], largest entry of the preconditioner.
  """

  losses_T: jax.Array
  evaluations_K: jax.Array
  end_P: jax.Array
  acceptance: jax.Array
  stretch: jax.Array


def _slope(target: Target, w_P, batch):
  """Loss of a batch, and the gradient of −log of the target."""
  loss, grad_P = jax.value_and_grad(target.loss)(w_P, batch)
  pull_P = target.localization * (w_P - target.center_P)
  return loss, grad_P, (target.nbeta * grad_P + pull_P) * target.mask_P


def _move(target: Target, step_size, scale_P, w_P, slope_P, key):
  """The next draw: half a step down the slope, and noise."""
  noise_P = jax.random.normal(key, w_P.shape, w_P.dtype) * target.mask_P
  size_P = step_size * scale_P
  return w_P - size_P / 2 * slope_P + jnp.sqrt(size_P) * noise_P


def _log_acceptance(target, step_size, scale_P, here, proposed):
  """Log of the Metropolis acceptance probability of a move.

  Source: Roberts and Tweedie 1996 (MALA).

  Args:
    target: what is sampled.
    step_size: ε.
    scale_P: preconditioner.
    here: point [P], loss and slope [P] on one batch.
    proposed: the same of the point moved to.
  """
  (w_P, loss, slope_P), (next_P, next_loss, next_slope_P) = here, proposed
  change_P = next_P - w_P
  # Differences are taken before sums, so that float32 keeps them.
  middle_P = (next_P + w_P) / 2 - target.center_P
  rise = target.nbeta * (next_loss - loss) + target.localization * jnp.sum(
    change_P * middle_P
  )
  size_P = step_size * scale_P
  forth_P = change_P + size_P / 2 * slope_P
  back_P = -change_P + size_P / 2 * next_slope_P
  log_ratio = -rise - jnp.sum((back_P**2 - forth_P**2) / (2 * size_P))
  return jnp.minimum(log_ratio, 0)


def chain(
  target: Target,
  draw_batch: Callable[[jax.Array], PyTree],
  key: jax.Array,
  *,
  step_size: jax.Array,
  num_burnin: int,
  num_draws: int,
  evaluate: Callable[[jax.Array], jax.Array] | None = None,
  every: int = 1,
  sampler: str = 'sgld',
) -> Chain:
  """Runs one chain from w*.

  Args:
    target: what is sampled.
    draw_batch: key → batch of a step.
    key: of the chain.
    step_size: ε; a draw moves by −ε/2 ∇ + sqrt(ε) noise.
    num_burnin: steps before the draws that count; at least 1 for `rmsprop`.
    num_draws: steps after them; evaluated are the last `num_draws // every`
      blocks of `every`.
    evaluate: w [P] → loss on all of the data; absent where the batch is all of
      it.
    every: draws from one evaluation to the next.
    sampler: `sgld`, or `rmsprop`: preconditioned by running mean squares of
      the loss gradient (Li et al., arXiv:1512.07666), which are held fixed
      after the burn-in. A preconditioner that went on adapting would follow
      the draws, and their distribution would be another one.
  """
  adaptive = sampler == 'rmsprop'

  def slope_at(w_P, i):
    """Loss, its gradient, slope of the target, and the key of the noise."""
    key_batch, key_noise = jax.random.split(jax.random.fold_in(key, i))
    return *_slope(target, w_P, draw_batch(key_batch)), key_noise

  def scale(square_P, count):
    return 1 / (_STABILITY + jnp.sqrt(square_P / (1 - _DECAY**count)))

  def burn(carry, i):
    w_P, square_P, scale_P = carry
    loss, grad_P, slope_P, key_noise = slope_at(w_P, i)
    if adaptive:
      adapts = i < num_burnin
      mean_P = _DECAY * square_P + (1 - _DECAY) * grad_P**2
      square_P = jnp.where(adapts, mean_P, square_P)
      scale_P = jnp.where(adapts, scale(mean_P, i + 1.0), scale_P)
    w_P = _move(target, step_size, scale_P, w_P, slope_P, key_noise)
    return (w_P, square_P, scale_P), loss

  unit = jnp.ones((), target.center_P.dtype)
  square_P = jnp.zeros_like(target.center_P) if adaptive else unit
  scale_P = jnp.ones_like(target.center_P) if adaptive else unit
  blocks = num_draws // every
  end = num_burnin + num_draws
  # With the draws that fill no block, so that they need no program of their
  # own.
  first = end - every * blocks
  (w_P, _, scale_P), burnt_B = jax.lax.scan(
    burn, (target.center_P, square_P, scale_P), jnp.arange(first)
  )

  def draw(w_P, i):
    loss, _, slope_P, key_noise = slope_at(w_P, i)
    return _move(target, step_size, scale_P, w_P, slope_P, key_noise), loss

  def block(w_P, first):
    value = evaluate(w_P)
    w_P, losses_E = jax.lax.scan(draw, w_P, first + jnp.arange(every))
    return w_P, (value, losses_E)

  if evaluate is None:
    w_P, losses_D = jax.lax.scan(draw, w_P, jnp.arange(first, end))
    evaluations_K = losses_D
  else:
    starts = first + every * jnp.arange(blocks)
    w_P, (evaluations_K, losses_KE) = jax.lax.scan(block, w_P, starts)
    losses_D = losses_KE.reshape(-1)
  losses_T = jnp.concatenate([burnt_B, losses_D])

  # Moves from the end on one batch; the first only evaluates where it stands.
  batch = draw_batch(jax.random.fold_in(key, end))

  def propose(here, i):
    moved_P = _move(
      target, step_size, scale_P, here[0], here[2],
      jax.random.fold_in(key, end + 1 + i),
    )  # fmt: skip
    point_P = jnp.where(i == 0, here[0], moved_P)
    loss, _, slope_P = _slope(target, point_P, batch)
    proposed = point_P, loss, slope_P
    return proposed, _log_acceptance(target, step_size, scale_P, here, proposed)

  _, log_accepted = jax.lax.scan(
    propose, (w_P, losses_T[-1], jnp.zeros_like(w_P)),
    jnp.arange(_PROPOSALS + 1),
  )  # fmt: skip
  acceptance = jnp.mean(jnp.exp(log_accepted[1:]))
  stretch = jnp.max(scale_P * target.mask_P)
  return Chain(losses_T, evaluations_K, w_P, acceptance, stretch)
