"""The local learning coefficient, with an account of its own error."""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from emergence_jax.base.types import PyTree, Status
from emergence_jax.numerics import (
  chains,
  leaves,
  local,
  masks,
  operators,
  sgld,
)
from emergence_jax.numerics.compiled import compiled

# The paper's settings, read as 500 steps of which the first 100 are dropped;
# with nbeta = 1, so that only its raw loss elevation has a meaning.
# Source: arXiv:2602.15997, section 3.
PAPER_SETTINGS = dict(
  step_size=1e-5,
  num_draws=400,
  num_burnin=100,
  num_chains=1,
  localization=10_000.0,
  nbeta=1.0,
)

# Limits of what a status calls OK. Relative to the estimate: bias, shortfall
# and effect of the gradient; standard error.
MAX_RHAT, MAX_DRIFT, MAX_DISCRETIZATION = 1.1, 4.0, 0.8
MAX_BIAS, MAX_ERROR = 0.1, 0.2
MIN_ESS = 8
# Chains of more parameters than this run one after another on a CPU.
_SMALL = 10_000
# Evaluations on all of the data cost this part of the chain's own steps, but a
# chain has at least so many.
_EVALUATION_COST, _EVALUATIONS = 0.25, 16


class LLC(NamedTuple):
  """An estimate and its diagnostics.

  Attributes:
    llc: [], nβ·(mean loss of the draws − loss at w*).
    stderr: [], its standard error over the draws, no less than what as many
      would have if the loss were quadratic, and half of `bias`: ±2 of it cover
      also where there are few effective draws.
    llc_per_chain: [C].
    elevation: [], mean loss of the draws − loss at w*, in nats.
    initial_loss: [], L(w*) on the full data.
    losses: [C, burn-in + draws], batch losses along the chains.
    evaluations: [C, K], losses on all of the data at every so many draws, of
      which the estimate is made: no noise of a batch hides a slow chain.
    rhat: [], split R-hat, 1 if the chains agree.
    ess: [], effective number of independent draws.
    drift: [], last half minus first half of the draws, in standard errors.
    acceptance: [], mean Metropolis acceptance of moves from the chains' ends.
    lambda_max: [], largest eigenvalue of the Hessian at w* and at the chains'
      ends (around a degenerate minimum it grows away from w*).
    discretization: [], ε·(nβ·λmax + γ)/4, the relative excess variance that
      the finite step gives the stiffest direction; unstable from 1 on.
    bias: [], what finite steps and the noise of minibatches add to `llc`,
      as if the loss were quadratic.
    noise: [], the noise's part of `bias`, from the gradients of all examples.
    noise_error: [], standard error of `noise`.
    foretold: [], what `llc` would be if the loss were quadratic; 0 where its
      curvature was not looked at.
    foretold_stderr: [], what its standard error would be.
    shortfall: [], what chains that are too short lack, likewise.
    gradient_norm: [], ‖∇L(w*)‖ of what moves; 0 at a minimum.
    gradient_effect: [], what it adds to `llc` (never positive), likewise.
    rounding: [], error of `llc` from the rounding of losses.
    nbeta: [].
    status: int8 [], a `Status`: BIASED or NOT_MIXED where `bias` or
      `shortfall` is above a tenth of `llc`, NOT_A_MINIMUM where
      `gradient_effect` is above a tenth of what it would be without;
      BIASED also above a discretization of 0.8; NOT_MIXED also where R-hat
      is significantly above 1.1, above 4 of drift, with fewer than 8
      effective draws, or a standard error above a fifth of `llc`; NEGATIVE
      below −2 standard errors; UNTRUSTED where rounding is above a tenth.
  """

  llc: jax.Array
  stderr: jax.Array
  llc_per_chain: jax.Array
  elevation: jax.Array
  initial_loss: jax.Array
  losses: jax.Array
  evaluations: jax.Array
  rhat: jax.Array
  ess: jax.Array
  drift: jax.Array
  acceptance: jax.Array
  lambda_max: jax.Array
  discretization: jax.Array
  bias: jax.Array
  noise: jax.Array
  noise_error: jax.Array
  foretold: jax.Array
  foretold_stderr: jax.Array
  shortfall: jax.Array
  gradient_norm: jax.Array
  gradient_effect: jax.Array
  rounding: jax.Array
  nbeta: jax.Array
  status: jax.Array


