"""Settings of the LLC's sampler, chosen on a grid."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from emergence_jax.base.types import PyTree, Status
from emergence_jax.numerics import llc as estimator
from emergence_jax.numerics import operators

# The largest relative error of a setting that is recommended.
MAX_CALIBRATED = 0.25


class Calibration(NamedTuple):
  """Estimates over a grid of settings, G points, and the one to take.

  Attributes:
    step_size: [G].
    localization: [G].
    nbeta: [G].
    estimates: `LLC` with a leading axis G.
    error: [G], relative: standard error, bias, shortfall and the gradient's
      effect together; inf where the status is not OK.
    localized: bool [G], γ is above nβ·λmax: the estimate says what γ lets the
      chains see, and not what the loss has.
    recommended: int32 [], of the points that are not localized and have an
      error of at most a quarter, those of the least γ, and of them the one of
      least error; −1 if there is none.
  """

  step_size: jax.Array
  localization: jax.Array
  nbeta: jax.Array
  estimates: estimator.LLC
  error: jax.Array
  localized: jax.Array
  recommended: jax.Array

  def explain(self) -> str:
    """The choice and its reasons, in words; call it outside `jit`."""
    statuses = [Status(int(s)) for s in self.estimates.status]
    counts = {s: statuses.count(s) for s in Status if s in statuses}
    tally = ', '.join(f'{n} {s.words}' for s, n in counts.items())
    lines = [f'{len(statuses)} settings: {tally}.']
    bound = np.asarray(self.localized)
    if bound.any():
      lines.append(
        f'{bound.sum()} of them are bound by their localization, which is '
        'above nbeta · lambda_max: whatever the loss, they give less the more '
        'of it there is, and are not recommended.'
      )
    i = int(self.recommended)
    if i < 0:
      lines.append(
        'None is to be recommended, none being ok with an error of at most '
        f'{MAX_CALIBRATED:.0%} and not bound by its localization. Where '
        '"biased" prevails, take smaller steps or larger batches; where "not '
        'mixed" does, more draws, or stronger localization. "Not a minimum" '
        'and "negative" mean that the loss falls away from the point, which is '
        'not at a minimum: train on, or localize more strongly.'
      )
      return '\n'.join(lines)
    e = jax.tree.map(lambda x: x[i], self.estimates)
    fine = np.array([s == Status.OK for s in statuses]) & ~bound
    ok = np.asarray(self.estimates.llc)[fine]
    lines += [
      f'Recommended: step_size={float(self.step_size[i]):.3g}, localization='
      f'{float(self.localization[i]):.3g}, nbeta={float(self.nbeta[i]):.4g}, '
      'of the least localization and then of the least error '
      f'({float(self.error[i]):.1%}: standard error '
      f'{float(e.stderr):.3g} of {float(e.llc):.4g}, bias of the steps '
      f'{float(e.bias):.3g}).',
      f'R-hat {float(e.rhat):.3f}, {float(e.ess):.0f} effective draws, drift '
      f'{float(e.drift):.1f} standard errors, acceptance '
      f'{float(e.acceptance):.2f}.',
      f'Over all that are ok and not bound the estimate lies between '
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
  estimator.check_count(count)
  usual = count / math.log(count)
  for name, values in (('step_size', step_sizes), ('nbeta', nbetas)):
    for value in values:
      estimator.check_number(name, value, 0, True)
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
    def estimate(point):
      return estimator.estimate_llc(
        loss, params, data, key, step_size=point[0], localization=point[1],
        nbeta=point[2], **settings,
      )  # fmt: skip

    return jax.lax.map(estimate, jnp.asarray(grid))

  result = run(params, data, key)
  parts = result.stderr, result.bias, result.shortfall, result.gradient_effect
  relative = jnp.sqrt(sum(x**2 for x in parts)) / jnp.abs(result.llc)
  error = jnp.where(result.status == Status.OK, relative, jnp.inf)
  step_G, localization_G, nbeta_G = jnp.asarray(grid).T
  localized = localization_G > nbeta_G * result.lambda_max
  usable = (error <= MAX_CALIBRATED) & ~localized
  least = jnp.min(jnp.where(usable, localization_G, jnp.inf))
  among = jnp.where(usable & (localization_G == least), error, jnp.inf)
  best = jnp.where(jnp.any(usable), jnp.argmin(among), -1)
  return Calibration(
    step_G, localization_G, nbeta_G, result, error, localized,
    best.astype(jnp.int32),
  )  # fmt: skip
