"""What a stranger writes, for type checkers alone; see test_types."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # never run
  from typing import reveal_type

  import jax
  import jax.numpy as jnp

  import emergence_jax as ej
  from emergence_jax.store import timeseries

  def loss(params: dict[str, jax.Array], batch: jax.Array) -> jax.Array:
    """A loss of a stranger's own."""
    return jnp.mean((batch @ params['w']) ** 2)

  PARAMS = {'w': jnp.ones(3)}
  BATCH = jnp.ones((10, 3))
  KEY = jax.random.key(0)

  reveal_type(ej.rankme(BATCH))
  reveal_type(ej.hessian_eigenvalues(loss, PARAMS, BATCH, KEY, k=1))
  reveal_type(ej.Status.OK)
  reveal_type(ej.__version__)
  reveal_type(ej.load_params('runs/latest', step=10, seed=0)[0].num_layers)
  reveal_type(timeseries.load('runs/latest'))
  ej.hessian_eigenvalues(loss, PARAMS, BATCH)
  print(ej.no_such_name)
