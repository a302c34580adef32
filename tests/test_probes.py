"""Linear probes and loss barriers against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import emergence_jax as ej
from emergence_jax.base.types import Status
from emergence_jax.numerics import probes
from tests import tiers


def clusters(count=400, classes=3, distance=2.0, seed=0):
  """Gaussian clusters in 5 dimensions, `distance` apart from the middle."""
  rng = np.random.default_rng(seed)
  labels = rng.integers(0, classes, count)
  means = np.eye(5)[:classes] * distance
  features = means[labels] + rng.normal(size=(count, 5))
  return jnp.float32(features), jnp.asarray(labels)


@pytest.mark.parametrize('method', tiers.some(probes.METHODS))
def test_two_clusters_reach_the_best_possible_accuracy(method):
  features, labels = clusters(4000, classes=2)
  found = ej.linear_probe(features, labels, num_classes=2, method=method)
  # Half the distance between the means, in standard deviations.
  best = stats.norm.cdf(np.sqrt(2) * 2 / 2)
  error = np.sqrt(best * (1 - best) / 2000)
  assert abs(found.accuracy - best) < 4 * error
  np.testing.assert_allclose(found.chance, 0.5, atol=0.05)
  assert found.status == Status.OK


@pytest.mark.parametrize('train', [3, 40])
def test_ridge_is_the_normal_equations(train):
  """With fewer and with more examples than dimensions."""
  features, labels = clusters(80)
  found = ej.linear_probe(
    features, labels, num_classes=3, train_fraction=train / 80, penalty=0.1
  )
  x, y = np.float64(features), np.eye(3)[np.asarray(labels)]
  x = x - x[:train].mean(0)
  x = x / np.sqrt((x[:train] ** 2).mean())
  share = y[:train].mean(0)
  gram = x[:train].T @ x[:train] + train * 0.1 * np.eye(5)
  weight = np.linalg.solve(gram, x[:train].T @ (y[:train] - share))
  right = (x @ weight + share).argmax(1) == np.asarray(labels)
  np.testing.assert_allclose(found.accuracy, right[train:].mean(), rtol=1e-6)
  np.testing.assert_allclose(
    found.train_accuracy, right[:train].mean(), rtol=1e-6
  )


@pytest.mark.nightly
def test_noise_gives_chance():
  rng = np.random.default_rng(0)
  features = jnp.float32(rng.normal(size=(2000, 10)))
  labels = jnp.asarray(rng.integers(0, 4, 2000))
  found = ej.linear_probe(features, labels, num_classes=4)
  assert abs(found.accuracy - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 1000)


@pytest.mark.parametrize('method', probes.METHODS)
def test_scale_and_shift_do_not_matter(method):
  features, labels = clusters()
  one = ej.linear_probe(features, labels, num_classes=3, method=method)
  other = ej.linear_probe(
    1e-3 * features + 7, labels, num_classes=3, method=method
  )
  np.testing.assert_allclose(one.accuracy, other.accuracy, atol=0.011)


def test_statuses_and_errors():
  features, labels = clusters(20)
  same = ej.linear_probe(features, 0 * labels, num_classes=3)
  assert same.status == Status.DEGENERATE and np.isnan(same.accuracy)
  broken = ej.linear_probe(
    features.at[0, 0].set(jnp.nan), labels, num_classes=3
  )
  assert broken.status == Status.NON_FINITE and np.isnan(broken.accuracy)
  with pytest.raises(ValueError, match='both sides need one'):
    ej.linear_probe(features, labels, num_classes=3, train_fraction=0.01)
  with pytest.raises(ValueError, match="'svm' is unknown"):
    ej.linear_probe(features, labels, num_classes=3, method='svm')


@pytest.mark.nightly
def test_probe_vmap_equals_loop():
  x, y = zip(*(clusters(60, seed=i) for i in range(3)))

  def run(x, y):
    return ej.linear_probe(x, y, num_classes=3)

  mapped = jax.vmap(run)(jnp.stack(x), jnp.stack(y))
  for i in range(3):
    np.testing.assert_allclose(mapped.accuracy[i], run(x[i], y[i]).accuracy)


def double_well(w, x):
  return jnp.mean((w**2 - 1) ** 2) + 0 * jnp.mean(x)


def test_barrier_of_a_double_well():
  found = ej.loss_barrier(
    double_well, jnp.float32(-1), jnp.float32(1), jnp.zeros(4), num_points=21
  )
  np.testing.assert_allclose(found.barrier, 1, rtol=1e-6)
  np.testing.assert_allclose(found.position, 0.5)
  share = np.linspace(0, 1, 21)
  np.testing.assert_allclose(
    found.losses, ((2 * share - 1) ** 2 - 1) ** 2, atol=1e-6
  )


@settings(max_examples=15, deadline=None)
@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(0, 5), st.integers(3, 12))
@pytest.mark.nightly
def test_a_convex_loss_has_no_barrier(a, b, slope, points):
  def loss(w, x):
    return jnp.mean(w**2) + slope * jnp.mean(w) + 0 * jnp.mean(x)

  ends = jnp.float32([a, 1]), jnp.float32([b, 2])
  found = ej.loss_barrier(loss, *ends, jnp.zeros(2), num_points=points)
  assert 0 <= found.barrier < 1e-4


def test_barrier_against_a_line_and_in_slices():
  """Heights are above the line between unequal ends; slices do not matter."""
  x = jnp.float32(np.random.default_rng(0).normal(size=(10, 2)))

  def loss(w, x):
    return jnp.mean(jnp.sin(3 * x @ w) + x @ w)

  a, b = jnp.array([0.0, 1.0]), jnp.array([2.0, -1.0])
  whole = ej.loss_barrier(loss, a, b, x, num_points=9)
  sliced = ej.loss_barrier(loss, a, b, x, num_points=9, examples_at_once=3)
  np.testing.assert_allclose(whole.losses, sliced.losses, atol=1e-5)
  share = np.linspace(0, 1, 9)
  losses = [float(loss((1 - t) * a + t * b, x)) for t in share]
  line = (1 - share) * losses[0] + share * losses[-1]
  np.testing.assert_allclose(
    whole.barrier, max(0, (losses - line).max()), atol=1e-5
  )


def test_barrier_bad_input():
  with pytest.raises(ValueError, match='num_points=2'):
    ej.loss_barrier(
      double_well, jnp.ones(1), jnp.ones(1), jnp.ones(1), num_points=2
    )
  broken = ej.loss_barrier(
    double_well, jnp.ones(1), jnp.array([jnp.nan]), jnp.ones(1)
  )
  assert broken.status == Status.NON_FINITE and np.isnan(broken.barrier)


def classes(count=600, dimensions=16, number=11):
  rng = np.random.default_rng(0)
  weight = rng.normal(size=(dimensions, number))
  x = rng.normal(size=(count, dimensions)) * 0.8 ** np.arange(dimensions)
  noisy = x @ weight + 0.3 * rng.gumbel(size=(count, number))
  return np.float32(x), np.argmax(noisy, 1)


@pytest.mark.parametrize('method', probes.METHODS)
@pytest.mark.parametrize('scale', tiers.some([1e-19, 1e19, 1e30]))
def test_features_of_any_scale(method, scale):
  x, y = classes()
  options = dict(num_classes=11, method=method)
  one = ej.linear_probe(x, y, **options)
  found = ej.linear_probe(x * np.float32(scale), y, **options)
  assert one.accuracy > 0.5 and found.status == Status.OK
  np.testing.assert_allclose(found.accuracy, one.accuracy, atol=0.01)


def test_a_logistic_probe_is_at_its_optimum():
  """Against Newton's method in float64: the same accuracy of 11 classes."""
  x, y = classes()
  found = ej.linear_probe(x, y, num_classes=11, method='logistic')
  n = 300
  z = np.float64(x) - x[:n].mean(0)
  z = np.c_[z / np.sqrt((z[:n] ** 2).mean()), np.ones(len(z))]
  w, target = np.zeros((z.shape[1], 11)), np.eye(11)[y[:n]]

  def slope_of(w):
    p = np.exp(z[:n] @ w - (z[:n] @ w).max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return p, z[:n].T @ (p - target) / n + 1e-3 * w

  for _ in range(20):
    p, slope = slope_of(w)
    full = np.zeros((w.size, w.size))
    for q, row in zip(p, z[:n]):
      full += np.kron(np.outer(row, row), np.diag(q) - np.outer(q, q)) / n
    step = np.linalg.solve(full + 1e-3 * np.eye(w.size), slope.ravel())
    w -= step.reshape(w.shape)
  assert np.abs(slope_of(w)[1]).max() < 1e-10
  right = (z @ w).argmax(1) == y
  assert found.status == Status.OK
  np.testing.assert_allclose(found.accuracy, right[n:].mean(), atol=0.011)
  np.testing.assert_allclose(found.train_accuracy, right[:n].mean(), atol=0.011)


@pytest.mark.parametrize(
  'labels,words',
  [
    (np.ones(600, bool), 'are of type bool'),
    (np.ones(600), 'are of type float'),
    (np.arange(600) % 2 + 1, 'labels lie from 1 to 2, and num_classes=2'),
    (np.zeros(5, int), r'labels have shape \(5,\)'),
  ],
)
def test_labels_that_are_none(labels, words):
  with pytest.raises(ValueError, match=words):
    ej.linear_probe(classes()[0], labels, num_classes=2)


def test_traced_labels_out_of_range_have_a_status():
  x, y = classes()
  found = jax.jit(lambda y: ej.linear_probe(x, y + 1, num_classes=11))(y)
  assert found.status == Status.DEGENERATE and np.isnan(found.accuracy)


def test_a_probe_takes_a_matrix():
  with pytest.raises(ValueError, match='a probe takes'):
    ej.linear_probe(np.ones(5), np.zeros(5, int), num_classes=2)


def test_a_barrier_keeps_the_precision_of_its_ends():
  """A loss that takes bfloat16 alone; shares are float32."""

  def loss(params, x):
    assert params['w'].dtype == jnp.bfloat16 and params['n'].dtype == jnp.int32
    return jnp.mean((params['w'] ** 2 - 1).astype(jnp.float32) ** 2) + 0 * (
      jnp.mean(x))  # fmt: skip

  ends = [
    {'w': jnp.full(2, v, jnp.bfloat16), 'n': jnp.arange(2)} for v in (-1, 1)
  ]
  found = ej.loss_barrier(loss, *ends, jnp.zeros(3))
  np.testing.assert_allclose(found.barrier, 1, rtol=0.01)
  assert found.status == Status.OK


@pytest.mark.parametrize(
  'other', [{'w': jnp.ones(3)}, {'w': jnp.ones(())}, {'v': jnp.ones(2)}]
)
def test_both_ends_are_of_one_model(other):
  with pytest.raises(ValueError, match='parameters of one model'):
    ej.loss_barrier(
      lambda w, x: jnp.sum(w['w']) + 0 * jnp.mean(x), {'w': jnp.ones(2)}, other,
      jnp.zeros(3),
    )  # fmt: skip
