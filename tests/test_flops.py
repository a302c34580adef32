"""Operations counted without compiling, beside what is known of them."""

import jax
import jax.numpy as jnp
import pytest

from emergence_jax.config import schema
from emergence_jax.config.presets import algorithmic
from emergence_jax.machine import flops
from emergence_jax.running import dry_run

A = jnp.ones((4, 3, 5))
B = jnp.ones((4, 5, 7))


def product(a, b):
  return jnp.einsum('nij,njk->nik', a, b)


@pytest.mark.parametrize(
  'fn,expected',
  [
    (product, 2 * 4 * 3 * 5 * 7),
    (jax.jit(product), 2 * 4 * 3 * 5 * 7),
    (lambda a, b: jax.vmap(jnp.matmul)(a, b), 2 * 4 * 3 * 5 * 7),
    (lambda a, b: jax.lax.map(lambda x: x[0] @ x[1], (a, b)), 840),
    (
      lambda a, b: jax.lax.fori_loop(
        0, 10, lambda i, x: x + 0 * product(a, b).sum(), 0.0
      ),
      8400,
    ),
    (
      lambda a, b: jax.lax.cond(
        a.sum() > 0, lambda: product(a, b).sum(), lambda: 0.0
      ),
      840,
    ),
    # Forward once, and a product for each of two arguments backward.
    (jax.grad(lambda a, b: product(a, b).sum(), (0, 1)), 3 * 840),
    (lambda a, b: a.sum() + b.sum(), 0),
  ],
)
def test_programs_of_known_cost(fn, expected):
  assert flops.count(fn, A, B) == expected


def test_a_gradient_costs_six_operations_a_weight_and_token():
  config = schema.from_mapping(algorithmic.get_config('micro'))
  fn, arguments = dry_run._gradient(config)
  tokens = 64 * (config.task.length - 1)
  weights = config.model.num_weights(config.task.vocab_size)
  # Attention and what the embedding does not need lie within a sixth.
  assert flops.count(fn, *arguments) == pytest.approx(
    6 * tokens * weights, rel=1 / 6
  )


@pytest.mark.nightly
def test_layers_are_extrapolated_exactly():
  config = schema.from_mapping(algorithmic.get_config('micro'))
  assert config.model.num_layers == 4
  for build in (dry_run._gradient, dry_run._measured(
    'rank', config.measures['rank']
  )):  # fmt: skip
    fn, arguments = build(config)
    whole = flops.count(fn, *arguments)
    assert dry_run._counted(config, build) == pytest.approx(whole, rel=1e-9)
