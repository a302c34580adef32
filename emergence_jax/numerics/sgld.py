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
    initial: [], loss on all of the data at w*.
    evaluations_K: loss on all of the data at every so many draws after the
      burn-in, which no noise of a batch hides.
    end_P: the last draw.
    acceptance: [], mean Metropolis acceptance of moves from the end.
    stretch: [], largest entry of the preconditioner.
  """

  losses_T: jax.Array
  initial: jax.Array
  evaluations_K: jax.Array
  end_P: jax.Array
  acceptance: jax.Array
  stretch: jax.Array


class _State(NamedTuple):
  """A chain on its way.

  Attributes:
    w_P: where it stands.
    square_P: running mean square of the gradient; a scalar if not adaptive.
    scale_P: preconditioner; likewise.
    losses_T: so far.
  """

  w_P: jax.Array
  square_P: jax.Array
  scale_P: jax.Array
  losses_T: jax.Array


def _slope(target: Target, w_P, batch):
  """Loss of a batch, and the gradient of −log of the target."""
  loss, grad_P = jax.value_and_grad(target.loss)(w_P, batch)
  pull_P = target.localization * (w_P - target.center_P)
  return loss, grad_P, (target.nbeta * grad_P + pull_P) * target.mask_P


def signs(key: jax.Array, size: int, dtype) -> jax.Array:
  """Independent signs ±1 [size], one random bit each."""
  words_W = jax.random.bits(key, (-(-size // 32),), jnp.uint32)
  bits_WB = words_W[:, None] >> jnp.arange(32, dtype=jnp.uint32) & 1
  return 2 * bits_WB.reshape(-1)[:size].astype(dtype) - 1


def _move(target: Target, step_size, scale_P, w_P, slope_P, noise_P):
  """The next draw: half a step down the slope, and noise."""
  size_P = step_size * scale_P
  noise_P = jnp.sqrt(size_P) * target.mask_P * noise_P
  return w_P - size_P / 2 * slope_P + noise_P


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

  Its noise has two points, ±1, and not a normal distribution: what the noise
  adds up to over many steps depends on its variance alone (a weak Euler
  scheme: Kloeden and Platen 1992, section 14.1), the mean of a quadratic loss
  at every step; and a random bit costs a CPU a tenth of a normal number.
  Proposals, of which an acceptance rate is defined, are normal.

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
  dtype, size = target.center_P.dtype, target.center_P.size
  blocks = num_draws // every
  end = num_burnin + num_draws
  # With the draws that fill no block.
  first = end - every * blocks

  def scale(square_P, count):
    return 1 / (_STABILITY + jnp.sqrt(square_P / (1 - _DECAY**count)))

  def step(i, state: _State) -> _State:
    key_batch, key_noise = jax.random.split(jax.random.fold_in(key, i))
    w_P, square_P, scale_P, losses_T = state
    loss, grad_P, slope_P = _slope(target, w_P, draw_batch(key_batch))
    if adaptive:
      adapts = i < num_burnin
      mean_P = _DECAY * square_P + (1 - _DECAY) * grad_P**2
      square_P = jnp.where(adapts, mean_P, square_P)
      scale_P = jnp.where(adapts, scale(mean_P, i + 1.0), scale_P)
    noise_P = signs(key_noise, size, dtype)
    w_P = _move(target, step_size, scale_P, w_P, slope_P, noise_P)
    return _State(w_P, square_P, scale_P, losses_T.at[i].set(loss))

  def block(state: _State, ends):
    start, stop = ends
    value = evaluate(state.w_P) if evaluate is not None else None
    return jax.lax.fori_loop(start, stop, step, state), value

  unit = jnp.ones((), dtype)
  state = _State(
    target.center_P,
    jnp.zeros_like(target.center_P) if adaptive else unit,
    jnp.ones_like(target.center_P) if adaptive else unit,
    jnp.zeros(end, dtype),
  )
  # The first block is the burn-in, so that all steps are of one program.
  stops = first + every * jnp.arange(blocks + 1)
  starts = jnp.concatenate([jnp.zeros(1, stops.dtype), stops[:-1]])
  state, evaluated = jax.lax.scan(block, state, (starts, stops))
  w_P, _, scale_P, losses_T = state
  if evaluate is None:
    initial, evaluations_K = losses_T[0], losses_T[first:]
  else:
    initial, evaluations_K = evaluated[0], evaluated[1:]

  # Moves from the end on one batch; the first only evaluates where it stands.
  batch = draw_batch(jax.random.fold_in(key, end))

  def propose(here, i):
    noise_P = jax.random.normal(
      jax.random.fold_in(key, end + 1 + i), (size,), dtype
    )
    moved_P = _move(target, step_size, scale_P, here[0], here[2], noise_P)
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
  return Chain(losses_T, initial, evaluations_K, w_P, acceptance, stretch)