def _status(llc: LLC, of_draws: jax.Array) -> jax.Array:
  """The status, with the standard error that the draws themselves say."""
  size = jnp.abs(llc.llc)
  halves = 2 * llc.llc_per_chain.size
  # Halves of few effective draws differ by chance: by about 1 / draws of the
  # variance, and by 6.6 times that in 1% of sound estimates of one chain (the
  # 99% quantile of χ²/k of k = halves − 1 degrees of freedom, here by a rule).
  tail = 1 + 5.6 / math.sqrt(halves - 1)
  by_chance = tail * halves / jnp.maximum(llc.ess, 1)
  apart = llc.rhat**2 > jnp.maximum(MAX_RHAT**2, 1 + by_chance)
  unmixed = apart | (jnp.abs(llc.drift) > MAX_DRIFT) | (llc.ess < MIN_ESS)
  unmixed |= of_draws > MAX_ERROR * size
  # What so few draws can tell, whatever they happen to say.
  unmixed |= llc.foretold_stderr > MAX_ERROR * jnp.maximum(llc.foretold, 0)
  unmixed |= llc.shortfall > MAX_BIAS * size
  # Unless it is known to be below.
  bias = llc.bias + 2 * llc.noise_error
  biased = (llc.discretization > MAX_DISCRETIZATION) | ~(
    bias <= MAX_BIAS * size
  )
  finite = jnp.all(jnp.isfinite(llc.losses)) & jnp.isfinite(llc.initial_loss)
  status = jnp.int8(Status.OK)
  for holds, word in (
    (unmixed, Status.NOT_MIXED),
    (biased, Status.BIASED),
    (llc.rounding > MAX_BIAS * size, Status.UNTRUSTED),
    (llc.llc < -2 * llc.stderr, Status.NEGATIVE),
    (
      -llc.gradient_effect > MAX_BIAS * jnp.abs(llc.llc - llc.gradient_effect),
      Status.NOT_A_MINIMUM,
    ),
    (~finite, Status.NON_FINITE),
  ):
    status = jnp.where(holds, jnp.int8(word), status)
  return status


def check_number(name: str, value, least: float, strictly: bool) -> None:
  """Checks a number, unless it is traced."""
  if value is None or isinstance(value, jax.core.Tracer):
    return
  if not (value > least if strictly else value >= least):
    word = 'above' if strictly else 'at least'
    raise ValueError(f'{name}={value} must be {word} {least}.')


def _check(num_draws, num_burnin, num_chains, sampler, count, batch_size):
  for name, value, least in (
    ('num_draws', num_draws, 8),
    ('num_burnin', num_burnin, 1 if sampler == 'rmsprop' else 0),
    ('num_chains', num_chains, 1),
  ):
    check_number(name, value, least, False)
  if sampler not in sgld.SAMPLERS:
    raise ValueError(f'sampler={sampler!r} is unknown; known: {sgld.SAMPLERS}.')
  check_count(count)
  if batch_size is not None and not 1 <= batch_size <= count:
    raise ValueError(
      f'batch_size={batch_size} must be from 1 to the {count} examples.'
    )


def check_count(count: int) -> None:
  """Raises a ValueError for fewer than 2 examples."""
  if count < 2:
    raise ValueError(f'the data have {count} examples; at least 2 are needed.')


def _chains_at_once(size: int) -> bool:
  """Whether chains of `size` parameters run by `vmap`."""
  return size <= _SMALL or jax.default_backend() != 'cpu'


