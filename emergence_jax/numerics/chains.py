"""How far draws of Markov chains can be trusted.

Source: Vehtari, Gelman, Simpson, Carpenter and Bürkner, arXiv:1903.08008,
sections 3 and 4 (without rank normalisation: the mean itself is wanted).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from emergence_jax.numerics import leaves


class Mean(NamedTuple):
  """Mean of draws, and its error.

  Attributes:
    mean: [], over chains and draws.
    stderr: [], its standard error, autocorrelation and spread between the
      chains included; widened where effective draws are few, so that ±1.96 of
      it covers 95%.
    ess: [], effective number of independent draws.
  """

  mean: jax.Array
  stderr: jax.Array
  ess: jax.Array


def _autocovariance(x_CD: jax.Array) -> jax.Array:
  """Biased autocovariances [C, D] of each chain at lags 0 to D − 1."""
  count = x_CD.shape[1]
  centred_CD = x_CD - jnp.mean(x_CD, 1, keepdims=True)
  spectrum = jnp.fft.rfft(centred_CD, 2 * count, axis=1)
  power = jnp.abs(spectrum) ** 2
  return jnp.fft.irfft(power, 2 * count, axis=1)[:, :count] / count


def _of_few(ess: jax.Array) -> jax.Array:
  """Student's 97.5% quantile of few draws over that of many.

  By its series in the degrees of freedom. Those of a variance are fewer than
  the draws where these have heavy tails: 0.4 of them for the energy of four
  oscillators (an excess kurtosis of 3), which is supposed here.
  """
  freedom = jnp.maximum(0.4 * ess, 1)
  return 1 + 1.21 / freedom + 1.44 / freedom**2


def mean(x_CD: jax.Array) -> Mean:
  """Mean of C chains of D ≥ 4 draws with its standard error.

  Autocorrelation is summed by Geyer's initial monotone sequence.
  """
  chains, count = x_CD.shape
  # What all draws share costs digits, and squares must stay within range.
  shift = x_CD[0, 0]
  x_CD = x_CD - shift
  power = leaves.power_of_two(jnp.max(jnp.abs(x_CD)))
  x_CD = x_CD / power
  covariance_D = jnp.mean(_autocovariance(x_CD), 0)
  within = covariance_D[0] * count / (count - 1)
  between = jnp.var(jnp.mean(x_CD, 1), ddof=1) if chains > 1 else 0.0
  variance = within * (count - 1) / count + between
  safe = jnp.where(variance > 0, variance, 1)
  rho_D = 1 - (within - covariance_D) / safe
  rho_D = rho_D.at[0].set(1)
  pair = rho_D[: count // 2 * 2].reshape(-1, 2).sum(1)
  positive = jnp.cumprod(pair > 0)
  pair = jax.lax.cummin(jnp.where(positive == 1, pair, 0))
  tau = jnp.maximum(-1 + 2 * jnp.sum(pair), 1 / jnp.log10(chains * count))
  tau = jnp.where(variance > 0, tau, 1)
  ess = chains * count / tau
  stderr = jnp.sqrt(variance / ess) * _of_few(ess)
  return Mean(shift + power * jnp.mean(x_CD), power * stderr, ess)


def _halves(x_CD: jax.Array) -> tuple[jax.Array, jax.Array]:
  """The first and the last half of every chain."""
  half = x_CD.shape[1] // 2
  return x_CD[:, :half], x_CD[:, -half:]


def rhat(x_CD: jax.Array) -> jax.Array:
  """Split R-hat: 1 for chains that agree with each other and with themselves.

  Draws that are all the same give 1.
  """
  x_CD = jnp.concatenate(_halves(x_CD))
  count = x_CD.shape[1]
  within = jnp.mean(jnp.var(x_CD, 1, ddof=1))
  between = jnp.var(jnp.mean(x_CD, 1), ddof=1)
  ratio = between / jnp.where(within > 0, within, 1)
  value = jnp.sqrt((count - 1) / count + ratio)
  return jnp.where((within > 0) | (between > 0), value, 1.0)


def drift(x_CD: jax.Array) -> jax.Array:
  """Last half minus first half, in standard errors; about N(0, 1) at rest.

  Source: Geweke 1992.
  """
  first, last = map(mean, _halves(x_CD))
  # Few effective draws are a sign of drift here, and widen nothing.
  error = jnp.hypot(*(m.stderr / _of_few(m.ess) for m in (first, last)))
  change = last.mean - first.mean
  return jnp.where(error > 0, change / jnp.where(error > 0, error, 1), 0.0)
