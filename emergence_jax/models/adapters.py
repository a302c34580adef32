"""Modules of other libraries as models; none of them is a dependency."""

from collections.abc import Callable, Sequence
from typing import Any

import jax

from emergence_jax.base.types import PyTree
from emergence_jax.models.protocol import Adapted, Output

# (module, tokens [B, T], num_queries) → `Output`; the last may be ignored.
Forward = Callable[[Any, jax.Array, int | None], Output]


def _parts(names: Sequence[str]) -> Callable[[PyTree], list[PyTree]]:
  """Parameters → their parts by name, in that order; others come last."""

  def order(params):
    rest = [name for name in params if name not in names]
    return [{name: params[name]} for name in [*names, *rest]]

  return order


def from_nnx(
  make: Callable[[jax.Array], Any],
  forward: Forward,
  *,
  num_layers: int,
  vocab_size: int,
  order: Sequence[str] = (),
) -> Adapted:
  """A Flax NNX module as a model.

  Its parameters are the pure dictionary of its `nnx.Param`s, without any
  random state or statistics; those stay as `make` leaves them.

  Args:
    make: key → module.
    forward: (module, tokens [B, T], num_queries) → `Output`.
    num_layers: hidden states in the output.
    vocab_size: tokens.
    order: names of the module's attributes from the input to the output, for
      what looks at the first parameters.

  Returns:
    A model; `model.init(key)` are parameters, and those of a module that is
    trained already are `nnx.to_pure_dict(nnx.state(module, nnx.Param))`.
  """
  from flax import nnx

  # The three dots stand for all that is no parameter.
  split: Any = nnx.split
  graph, like, others = split(make(jax.random.key(0)), nnx.Param, ...)

  def init(key):
    return nnx.to_pure_dict(nnx.state(make(key), nnx.Param))

  def apply(params, tokens, num_queries=None):
    state = jax.tree.map(lambda x: x, like)
    nnx.replace_by_pure_dict(state, params)
    return forward(nnx.merge(graph, state, others), tokens, num_queries)

  return Adapted(num_layers, vocab_size, init, apply, _parts(order))


def from_equinox(
  make: Callable[[jax.Array], Any],
  forward: Forward,
  *,
  num_layers: int,
  vocab_size: int,
) -> Adapted:
  """An Equinox module as a model.

  Its parameters are `{'module': …}` with what `eqx.is_inexact_array` holds of;
  all else is taken from `make`.

  Args:
    make: key → module.
    forward: (module, tokens [B, T], num_queries) → `Output`.
    num_layers: hidden states in the output.
    vocab_size: tokens.

  Returns:
    A model; the parameters of a module that is trained already are
    `{'module': eqx.filter(module, eqx.is_inexact_array)}`.
  """
  import equinox as eqx

  _, static = eqx.partition(make(jax.random.key(0)), eqx.is_inexact_array)

  def init(key):
    return {'module': eqx.filter(make(key), eqx.is_inexact_array)}

  def apply(params, tokens, num_queries=None):
    module = eqx.combine(params['module'], static)
    return forward(module, tokens, num_queries)

  return Adapted(num_layers, vocab_size, init, apply)
