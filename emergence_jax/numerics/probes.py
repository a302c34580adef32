"""Linear probes: what a layer's features say about a label, linearly."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from emergence_jax.base.types import Status
from emergence_jax.numerics import leaves, linalg

METHODS = ('ridge', 'logistic')
# Most steps of the logistic probe, and when it has converged.
_LOGISTIC_STEPS, _LOGISTIC_TOL = 500, 1e-3


class Probe(NamedTuple):
  """How well a linear probe decodes.

  Attributes:
    accuracy: [], on the test examples; nan where there is nothing to decode.
    train_accuracy: [].
    chance: [], test accuracy of the commonest training label.
    status: int8 [], a `Status`; DEGENERATE if the training or the test
      examples have one label only, or a label is out of range;
      NOT_CONVERGED if a logistic probe is not at its optimum.
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
  """Multinomial logistic regression; weights [D, K] and whether converged.

  L-BFGS on weights that are scaled by Böhning's bound of the Hessian,
  (1 − 1/K)/2 for each class, so that directions of little variance do not
  hold it up. It has converged when the gradient, so scaled, is 1e-3 of what
  it was at zero.
  """
  n, d = x_ND.shape
  classes = target_NK.shape[1]
  bound = 0.5 * (1 - 1 / classes)
  gram_DD = bound * x_ND.T @ x_ND / n + penalty * jnp.eye(d, dtype=x_ND.dtype)
  values_D, vectors_DD = linalg.eigh(gram_DD)
  safe_D = jnp.maximum(values_D, 1e-6 * values_D[-1] + penalty)
  turn_DD = vectors_DD / jnp.sqrt(safe_D)
  turned_ND = x_ND @ turn_DD

  def loss(weight_DK):
    log_p_NK = jax.nn.log_softmax(turned_ND @ weight_DK)
    fit = -jnp.sum(target_NK * log_p_NK) / n
    return fit + penalty / 2 * jnp.sum((turn_DD @ weight_DK) ** 2)

  solver = optax.lbfgs()
  value_and_grad = optax.value_and_grad_from_state(loss)

  def step(carry):
    count, weight_DK, state, _ = carry
    value, slope_DK = value_and_grad(weight_DK, state=state)
    update_DK, state = solver.update(
      slope_DK, state, weight_DK, value=value, grad=slope_DK, value_fn=loss
    )
    weight_DK = optax.apply_updates(weight_DK, update_DK)
    return (
      count + 1,
      weight_DK,
      state,
      _norm(optax.tree_utils.tree_get(state, 'grad')),
    )

  def unfinished(carry):
    return (carry[0] < _LOGISTIC_STEPS) & (carry[3] > _LOGISTIC_TOL * first)

  zero = jnp.zeros((d, classes), x_ND.dtype)
  first = _norm(jax.grad(loss)(zero))
  start = jnp.int32(0), zero, solver.init(zero), first
  _, weight_DK, _, last = jax.lax.while_loop(unfinished, step, start)
  return turn_DD @ weight_DK, last <= _LOGISTIC_TOL * first


def _norm(x: jax.Array) -> jax.Array:
  return jnp.sqrt(jnp.sum(x * x))


def _check(features_ND, labels_N, num_classes, train_fraction, method) -> int:
  """Number of training examples, or a ValueError that says what is wrong."""
  if features_ND.ndim != 2:
    raise ValueError(
      f'features have shape {features_ND.shape}; a probe takes [N, D].'
    )
  count = features_ND.shape[0]
  if jnp.shape(labels_N) != (count,):
    raise ValueError(
      f'labels have shape {jnp.shape(labels_N)}; {count} examples take '
      f'({count},).'
    )
  dtype = jnp.result_type(labels_N)
  if not jnp.issubdtype(dtype, jnp.integer):
    raise ValueError(
      f'labels are of type {dtype}; give integers from 0 to num_classes − 1.'
    )
  train = int(train_fraction * count)
  if not 0 < train < count:
    raise ValueError(
      f'train_fraction={train_fraction} leaves {train} of {count} examples to '
      'train on; both sides need one.'
    )
  if method not in METHODS:
    raise ValueError(f'method={method!r} is unknown; known: {METHODS}.')
  if not isinstance(labels_N, jax.core.Tracer):
    low, high = np.min(labels_N), np.max(labels_N)
    if low < 0 or high >= num_classes:
      raise ValueError(
        f'labels lie from {low} to {high}, and num_classes={num_classes} takes '
        f'0 to {num_classes - 1}.'
      )
  return train


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
    ValueError: for features that are no matrix, labels that are no integers
      or out of range, no example on one side, or an unknown method.
  """
  features_ND = leaves.at_least_float32(features_ND)
  train = _check(features_ND, labels_N, num_classes, train_fraction, method)
  labels_N = jnp.asarray(labels_N)
  count = features_ND.shape[0]
  # Neither the mean nor its squares leave the range of float32.
  features_ND = features_ND / leaves.power_of_two(jnp.max(jnp.abs(features_ND)))
  mean_D = jnp.mean(features_ND[:train], 0)
  centred_ND = features_ND - mean_D
  scale = jnp.sqrt(jnp.mean(centred_ND[:train] ** 2))
  x_ND = centred_ND / jnp.where(scale > 0, scale, 1)
  target_NK = jax.nn.one_hot(labels_N, num_classes, dtype=x_ND.dtype)
  share_K = jnp.mean(target_NK[:train], 0)
  if method == 'ridge':
    weight_DK = _ridge(x_ND[:train], target_NK[:train] - share_K, penalty)
    score_NK = x_ND @ weight_DK + share_K
    converged = jnp.bool_(True)
  else:
    # A constant feature takes the place of the biases.
    x_ND = jnp.concatenate([x_ND, jnp.ones((count, 1), x_ND.dtype)], 1)
    weight_DK, converged = _logistic(x_ND[:train], target_NK[:train], penalty)
    score_NK = x_ND @ weight_DK
  right_N = (jnp.argmax(score_NK, 1) == labels_N).astype(x_ND.dtype)
  common = jnp.argmax(share_K)
  varied = [
    jnp.any(labels_N[part] != labels_N[part][0])
    for part in (slice(train), slice(train, None))
  ]
  finite = jnp.all(jnp.isfinite(score_NK))
  status = jnp.where(varied[0] & varied[1], Status.OK, Status.DEGENERATE)
  ok = status == Status.OK
  inside = jnp.all((labels_N >= 0) & (labels_N < num_classes))
  # What is known of a traced label is known only when it runs.
  status = jnp.where(ok & ~converged, Status.NOT_CONVERGED, status)
  status = jnp.where(inside, status, Status.DEGENERATE)
  status = jnp.where(finite, status, Status.NON_FINITE)
  ok &= inside & finite
  return Probe(
    accuracy=jnp.where(ok, jnp.mean(right_N[train:]), jnp.nan),
    train_accuracy=jnp.where(ok, jnp.mean(right_N[:train]), jnp.nan),
    chance=jnp.mean((labels_N[train:] == common).astype(x_ND.dtype)),
    status=status.astype(jnp.int8),
  )