def _every(count: int, batch_size: int | None, num_draws: int) -> int:
  """Draws from one evaluation on all of the data to the next."""
  if batch_size is None:
    return 1
  # A step costs about three evaluations of its batch.
  wanted = math.ceil(count / (3 * batch_size * _EVALUATION_COST))
  return max(1, min(wanted, num_draws // _EVALUATIONS))


@compiled('params', 'data', 'key', 'mask', 'curvature')
def estimate_llc(
  loss: Callable[[PyTree, PyTree], jax.Array],
  params: PyTree,
  data: PyTree,
  key: jax.Array,
  *,
  step_size: float | jax.Array,
  num_draws: int,
  num_burnin: int,
  num_chains: int,
  localization: float | jax.Array,
  nbeta: float | jax.Array | None = None,
  batch_size: int | None = None,
  examples_at_once: int | None = None,
  sampler: str = 'sgld',
  mask: PyTree | None = None,
  descent: int = 0,
  curvature: tuple[jax.Array, jax.Array] | None = None,
) -> LLC:
  """Local learning coefficient at a point, by Langevin dynamics around it.

  λ̂ = nβ·(E[L(w)] − L(w*)), over w from exp(−nβ L(w) − γ/2 ‖w − w*‖²).
  Source: Lau et al., arXiv:2308.12108, eq. 8.

  >>> def loss(w, x):  # regular in 4 dimensions: λ = 2
  ...   return jnp.sum(w**2) / 2 + 0 * jnp.mean(x)
  >>> found = estimate_llc(
  ...   loss, jnp.zeros(4), jnp.zeros(1000), jax.random.key(0),
  ...   step_size=1e-3, num_draws=4000, num_burnin=100, num_chains=4,
  ...   localization=1.0)
  >>> abs(found.llc - 2.07) < 4 * found.stderr, found.stderr < 0.1
  (Array(True, dtype=bool), Array(True, dtype=bool))

  Args:
    loss: (params, batch) → scalar, a mean over the batch.
    params: w*, any pytree with P floating numbers; other leaves stay.
    data: pytree, leading axis n ≥ 2.
    key: of the chains.
    step_size: ε of a move −ε/2 ∇ + sqrt(ε) noise.
    num_draws: draws of a chain that count, at least 8.
    num_burnin: draws of a chain before them, which do not.
    num_chains: independent chains, each with minibatches of its own.
    localization: γ.
    nbeta: nβ; n / log n if absent.
    batch_size: examples of a minibatch, drawn with replacement; all n if
      absent. All of the data are evaluated now and then all the same.
    examples_at_once: most examples in a slice of all of the data, which bounds
      the memory; `batch_size` if absent.
    sampler: `sgld`, or `rmsprop` (preconditioned, see `sgld.chain`; its
      discretization and bias are upper bounds).
    mask: like `params` or a prefix of it, of concrete booleans or boolean
      arrays that broadcast to the leaves; only where it is true do parameters
      move.
    descent: steps of gradient descent on all of the data, of length 1/λmax,
      that first take w* to the bottom of its valley. A checkpoint of a
      training that oscillates is at no minimum, though there is one near it;
      all that follows, `initial_loss` too, is then about that point.
    curvature: largest eigenvalue and trace of the Hessian, if they are known:
      then noise, shortfall and gradient are not looked at. Else eight Lanczos
      steps on `batch_size` examples, at w* and at every end, estimate all.

  Returns:
    An `LLC`. `step_size`, `localization` and `nbeta` may be traced.

  Raises:
    ValueError: for a loss that is no scalar, a bad mask, fewer than 2
      examples, or a number out of range.
  """
  operators.check_scalar('loss', loss, params, data)
  count = operators.leading_size(data)
  _check(num_draws, num_burnin, num_chains, sampler, count, batch_size)
  check_number('descent', descent, 0, False)
  operators.check_at_once(examples_at_once)
  examples_at_once = examples_at_once or batch_size
  check_number('step_size', step_size, 0, True)
  check_number('localization', localization, 0, False)
  check_number('nbeta', nbeta, 0, True)
  data = jax.tree.map(jnp.asarray, data)
  center_P, unravel = leaves.ravel(params)
  mask_P = masks.flat(mask, params).astype(center_P.dtype)
  if nbeta is None:
    nbeta = count / math.log(count)

  @jax.jit  # so that the model is traced once, and not where it is used
  def flat_loss(w_P, batch):
    return loss(unravel(w_P), batch)

  def draw_batch(key):
    if batch_size is None:
      return data
    # Uniform to count / 2³²; `randint` takes ten times as long to compile.
    pick = jax.random.bits(key, (batch_size,), jnp.uint32) % jnp.uint32(count)
    return jax.tree.map(lambda x: x[pick], data)

  def whole_loss(w_P):
    return operators.batch_mean(
      lambda part: flat_loss(w_P, part), data, examples_at_once=examples_at_once
    )

  target = sgld.Target(flat_loss, center_P, mask_P, nbeta, localization)
  if descent:
    center_P = local.descend(
      target, data, jax.random.fold_in(key, num_chains + 1), steps=descent,
      examples_at_once=examples_at_once,
    )  # fmt: skip
    target = target._replace(center_P=center_P)

  every = _every(count, batch_size, num_draws)

  def run(i):
    return sgld.chain(
      target, draw_batch, jax.random.fold_in(key, i), step_size=step_size,
      num_burnin=num_burnin, num_draws=num_draws, sampler=sampler,
      evaluate=None if batch_size is None else whole_loss,
      every=every,
    )  # fmt: skip

  at_once = _chains_at_once(center_P.size)
  each = jax.vmap if at_once else lambda f: functools.partial(jax.lax.map, f)
  ran = each(run)(jnp.arange(num_chains))
  stretch = jnp.max(ran.stretch)
  if curvature is None:
    seen = local.look(
      target, draw_batch, ran.end_P, jax.random.fold_in(key, num_chains),
      data=data, examples_at_once=examples_at_once,
      batch_size=batch_size, each=each,
      steps=local.Steps(
        step_size * stretch, num_burnin, num_draws, num_chains, every
      ),
    )  # fmt: skip
  else:
    seen = local.known(*curvature, target, step_size * stretch)
  initial = ran.initial[0]
  rise_CK = ran.evaluations_K - initial
  elevation = chains.mean(rise_CK)
  stiffness = nbeta * seen.lambda_max + localization
  dtype = center_P.dtype
  bias = seen.discretization + seen.noise
  of_draws = nbeta * elevation.stderr
  estimate = LLC(
    llc=nbeta * elevation.mean,
    stderr=jnp.maximum(of_draws, seen.stderr) + bias / 2,
    llc_per_chain=nbeta * jnp.mean(rise_CK, 1),
    elevation=elevation.mean,
    initial_loss=initial,
    losses=ran.losses_T,
    evaluations=ran.evaluations_K,
    rhat=chains.rhat(rise_CK),
    ess=elevation.ess,
    drift=chains.drift(rise_CK),
    acceptance=jnp.mean(ran.acceptance),
    lambda_max=jnp.asarray(seen.lambda_max, dtype),
    discretization=step_size * stretch * stiffness / 4,
    bias=bias,
    noise=seen.noise,
    noise_error=seen.noise_error,
    foretold=seen.size,
    foretold_stderr=seen.stderr,
    shortfall=seen.shortfall,
    gradient_norm=seen.gradient_norm,
    gradient_effect=seen.gradient_effect,
    rounding=nbeta * jnp.finfo(dtype).eps * jnp.abs(initial),
    nbeta=jnp.asarray(nbeta, dtype),
    status=jnp.int8(Status.OK),
  )
  return estimate._replace(status=_status(estimate, of_draws))
