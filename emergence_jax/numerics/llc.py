"""The local learning coefficient, with an account of its own error."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from emergence_jax.numerics import chains, krylov, operators, sgld
from emergence_jax.types import PyTree, Status

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

# Limits of what a status calls OK.
MAX_RHAT, MAX_DRIFT, MAX_DISCRETIZATION, MAX_BIAS = 1.1, 4.0, 0.5, 0.1
# Chains of more parameters than this run one after another on a CPU.
_SMALL = 10_000
_LANCZOS_STEPS = 8


class LLC(NamedTuple):
  """An estimate and its diagnostics.

  Attributes:
    llc: [], nβ·(mean loss of the draws − loss at w*).
    stderr: [], its standard error over the draws.
    llc_per_chain: [C].
    elevation: [], mean loss of the draws − loss at w*, in nats.
    initial_loss: [], L(w*) on the full data.
    losses: [C, burn-in + draws], batch losses along the chains.
    rhat: [], split R-hat, 1 if the chains agree.
    ess: [], effective number of independent draws.
    drift: [], last half minus first half of the draws, in standard errors.
    acceptance: [], mean Metropolis acceptance of moves from the chains' ends.
    lambda_max: [], largest eigenvalue of the Hessian at w* and at the chains'
      ends (around a degenerate minimum it grows away from w*).
    discretization: [], ε·(nβ·λmax + γ)/4, the relative excess variance that
      the finite step gives the stiffest direction; unstable from 1 on.
    bias: [], what finite steps add to `llc` to first order, ε·nβ·tr(H)/8, by
      a rough trace at the same points.
    nbeta: [].
    status: int8 [], a `Status`: BIASED where discretization is above 0.5 or
      bias above a tenth of `llc`, NEGATIVE below −2 standard errors,
      NOT_MIXED above an R-hat of 1.1 or 4 of drift.
  """

  llc: jax.Array
  stderr: jax.Array
  llc_per_chain: jax.Array
  elevation: jax.Array
  initial_loss: jax.Array
  losses: jax.Array
  rhat: jax.Array
  ess: jax.Array
  drift: jax.Array
  acceptance: jax.Array
  lambda_max: jax.Array
  discretization: jax.Array
  bias: jax.Array
  nbeta: jax.Array
  status: jax.Array


def _flat_mask(mask: PyTree | None, params: PyTree) -> np.ndarray | float:
  """A mask as a flat 0/1 vector [P].

  Raises:
    ValueError: if it selects nothing, or does not fit the parameters.
  """
  if mask is None:
    return 1.0
  leaves = jax.tree.leaves(
    jax.tree.map(
      lambda m, p: np.broadcast_to(np.asarray(m, bool), np.shape(p)).ravel(),
      mask,
      params,
    )
  )
  flat_P = np.concatenate(leaves)
  if not flat_P.any():
    raise ValueError('the mask selects no parameter; set some leaf to True.')
  return flat_P.astype(np.float32)


def _status(llc: LLC) -> jax.Array:
  ok = jnp.int8(Status.OK)
  unmixed = (llc.rhat > MAX_RHAT) | (jnp.abs(llc.drift) > MAX_DRIFT)
  status = jnp.where(unmixed, jnp.int8(Status.NOT_MIXED), ok)
  biased = llc.discretization > MAX_DISCRETIZATION
  biased |= llc.bias > MAX_BIAS * jnp.abs(llc.llc) + llc.stderr
  status = jnp.where(biased, jnp.int8(Status.BIASED), status)
  negative = llc.llc < -2 * llc.stderr
  status = jnp.where(negative, jnp.int8(Status.NEGATIVE), status)
  finite = jnp.all(jnp.isfinite(llc.losses)) & jnp.isfinite(llc.initial_loss)
  return jnp.where(finite, status, jnp.int8(Status.NON_FINITE))


def _check(num_draws, num_burnin, num_chains, sampler, count, batch_size):
  for name, value, least in (
    ('num_draws', num_draws, 8),
    ('num_burnin', num_burnin, 0),
    ('num_chains', num_chains, 1),
  ):
    if value < least:
      raise ValueError(f'{name}={value} must be at least {least}.')
  if sampler not in sgld.SAMPLERS:
    raise ValueError(f'sampler={sampler!r} is unknown; known: {sgld.SAMPLERS}.')
  if count < 2:
    raise ValueError(f'the data have {count} examples; at least 2 are needed.')
  if batch_size is not None and not 1 <= batch_size <= count:
    raise ValueError(
      f'batch_size={batch_size} must be from 1 to the {count} examples.'
    )


def _chains_at_once(size: int) -> bool:
  """Whether chains of `size` parameters run by `vmap`."""
  return size <= _SMALL or jax.default_backend() != 'cpu'


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
  sampler: str = 'sgld',
  mask: PyTree | None = None,
  curvature: tuple[jax.Array, jax.Array] | None = None,
) -> LLC:
  """Local learning coefficient at a point, by Langevin dynamics around it.

  λ̂ = nβ·(E[L(w)] − L(w*)), over w from exp(−nβ L(w) − γ/2 ‖w − w*‖²).
  Source: Lau et al., arXiv:2308.12108, eq. 8.

  >>> def loss(w, x):  # regular in 4 dimensions: λ = 2
  ...   return jnp.sum(w**2) / 2 + 0 * jnp.mean(x)
  >>> found = estimate_llc(
  ...   loss, jnp.zeros(4), jnp.zeros(1000), jax.random.key(0),
  ...   step_size=1e-3, num_draws=2000, num_burnin=100, num_chains=4,
  ...   localization=1.0)
  >>> abs(found.llc - 2.07) < 4 * found.stderr, found.stderr < 0.1
  (Array(True, dtype=bool), Array(True, dtype=bool))

  Args:
    loss: (params, batch) → scalar, a mean over the batch.
    params: w*, any pytree of floating arrays, P numbers in all.
    data: pytree, leading axis n ≥ 2.
    key: of the chains.
    step_size: ε of a move −ε/2 ∇ + sqrt(ε) noise.
    num_draws: draws of a chain that count, at least 8.
    num_burnin: draws of a chain before them, which do not.
    num_chains: independent chains, each with minibatches of its own.
    localization: γ.
    nbeta: nβ; n / log n if absent.
    batch_size: examples of a minibatch, drawn with replacement; all n if
      absent.
    sampler: `sgld`, or `rmsprop` (preconditioned; its discretization is an
      upper bound).
    mask: like `params`, of concrete booleans or arrays that broadcast to the
      leaves; only parameters where it is true move.
    curvature: largest eigenvalue and trace of the Hessian, if they are known;
      else eight Lanczos steps on `batch_size` examples estimate both at w*
      and at every end.

  Returns:
    An `LLC`. `step_size`, `localization` and `nbeta` may be traced.

  Raises:
    ValueError: for a loss that is no scalar, an empty mask, fewer than 2
      examples, or a number out of range.
  """
  operators.check_scalar('loss', loss, params, data)
  count = operators.leading_size(data)
  _check(num_draws, num_burnin, num_chains, sampler, count, batch_size)
  center_P, unravel = ravel_pytree(params)
  mask_P = jnp.broadcast_to(
    jnp.asarray(_flat_mask(mask, params), center_P.dtype), center_P.shape
  )
  if nbeta is None:
    nbeta = count / math.log(count)

  def flat_loss(w_P, batch):
    return loss(unravel(w_P), batch)

  def draw_batch(key):
    if batch_size is None:
      return data
    pick = jax.random.randint(key, (batch_size,), 0, count)
    return jax.tree.map(lambda x: x[pick], data)

  some = jax.tree.map(lambda x: x[: batch_size or count], data)

  def curvature_at(w_P):
    """Largest eigenvalue and trace of the Hessian among what moves."""
    hessian = operators.hessian(flat_loss, w_P, some)
    t = krylov.lanczos(
      lambda v_P: mask_P * hessian(mask_P * v_P), w_P.size,
      jax.random.fold_in(key, num_chains),
      num_matvecs=min(_LANCZOS_STEPS, w_P.size), dtype=w_P.dtype,
    )  # fmt: skip
    # The first entry is v·Hv of a random unit vector: P times it, the trace.
    return krylov.ritz(t).values_M[-1], w_P.size * t.diagonal_M[0]

  target = sgld.Target(flat_loss, center_P, mask_P, nbeta, localization)

  def run(i):
    return sgld.chain(
      target, draw_batch, jax.random.fold_in(key, i), step_size=step_size,
      num_steps=num_burnin + num_draws, sampler=sampler,
    )  # fmt: skip

  at_once = _chains_at_once(center_P.size)
  each = jax.vmap if at_once else lambda f: functools.partial(jax.lax.map, f)
  ran = each(run)(jnp.arange(num_chains))
  if curvature is None:
    points = jnp.concatenate([center_P[None], ran.end_P])
    largest, traces = each(curvature_at)(points)
    # A chain that has diverged is not stiff but lost, and its status says so.
    curvature = jnp.nanmax(largest), jnp.nanmean(traces)
  lambda_max, trace = curvature
  initial = operators.batch_mean(
    lambda part: flat_loss(center_P, part), data, chunk=batch_size or 0
  )
  rise_CD = ran.losses_T[:, num_burnin:] - initial
  elevation = chains.mean(rise_CD)
  stretch = jnp.max(ran.stretch)
  stiffness = nbeta * lambda_max * stretch + localization
  estimate = LLC(
    llc=nbeta * elevation.mean,
    stderr=nbeta * elevation.stderr,
    llc_per_chain=nbeta * jnp.mean(rise_CD, 1),
    elevation=elevation.mean,
    initial_loss=initial,
    losses=ran.losses_T,
    rhat=chains.rhat(rise_CD),
    ess=elevation.ess,
    drift=chains.drift(rise_CD),
    acceptance=jnp.mean(ran.acceptance),
    lambda_max=jnp.asarray(lambda_max, center_P.dtype),
    discretization=step_size * stiffness / 4,
    bias=step_size * nbeta * jnp.maximum(trace, 0) * stretch / 8,
    nbeta=jnp.asarray(nbeta, center_P.dtype),
    status=jnp.int8(Status.OK),
  )
  return estimate._replace(status=_status(estimate))


class Calibration(NamedTuple):
  """Estimates over a grid of settings, G points, and the one to take.

  Attributes:
    step_size: [G].
    localization: [G].
    nbeta: [G].
    estimates: `LLC` with a leading axis G.
    error: [G], relative: standard error and bias of the steps together; inf
      where the status is not OK.
    recommended: int32 [], the point of least error; −1 if none is OK.
  """

  step_size: jax.Array
  localization: jax.Array
  nbeta: jax.Array
  estimates: LLC
  error: jax.Array
  recommended: jax.Array

  def explain(self) -> str:
    """The choice and its reasons, in words; call it outside `jit`."""
    statuses = [Status(int(s)) for s in self.estimates.status]
    counts = {s: statuses.count(s) for s in Status if s in statuses}
    tally = ', '.join(f'{n} {s.words}' for s, n in counts.items())
    lines = [f'{len(statuses)} settings: {tally}.']
    i = int(self.recommended)
    if i < 0:
      lines.append(
        'None is to be recommended. Where "biased" prevails, take smaller '
        'steps; where "not mixed" does, more draws, or stronger localization.'
      )
      return '\n'.join(lines)
    e = jax.tree.map(lambda x: x[i], self.estimates)
    ok = np.asarray(self.estimates.llc)[[s == Status.OK for s in statuses]]
    lines += [
      f'Recommended: step_size={float(self.step_size[i]):.3g}, localization='
      f'{float(self.localization[i]):.3g}, nbeta={float(self.nbeta[i]):.4g}, '
      'which has the least error '
      f'({float(self.error[i]):.1%}: standard error '
      f'{float(e.stderr):.3g} of {float(e.llc):.4g}, bias of the steps '
      f'{float(e.bias):.3g}).',
      f'R-hat {float(e.rhat):.3f}, {float(e.ess):.0f} effective draws, drift '
      f'{float(e.drift):.1f} standard errors, acceptance '
      f'{float(e.acceptance):.2f}.',
      f'Over all settings that are ok the estimate lies between '
      f'{ok.min():.4g} and {ok.max():.4g}.',
    ]
    return '\n'.join(lines)


def calibrate_llc(
  loss: Callable[[PyTree, PyTree], jax.Array],
  params: PyTree,
  data: PyTree,
  key: jax.Array,
  *,
  step_sizes: Sequence[float],
  localizations: Sequence[float],
  nbetas: Sequence[float | None] = (None,),
  **settings,
) -> Calibration:
  """Estimates the LLC on a grid of settings, in one compiled call.

  Chains of all settings share their randomness, so that differences are due
  to the settings.

  >>> def loss(w, x):
  ...   return jnp.sum(w**2) / 2 + 0 * jnp.mean(x)
  >>> found = calibrate_llc(
  ...   loss, jnp.zeros(4), jnp.zeros(1000), jax.random.key(0),
  ...   step_sizes=(1e-3, 5e-3), localizations=(1.0,), num_draws=1000,
  ...   num_burnin=100, num_chains=4)
  >>> print(found.explain())
  2 settings: 1 ok, 1 biased.
  Recommended: step_size=0.001, localization=1, nbeta=144.8, ...

  Args:
    loss: as for `estimate_llc`, like all arguments that are not named here.
    params: w*.
    data: pytree, leading axis n.
    key: of the chains.
    step_sizes: values of ε.
    localizations: values of γ.
    nbetas: values of nβ; None is n / log n.
    **settings: of `estimate_llc`.
  """
  count = operators.leading_size(data)
  usual = count / math.log(count)
  grid = np.array(
    [
      (e, g, usual if b is None else b)
      for e in step_sizes
      for g in localizations
      for b in nbetas
    ],
    np.float32,
  )

  @jax.jit
  def run(params, data, key):
    def one(point):
      return estimate_llc(
        loss, params, data, key, step_size=point[0], localization=point[1],
        nbeta=point[2], **settings,
      )  # fmt: skip

    return jax.lax.map(one, jnp.asarray(grid))

  found = run(params, data, key)
  relative = jnp.hypot(found.stderr, found.bias) / jnp.abs(found.llc)
  error = jnp.where(found.status == Status.OK, relative, jnp.inf)
  best = jnp.where(jnp.any(jnp.isfinite(error)), jnp.argmin(error), -1)
  return Calibration(*jnp.asarray(grid).T, found, error, best.astype(jnp.int32))
