"""Linear probes: what a layer's features say about a label, linearly."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from emergence_jax.numerics import linalg
from emergence_jax.types import Status

METHODS = ('ridge', 'logistic')
# Steps of the logistic probe.
_LOGISTIC_STEPS = 200


class Probe(NamedTuple):
  """How well a linear probe decodes.

  Attributes:
    accuracy: [], on the test examples; nan if the status is not OK.
    train_accuracy: [].
    chance: [], test accuracy of the commonest training label.
    status: int8 [], a `Status`; DEGENERATE if the training or the test
      examples have one label only.
  """

  accuracy: jax.Array
  train_accuracy: jax.Array
  chance: jax.Array
  status: jax.Array


def _ridge(x_ND, target_NK, penalty):
  """Least squares onto one-hot targets, by the smaller of two systems."""
  n, d = x_ND.shape
  eye = jnp.eye(min(n, d), dtype=x_ND.dtype)
  if n >= d:
    return linalg.solve_spd(
      x_ND.T @ x_ND + n * penalty * eye, x_ND.T @ target_NK
    )
  return x_ND.T @ linalg.solve_spd(x_ND @ x_ND.T + n * penalty * eye, target_NK)


def _logistic(x_ND, target_NK, penalty):
  """Multinomial logistic regression, by Newton steps with a bounded Hessian.

  Böhning's bound, (1 − 1/K)/2 for each class, makes every step a ridge
  regression with one matrix, and every step lowers the loss.
  """
  n, d = x_ND.shape
  classes = target_NK.shape[1]
  bound = 0.5 * (1 - 1 / classes)
  gram_DD = bound * x_ND.T @ x_ND / n + penalty * jnp.eye(d, dtype=x_ND.dtype)
  inverse_DD = linalg.inverse(gram_DD)

  def step(_, weight_DK):
    p_NK = jax.nn.softmax(x_ND @ weight_DK)
    slope_DK = x_ND.T @ (p_NK - target_NK) / n + penalty * weight_DK
    return weight_DK - inverse_DD @ slope_DK

  zero = jnp.zeros((d, classes), x_ND.dtype)
  return jax.lax.fori_loop(0, _LOGISTIC_STEPS, step, zero)


@jax.default_matmul_precision('highest')
def linear_probe(
  features_ND: jax.Array,
  labels_N: jax.Array,
  *,
  num_classes: int,
  train_fraction: float = 0.5,
  penalty: float = 1e-3,
  method: str = 'ridge',
) -> Probe:
  """Accuracy with which labels can be read off features linearly.

  The first examples train and the others test; shuffle beforehand where their
  order means something. Features are standardised by the training examples'
  mean and overall scale, so that scale and shift do not matter.
  Source: Alain and Bengio, arXiv:1610.01644.

  >>> x = jax.random.normal(jax.random.key(0), (200, 5))
  >>> linear_probe(x, (x[:, 2] > 0).astype(int), num_classes=2).accuracy > 0.9
  Array(True, dtype=bool)

  Args:
    features_ND: N examples in D dimensions.
    labels_N: integers, 0 to num_classes − 1.
    num_classes: number of labels.
    train_fraction: share of the examples that train.
    penalty: on squared weights, per example, for features of unit variance.
    method: `ridge` (regression onto one-hot labels, in closed form) or
      `logistic`.

  Raises:
    ValueError: if there is no example on one side, or an unknown method.
  """
  count = features_ND.shape[0]
  train = int(train_fraction * count)
  if not 0 < train < count:
    raise ValueError(
      f'train_fraction={train_fraction} leaves {train} of {count} examples to '
      'train on; both sides need one.'
    )
  if method not in METHODS:
    raise ValueError(f'method={method!r} is unknown; known: {METHODS}.')
  mean_D = jnp.mean(features_ND[:train], 0)
  centred_ND = features_ND - mean_D
  scale = jnp.sqrt(jnp.mean(centred_ND[:train] ** 2))
  x_ND = centred_ND / jnp.where(scale > 0, scale, 1)
  target_NK = jax.nn.one_hot(labels_N, num_classes, dtype=x_ND.dtype)
  share_K = jnp.mean(target_NK[:train], 0)
  if method == 'ridge':
    weight_DK = _ridge(x_ND[:train], target_NK[:train] - share_K, penalty)
    score_NK = x_ND @ weight_DK + share_K
  else:
    # A constant feature takes the place of the biases.
    x_ND = jnp.concatenate([x_ND, jnp.ones((count, 1), x_ND.dtype)], 1)
    score_NK = x_ND @ _logistic(x_ND[:train], target_NK[:train], penalty)
  right_N = (jnp.argmax(score_NK, 1) == labels_N).astype(x_ND.dtype)
  common = jnp.argmax(share_K)
  varied = [
    jnp.any(labels_N[part] != labels_N[part][0])
    for part in (slice(train), slice(train, None))
  ]
  finite = jnp.all(jnp.isfinite(score_NK))
  status = jnp.where(varied[0] & varied[1], Status.OK, Status.DEGENERATE)
  status = jnp.where(finite, status, Status.NON_FINITE)
  ok = status == Status.OK
  return Probe(
    accuracy=jnp.where(ok, jnp.mean(right_N[train:]), jnp.nan),
    train_accuracy=jnp.where(ok, jnp.mean(right_N[:train]), jnp.nan),
    chance=jnp.mean((labels_N[train:] == common).astype(x_ND.dtype)),
    status=status.astype(jnp.int8),
  )
