"""Hessian spectra against closed forms, dense curvature and prescribed ones."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree

import emergence_jax as ej
from emergence_jax.base.types import Status
from emergence_jax.config import schema
from emergence_jax.numerics import hessian, krylov
from tests import small, tiers

KEY = jax.random.key(0)


def eigenvalues(product, size, **options):
  run = jax.jit(
    lambda key: ej.operator_eigenvalues(product, size, key, **options)
  )
  return run(KEY)


def quadratic(matrix):
  """(loss, params, batch) whose Hessian is `matrix`."""
  matrix = jnp.asarray(matrix)

  def loss(w, x):
    return jnp.mean(x) * w @ matrix @ w / 2

  return loss, jnp.ones(len(matrix), matrix.dtype), jnp.ones(3, matrix.dtype)


def random_symmetric(size, seed=0):
  x = np.random.default_rng(seed).normal(size=(size, size))
  return (x + x.T) / 2


def test_both_ends_of_a_quadratic():
  matrix = random_symmetric(30)
  loss, params, batch = quadratic(np.float32(matrix))
  found = ej.hessian_eigenvalues(loss, params, batch, KEY, k=4, num_matvecs=30)
  exact = np.linalg.eigvalsh(matrix)
  np.testing.assert_allclose(found.eigenvalues, exact[::-1][:4], rtol=1e-5)
  np.testing.assert_allclose(found.smallest, exact[:4], rtol=1e-5)
  order = np.argsort(-np.abs(exact))[:4]
  np.testing.assert_allclose(found.by_magnitude, exact[order], rtol=1e-5)
  assert found.converged.all() and found.status == Status.OK


def test_prescribed_spectrum_of_400_000_dimensions():
  size = 400_000
  outliers = np.r_[np.linspace(10, 1, 12), -np.linspace(3, 1, 5)]
  bulk = np.random.default_rng(0).uniform(-0.1, 0.1, size - 17)
  diagonal = jnp.float32(np.r_[outliers, bulk])
  found = eigenvalues(lambda v: diagonal * v, size, k=5, num_matvecs=40)
  # Forty float32 epsilons of the largest value; ten where vectors are wide, so
  # that sums over all entries have many parts.
  np.testing.assert_allclose(
    found.eigenvalues, np.sort(outliers)[::-1][:5], atol=5e-5
  )
  np.testing.assert_allclose(found.smallest, np.sort(outliers)[:5], atol=5e-5)
  assert found.orthogonality_error < 5e-5
  assert found.num_breakdowns == 0 and found.status == Status.OK


@pytest.mark.parametrize(
  'name,diagonal',
  [
    ('zero', np.zeros(50)),
    ('identity', np.ones(50)),
    ('rank 3', np.r_[3.0, -2.0, 1.0, np.zeros(47)]),
    ('tiny', 1e-30 * np.arange(50)),
  ],
)
def test_operators_that_break_down(name, diagonal):
  """An exhausted Krylov space goes on from a fresh direction."""
  scaled = jnp.float32(diagonal)
  found = eigenvalues(lambda v: scaled * v, 50, k=5, num_matvecs=20)
  exact = np.sort(diagonal)[::-1][:5]
  scale = np.abs(diagonal).max()
  if name != 'tiny':  # 50 different eigenvalues, 20 steps
    np.testing.assert_allclose(found.eigenvalues, exact, atol=1e-6)
    assert found.num_breakdowns > 0
  else:
    np.testing.assert_allclose(found.eigenvalues[0], exact[0], rtol=1e-2)
  assert found.orthogonality_error < 1e-5
  assert found.status in (Status.OK, Status.NOT_CONVERGED)
  assert (np.asarray(found.residuals) <= scale).all()


def test_residuals_bound_the_error_before_convergence():
  diagonal = np.linspace(0, 1, 500)
  found = eigenvalues(
    lambda v: jnp.float32(diagonal) * v, 500, k=5, num_matvecs=12
  )
  assert found.status == Status.NOT_CONVERGED and not found.converged.all()
  for value, residual in zip(found.eigenvalues, found.residuals):
    assert np.abs(diagonal - value).min() <= residual
  assert (np.diff(found.eigenvalues) <= 0).all()


@jax.jit
def full_lanczos(scale, matrix):
  """Twelve steps in twelve dimensions."""
  t = krylov.lanczos(
    lambda v: scale * (matrix @ v), 12, KEY, num_matvecs=12, dtype=jnp.float32
  )
  return t, krylov.ritz(t)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(1e-12, 1e12))
def test_scale_does_not_matter_and_the_relation_holds(seed, scale):
  matrix = np.float32(random_symmetric(12, seed))
  exact = np.linalg.eigvalsh(np.float64(matrix))

  t, found = full_lanczos(jnp.float32(scale), matrix)
  largest = np.abs(exact).max()
  np.testing.assert_allclose(found.values_M / scale, exact, atol=1e-5 * largest)
  # A Q = Q T, the basis being full.
  q, a = np.float64(t.basis_MP), np.float64(t.diagonal_M)
  b = np.float64(t.beside_M[:-1])
  full = np.diag(a) + np.diag(b, 1) + np.diag(b, -1)
  np.testing.assert_allclose(
    q @ matrix @ q.T, full / scale, atol=1e-5 * largest
  )
  np.testing.assert_allclose(q @ q.T, np.eye(12), atol=1e-5)


def tiny_transformer(dtype):
  config = small.modadd_config()
  config.model.update(d_model=12, d_ff=24)
  objective = schema.from_mapping(config).objective
  params = jax.tree.map(
    # Well away from the symmetric start, where little is curved.
    lambda x: jnp.asarray(3 * x, dtype),
    objective.init(jax.random.key(4)),
  )
  batch = objective.exams.examples(jnp.arange(25))
  return objective.loss, params, batch


@functools.cache
def dense_spectrum():
  """Eigenvalues and trace of the transformer's Hessian, in float64."""
  loss, params, batch = tiny_transformer(jnp.float64)
  flat, unravel = ravel_pytree(params)
  assert 1000 < flat.size < 2000
  dense = jax.jit(jax.hessian(lambda w: loss(unravel(w), batch)))(flat)
  return np.linalg.eigvalsh(dense), np.trace(dense)


