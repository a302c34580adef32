"""Masks of parameters: which of them move."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import core

from emergence_jax.base.types import PyTree
from emergence_jax.numerics import leaves


def _plain(tree: PyTree) -> PyTree:
  """Frozen dictionaries as plain ones, so that both kinds fit together."""
  return core.unfreeze(tree) if isinstance(tree, core.FrozenDict) else tree


def flat(mask: PyTree | None, params: PyTree) -> jax.Array:
  """A mask as a flat 0/1 vector [P] over the floating leaves of `params`.

  Args:
    mask: concrete booleans, or boolean arrays that broadcast to the leaves, in
      a tree like `params` or a prefix of it (as `optax.masked` takes it); None
      selects all.
    params: any pytree.

  Raises:
    ValueError: if it selects nothing, does not fit, or is not boolean.
  """
  moving, _ = leaves.split(params)
  if mask is None:
    return jnp.ones(sum(x.size for x in moving))
  params = _plain(params)

  def spread(path, part, below):
    """One boolean of the mask for every leaf below it."""
    name = f'mask{jax.tree_util.keystr(path)}'
    part = np.asarray(part)
    if part.dtype != bool:
      raise ValueError(
        f'{name} is of type {part.dtype}; give True where parameters move, and '
        'False elsewhere.'
      )

    def fill(leaf):
      try:
        return np.broadcast_to(part, np.shape(leaf))
      except ValueError as error:
        raise ValueError(
          f'{name} has shape {part.shape}, which does not broadcast to its '
          f'leaf of shape {np.shape(leaf)}.'
        ) from error

    return jax.tree.map(fill, below)

  try:
    chosen = jax.tree_util.tree_map_with_path(spread, _plain(mask), params)
  except ValueError as error:
    if str(error).startswith('mask'):
      raise
    raise ValueError(
      f'the mask must be a tree like the parameters, or a prefix of it: {error}'
    ) from error
  moves = [
    chosen_leaf
    for chosen_leaf, leaf in zip(
      jax.tree.leaves(chosen), jax.tree.leaves(params)
    )
    if leaves.moves(leaf)
  ]
  flat_P = np.concatenate([np.ravel(x) for x in moves])
  if not flat_P.any():
    raise ValueError('the mask selects no parameter; set some leaf to True.')
  return jnp.asarray(flat_P.astype(np.float32))
