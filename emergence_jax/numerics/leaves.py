"""What of a pytree is a parameter: its floating leaves.

Booleans, integers and keys (masks, indices, counters) belong to a model and
are not moved, differentiated or counted. Half precision is raised to float32,
in which curvature has digits left.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from emergence_jax.base.types import PyTree


def at_least_float32(x: jax.Array) -> jax.Array:
  """Half-precision arrays as float32, integers too, others as they are."""
  x = jnp.asarray(x)
  return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def is_floating(leaf) -> bool:
  """Whether a leaf is a real floating number or an array of them."""
  return jnp.issubdtype(jnp.result_type(leaf), jnp.floating)


def _is_array(leaf) -> bool:
  return isinstance(leaf, bool | int | float | complex) or hasattr(
    leaf, 'dtype'
  )


def moves(leaf) -> bool:
  """Whether a leaf is a parameter."""
  return _is_array(leaf) and not _is_key(leaf) and is_floating(leaf)


def _is_statistics(node) -> bool:
  """Whether a node is the running average of a normalisation, of Flax NNX."""
  return any(c.__name__ == 'BatchStat' for c in type(node).__mro__)


def _refuse_statistics(params: PyTree) -> None:
  """Running averages are floating leaves too, and no parameters."""
  if isinstance(params, Mapping) and 'batch_stats' in params:
    raise ValueError(
      "the collection 'batch_stats' is among the parameters; give "
      "variables['params'] alone, and let the loss put the others beside it: "
      "model.apply({**variables, 'params': params}, …)."
    )
  nodes = jax.tree_util.tree_leaves_with_path(params, is_leaf=_is_statistics)
  for path, node in nodes:
    if _is_statistics(node):
      raise ValueError(
        f'params{jax.tree_util.keystr(path)} is a running average, which is no '
        'parameter; take those apart by nnx.split(model, nnx.Param, ...).'
      )


def split(
  params: PyTree,
) -> tuple[list[jax.Array], Callable[[list[jax.Array]], PyTree]]:
  """The floating leaves in the order of the tree, and how to put them back.

  >>> leaves, rebuild = split({'mask': True, 'w': jnp.ones(2, jnp.bfloat16)})
  >>> leaves[0].dtype, rebuild([leaves[0] + 1])['mask']
  (dtype('float32'), True)

  Args:
    params: any pytree.

  Raises:
    TypeError: for a complex leaf, by its name.
    ValueError: if there is no floating leaf, or one is a running average of a
      normalisation of Flax.
  """
  _refuse_statistics(params)
  paths, structure = jax.tree.flatten_with_path(params)
  chosen = []
  for path, leaf in paths:
    if _is_array(leaf) and not _is_key(leaf) and jnp.iscomplexobj(leaf):
      raise TypeError(
        f'params{jax.tree_util.keystr(path)} is complex; give its real and '
        'imaginary parts as two leaves.'
      )
    chosen.append(moves(leaf))
  if not any(chosen):
    raise ValueError('the parameters have no floating leaf.')
  leaves = [at_least_float32(x) for (_, x), m in zip(paths, chosen) if m]

  def rebuild(new: list[jax.Array]) -> PyTree:
    rest = iter(new)
    return jax.tree.unflatten(
      structure, [next(rest) if m else x for (_, x), m in zip(paths, chosen)]
    )

  return leaves, rebuild


def _is_key(leaf) -> bool:
  """Whether a leaf is a typed PRNG key or an array of them."""
  dtype = getattr(leaf, 'dtype', None)
  return dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)


def ravel(params: PyTree) -> tuple[jax.Array, Callable[[jax.Array], PyTree]]:
  """The floating leaves as one vector [P], and how to make a tree of it."""
  leaves, rebuild = split(params)
  flat_P, unravel = ravel_pytree(leaves)
  return flat_P, lambda w_P: rebuild(unravel(w_P))


def power_of_two(largest: jax.Array) -> jax.Array:
  """The power of two next above a positive number; 1 for 0, inf or nan.

  Dividing by it is exact, and brings numbers into a range where their squares
  neither overflow nor underflow.
  """
  usable = jnp.isfinite(largest) & (largest > 0)
  _, exponent = jnp.frexp(jnp.where(usable, largest, 0.5))
  # Of the smallest and largest numbers the power itself must be one.
  exponent = jnp.clip(exponent, -120, 120)
  return jnp.ldexp(jnp.ones_like(largest), exponent)