@pytest.mark.nightly
def test_a_transformer_against_its_dense_hessian():
  for dtype, tolerance in ((jnp.float32, 1e-4), (jnp.float64, 1e-10)):
    check_transformer(dtype, tolerance)


def check_transformer(dtype, tolerance):
  """Both ends of the spectrum to a tolerance, and the trace to its error."""
  with jax.enable_x64(True):
    exact, trace = dense_spectrum()
    loss, params, batch = tiny_transformer(jnp.float64)
  with jax.enable_x64(dtype == jnp.float64):
    params = jax.tree.map(lambda x: jnp.asarray(np.asarray(x), dtype), params)
    found = jax.jit(
      lambda params: ej.hessian_eigenvalues(
        loss, params, batch, KEY, k=5, num_matvecs=120, examples_at_once=7
      )
    )(params)
    scale = np.abs(exact).max()
    for values, wanted in (
      (found.eigenvalues, exact[::-1][:5]),
      (found.smallest, exact[:5]),
    ):
      np.testing.assert_allclose(values, wanted, atol=tolerance * scale)
    estimate = jax.jit(
      lambda params: ej.hessian_trace(loss, params, batch, KEY, num_matvecs=100)
    )(params)
    assert abs(estimate.trace - trace) < 4 * estimate.stderr


@pytest.mark.nightly
def test_vmap_equals_loop():
  rng = np.random.default_rng(0)
  x = jnp.float32(rng.normal(size=(3, 30, 5)))

  def loss(w, x):
    return jnp.mean(jnp.tanh(x @ w) ** 2)

  def run(w, x, key):
    return ej.hessian_eigenvalues(loss, w, x, key, k=2)

  w = jnp.float32(rng.normal(size=(3, 5)))
  keys = jax.random.split(KEY, 3)
  mapped = jax.jit(jax.vmap(run))(w, x, keys)
  for i in range(3):
    one = jax.jit(run)(w[i], x[i], keys[i])
    np.testing.assert_allclose(
      mapped.eigenvalues[i], one.eigenvalues, rtol=1e-5
    )


@pytest.mark.nightly
def test_edge_of_stability():
  """Full-batch descent with step η ends where η·λmax/2 is just above 1."""
  rng = np.random.default_rng(0)
  x = jnp.float32(rng.normal(size=(60, 8)))
  y = jnp.sign(jnp.float32(rng.normal(size=(60, 3))))
  widths, step = (8, 24, 24, 3), 0.4

  def loss(params, batch):
    h, (*inner, last) = batch[0], params
    for w in inner:
      h = jnp.tanh(h @ w)
    return jnp.mean(jnp.sum((h @ last - batch[1]) ** 2, 1)) / 2

  params = [
    jnp.float32(rng.normal(size=shape) / np.sqrt(shape[0]))
    for shape in zip(widths, widths[1:])
  ]

  def descend(_, params):
    grads = jax.grad(loss)(params, (x, y))
    return jax.tree.map(lambda p, g: p - step * g, params, grads)

  params = jax.jit(lambda p: jax.lax.fori_loop(0, 400, descend, p))(params)
  found = ej.hessian_eigenvalues(loss, params, (x, y), KEY, k=1, num_matvecs=40)
  assert found.converged.all()
  assert 1.0 <= step * found.eigenvalues[0] / 2 <= 1.15


