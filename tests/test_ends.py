"""Ends of spectra: repeated eigenvalues, and what may stand in a tree."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

import emergence_jax as ej
from emergence_jax.base.types import Status
from emergence_jax.numerics import hessian
from tests import tiers

KEY = jax.random.key(0)


def diagonal(values, key=KEY, **options):
  d = jnp.float32(values)
  return ej.operator_eigenvalues(lambda v: d * v, d.size, key, **options)


REPEATED = {
  'four times six and a bulk': (
    np.r_[np.repeat([10.0, 9, 8, 7], 6), np.linspace(-1, 1, 500)], 5),
  'four times thirty-one': (np.repeat([10.0, 5, 2, 1], 31), 10),
  'a tie of nine among twenty': (
    np.r_[100 * 0.8 ** np.arange(8), np.full(9, 100 * 0.8**8),
          100 * 0.8 ** np.arange(9, 60), np.linspace(-0.1, 0.1, 1000)], 20),
  'all one': (np.ones(100), 10),
  'two at the bottom': (
    np.r_[-5.0, -5, -5, np.linspace(-1, 1, 300), 7, 7], 2),
}  # fmt: skip


@pytest.mark.parametrize('name', tiers.some(REPEATED, 0))
def test_repeated_eigenvalues_are_counted(name):
  values, k = REPEATED[name]
  found = diagonal(values, k=k)
  ordered = np.sort(values)
  largest = np.abs(values).max()
  np.testing.assert_allclose(
    found.eigenvalues, ordered[::-1][:k], atol=1e-3 * largest
  )
  assert found.converged.all()
  known = np.asarray(found.smallest_converged)
  np.testing.assert_allclose(
    np.asarray(found.smallest)[known], ordered[:k][known], atol=1e-3 * largest
  )
  if name == 'two at the bottom':
    assert known.all()
  assert (found.status == Status.OK) == known.all()


@pytest.mark.nightly
def test_a_softmax_head_at_zero():
  """Each eigenvalue C − 1 times: kron(XᵀX/n, (1 − 11ᵀ/C)/C)."""
  rng = np.random.default_rng(0)
  x = np.float32(rng.normal(size=(512, 64)) * 0.9 ** np.arange(64))
  y, classes = rng.integers(0, 10, 512), 10

  def loss(w, batch):
    scores = jax.nn.log_softmax(batch[0] @ w)
    return -jnp.mean(jnp.take_along_axis(scores, batch[1][:, None], 1))

  found = ej.hessian_eigenvalues(
    loss, jnp.zeros((64, classes)), (x, y), KEY, k=5
  )
  head = (np.eye(classes) - 1 / classes) / classes
  exact = np.linalg.eigvalsh(np.kron(np.float64(x.T @ x) / 512, head))
  np.testing.assert_allclose(found.eigenvalues, exact[::-1][:5], rtol=1e-4)
  assert found.converged.all()


def test_the_usual_case_takes_one_look_more():
  values = np.r_[100 * 0.7 ** np.arange(30), np.linspace(-0.01, 0.01, 2000)]
  found = diagonal(values, k=5)
  assert found.num_sequences == 2 and found.converged.all()


def test_an_end_in_a_dense_bulk_is_not_converged():
  """The smallest of a bulk are off by more than the tolerance, and say so."""
  rng = np.random.default_rng(0)
  values = np.r_[rng.normal(size=20_000), 30.0 * 0.9 ** np.arange(10)]
  found = diagonal(values, k=5, num_matvecs=30)
  assert found.converged.all()
  wrong = np.abs(found.smallest - np.sort(values)[:5]) > 1e-3 * 30
  assert not (wrong & np.asarray(found.smallest_converged)).any()
  assert found.status == Status.NOT_CONVERGED


def mean_square(w, batch):
  return jnp.mean((batch @ w['w']) ** 2) / 2


X = np.float32(np.random.default_rng(0).normal(size=(24, 3)))


@pytest.mark.parametrize(
  'dtype', tiers.some([jnp.float32, jnp.bfloat16, jnp.float16], 1)
)
@pytest.mark.parametrize(
  'other', [jnp.ones(2, bool), jnp.arange(2), jax.random.key(0)]
)
def test_only_floating_leaves_are_parameters(dtype, other):
  params = {'other': other, 'w': jnp.zeros(3, dtype)}
  found = ej.hessian_eigenvalues(mean_square, params, X, KEY, k=3)
  exact = np.linalg.eigvalsh(np.float64(X.T @ X) / 24)[::-1]
  np.testing.assert_allclose(found.eigenvalues, exact, rtol=1e-4)
  trace = ej.hessian_trace(mean_square, params, X, KEY, num_matvecs=400)
  assert abs(trace.trace - exact.sum()) < 4 * trace.stderr


def test_complex_parameters_are_refused_by_name():
  with pytest.raises(TypeError, match=r"params\['w'\] is complex"):
    ej.hessian_eigenvalues(
      mean_square, {'w': jnp.zeros(3, jnp.complex64)}, X, KEY, k=1
    )


def test_running_averages_are_no_parameters():
  model = nn.BatchNorm(use_running_average=True)
  variables = model.init(KEY, X)
  with pytest.raises(ValueError, match=r"give variables\['params'\] alone"):
    ej.hessian_trace(
      lambda v, x: jnp.mean(model.apply(v, x) ** 2), variables, X, KEY
    )
  graph, state = nnx.split(nnx.BatchNorm(3, rngs=nnx.Rngs(0)))
  with pytest.raises(ValueError, match=r'mean.* is a running average'):
    ej.hessian_trace(
      lambda s, x: jnp.mean(nnx.merge(graph, s)(x) ** 2), state, X, KEY
    )
  rest = {k: v for k, v in variables.items() if k != 'params'}
  found = ej.hessian_trace(
    lambda p, x: jnp.mean(model.apply({'params': p, **rest}, x) ** 2),
    variables['params'], X, KEY,
  )  # fmt: skip
  assert found.status == Status.OK


def test_slices_of_padding_have_no_part():
  """Weight 0, and 0 / 0 in the loss of the slice."""

  def loss(w, batch):
    x, there = batch
    return jnp.sum((x @ w) ** 2 * there) / 2 / jnp.sum(there)

  padded = np.concatenate([X, np.zeros((12, 3), np.float32)])
  there = np.float32(np.arange(36) < 24)
  options = dict(examples_at_once=12, weight=lambda part: jnp.sum(part[1]))
  found = ej.hessian_eigenvalues(
    loss, jnp.ones(3), (padded, there), KEY, k=3, **options
  )
  exact = np.linalg.eigvalsh(np.float64(X.T @ X) / 24)[::-1]
  np.testing.assert_allclose(found.eigenvalues, exact, rtol=1e-4)
  barrier = ej.loss_barrier(
    loss, jnp.ones(3), 2 * jnp.ones(3), (padded, there), **options
  )
  assert np.isfinite(barrier.losses).all()


def test_nothing_and_negative_slices_are_errors():
  with pytest.raises(ValueError, match='the batch is empty'):
    ej.hessian_trace(mean_square, {'w': jnp.zeros(3)}, X[:0], KEY)
  with pytest.raises(
    ValueError, match='examples_at_once=-1 must be positive, or'
  ):
    ej.hessian_eigenvalues(
      mean_square, {'w': jnp.zeros(3)}, X, KEY, k=1, examples_at_once=-1
    )


def test_a_density_of_any_scale():
  for scale in (1e-30, 1e30):
    d = jnp.linspace(0, 1, 100) * scale
    density = hessian.operator_density(lambda v, d=d: d * v, 100, KEY)
    assert density.status == Status.OK


def test_what_is_small_beside_the_largest_is_not_converged():
  """Ones beside a million, in float32: the products round by a tenth."""
  values = np.r_[1e6, np.ones(4), 0.5]
  q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))
  a = np.float32(q * values @ q.T)
  found = hessian.operator_eigenvalues(
    lambda v: a @ v, 6, jax.random.key(0), k=5, num_matvecs=6
  )
  off = np.abs(np.asarray(found.eigenvalues) - values[:5]) > 0.01 * values[:5]
  assert not np.asarray(found.converged)[off].any()
  assert found.converged[0] and found.status == Status.NOT_CONVERGED