def test_saturated_softmax_is_not_trusted():
  """Where float32 has lost the curvature, and not before."""
  x = np.random.default_rng(0).normal(size=(20, 3)) + 3

  def loss(w, x):
    return jnp.mean(jnp.logaddexp(0, -x @ w))

  def exact(scale):
    p = 1 / (1 + np.exp(x @ np.full(3, scale)))
    return np.linalg.eigvalsh(x.T @ (x * (p * (1 - p))[:, None]) / 20)[-1]

  for scale, status in ((0.5, Status.OK), (4.0, Status.UNTRUSTED)):
    found = ej.hessian_eigenvalues(
      loss, jnp.full(3, jnp.float32(scale)), jnp.float32(x), KEY, k=1,
      softmax_floor=hessian.SOFTMAX_FLOOR,
    )  # fmt: skip
    assert found.status == status
    if status == Status.OK:
      np.testing.assert_allclose(found.eigenvalues[0], exact(scale), rtol=1e-4)


def test_bad_input():
  loss, params, batch = quadratic(np.eye(3, dtype=np.float32))
  with pytest.raises(ValueError, match='scalar'):
    ej.hessian_eigenvalues(lambda w, x: w, params, batch, KEY, k=1)
  with pytest.raises(ValueError, match='k=4 must be from 1 to the 3'):
    ej.hessian_eigenvalues(loss, params, batch, KEY, k=4)
  with pytest.raises(ValueError, match='num_matvecs=2 must be from k=3'):
    ej.hessian_eigenvalues(loss, params, batch, KEY, k=3, num_matvecs=2)
  with pytest.raises(ValueError, match='leading axes'):
    ej.hessian_eigenvalues(
      lambda w, b: loss(w, b[0]), params, (batch, jnp.ones(4)), KEY, k=1
    )


def test_a_kernel_without_a_jvp():
  """Plain rules of a custom_vjp can be differentiated; a callback cannot."""

  def with_rule(backward):
    kernel = jax.custom_vjp(lambda w: jnp.sum(w**2))
    kernel.defvjp(lambda w: (jnp.sum(w**2), w), backward)
    return lambda w, x: kernel(w)

  plain = with_rule(lambda w, g: (2 * w * g,))
  opaque = with_rule(
    lambda w, g: (jax.pure_callback(lambda w, g: 2 * w * g, w, w, g),)
  )
  found = ej.hessian_eigenvalues(plain, jnp.ones(3), jnp.ones(3), KEY, k=1)
  np.testing.assert_allclose(found.eigenvalues, 2, rtol=1e-6)
  with pytest.raises(TypeError, match='custom_jvp'):
    ej.hessian_eigenvalues(opaque, jnp.ones(3), jnp.ones(3), KEY, k=1)


def test_nan_has_a_status():
  params, batch = jnp.ones(3), jnp.ones(3)
  broken = params.at[0].set(jnp.nan)

  def through(w, x):
    return jnp.sum(w**3) * jnp.mean(x)

  found = ej.hessian_eigenvalues(through, broken, batch, KEY, k=2)
  assert found.status == Status.NON_FINITE
  assert np.isnan(found.eigenvalues).all()
  trace = ej.hessian_trace(through, broken, batch, KEY)
  assert trace.status == Status.NON_FINITE
  density = ej.hessian_density(through, broken, batch, KEY)
  assert density.status == Status.NON_FINITE


@pytest.mark.parametrize(
  'hidden,width', tiers.some([(8, 8), (20, 10), (64, 16)], 1)
)
def test_the_defaults_converge_on_small_models(hidden, width):
  """Both ends of a network's Hessian, all 20 of each."""
  keys = jax.random.split(jax.random.key(0), 4)
  params = {
    'in': jax.random.normal(keys[0], (width, hidden)) / width**0.5,
    'out': jax.random.normal(keys[1], (hidden, 3)) / hidden**0.5,
  }
  x = jax.random.normal(keys[2], (200, width))
  y = jax.random.randint(keys[3], (200,), 0, 3)

  def loss(params, batch):
    x, y = batch
    out = jnp.tanh(x @ params['in']) @ params['out']
    log_prob = jax.nn.log_softmax(out)
    return -jnp.mean(jnp.take_along_axis(log_prob, y[:, None], 1))

  found = ej.hessian_eigenvalues(loss, params, (x, y), jax.random.key(1))
  assert found.status == Status.OK and found.eigenvalues.size == 20


def test_fewer_parameters_than_values_that_are_asked_for():
  found = ej.hessian_eigenvalues(
    lambda w, x: jnp.mean(x @ (w * w)) / 2, jnp.ones(2),
    jnp.array([[1.0, 3.0]]), jax.random.key(0),
  )  # fmt: skip
  np.testing.assert_allclose(found.eigenvalues, [3, 1], rtol=1e-5)
