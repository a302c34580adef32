"""Protocol of models, and an adapter for Flax modules."""

import abc
import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from emergence_jax.base.types import PyTree

# (block, from 0; its output [B, T, D]) → what takes its place.
Edit = Callable[[int, jax.Array], jax.Array]


class Output(NamedTuple):
  """What a model returns.

  Attributes:
    logits: [B, Q, V], for the last Q positions (all, unless asked otherwise).
    hidden: per block the residual stream after it, [B, T, D]; the last one
      is [B, Q, D].
    final: [B, Q, D], after the final LayerNorm, if there is one.
  """

  logits: jax.Array
  hidden: tuple[jax.Array, ...]
  final: jax.Array


class Model(Protocol):
  """A causal language model as pure functions of its parameters.

  One with a large vocabulary may have a method `unembed` besides: (params,
  final state [..., D]) → logits [..., V]. With it, losses need not have the
  logits of all tokens in memory. One whose `apply` takes an `Edit` as `edit`
  lets interventions change hidden states.

  Attributes:
    num_layers: blocks, and so hidden states.
    vocab_size: tokens in and out.
  """

  @property
  def num_layers(self) -> int:
    """See the attributes."""
    ...

  @property
  def vocab_size(self) -> int:
    """See the attributes."""
    ...

  def init(self, key: jax.Array) -> PyTree:
    """Random parameters."""
    ...

  def apply(
    self, params: PyTree, tokens: jax.Array, num_queries: int | None = None
  ) -> Output:
    """Logits and hidden states of int tokens [B, T].

    Args:
      params: parameters.
      tokens: tokens.
      num_queries: if given, only so many last positions need be in the
        output's last hidden state, final state and logits.
    """
    ...

  def ordered(self, params: PyTree) -> list[PyTree]:
    """The same parameters in parts, from the input to the output.

    Every part is a mapping, and their union is `params`.
    """
    ...


def count_params(model: Model) -> int:
  """Parameters of a model, counted without allocating any."""
  params = jax.eval_shape(model.init, jax.random.key(0))
  return sum(math.prod(x.shape) for x in jax.tree.leaves(params))


class ModelShape(abc.ABC):
  """The shape of a model: a frozen dataclass with the keys of `config.model`.

  A class of one's own derives from this one and has `build`; the other methods
  are answered here, and may be answered faster or better there.

  Attributes:
    SIZES: name for `config.model.size` → values of keys.
    num_layers: blocks.
    num_positions: most tokens of a sequence; None if any will do.
  """

  SIZES: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
  num_layers: int
  num_positions: int | None

  @abc.abstractmethod
  def build(self, vocab_size: int) -> Model:
    """The model."""

  def build_for(self, exams: Any) -> Model:
    """The model for a task; `build` of its vocabulary, unless it takes more."""
    return self.build(exams.vocab_size)

  def num_weights(self, vocab_size: int) -> int:
    """Parameters, or a little fewer; here counted without allocating any."""
    return count_params(self.build(vocab_size))

  def num_weights_for(self, exams: Any) -> int:
    """The same for a task."""
    return self.num_weights(exams.vocab_size)

  def activations_per_token(self) -> int:
    """Numbers that a gradient keeps of each token, at least."""
    return 1


def in_order(params: PyTree) -> list[PyTree]:
  """The parts of a decoder whose blocks are named by a number.

  Embeddings come first, then the blocks by their numbers, then all else.
  """

  def place(name: str):
    first = ('embed', 'positions')
    if name in first:
      return 0, first.index(name), name
    number = re.fullmatch(r'\D*(\d+)', name)
    return (1, int(number[1]), name) if number else (2, 0, name)

  return [{name: params[name]} for name in sorted(params, key=place)]


@dataclasses.dataclass(frozen=True)
class Adapted:
  """A model of functions: for a module of any library.

  Attributes:
    num_layers: blocks.
    vocab_size: tokens.
    make: key → parameters.
    forward: (parameters, tokens, num_queries) → `Output`.
    order: parameters → parts from the input to the output; a part of all if
      absent.
  """

  num_layers: int
  vocab_size: int
  make: Callable[[jax.Array], PyTree]
  forward: Callable[..., Output]
  order: Callable[[PyTree], list[PyTree]] = lambda params: [params]

  def init(self, key: jax.Array) -> PyTree:
    """Random parameters."""
    return self.make(key)

  def apply(self, params, tokens, num_queries=None) -> Output:
    """Logits and hidden states."""
    return self.forward(params, tokens, num_queries)

  def ordered(self, params: PyTree) -> list[PyTree]:
    """The parameters in parts."""
    return self.order(params)


@dataclasses.dataclass(frozen=True)
class FlaxModel:
  """A linen module (tokens, num_queries, edit) → `Output` as a `Model`.

  Attributes:
    module: with the attributes `config.num_layers` and `vocab_size`.
  """

  module: Any

  @property
  def config(self) -> Any:
    """The module's shape."""
    return self.module.config

  @property
  def num_layers(self) -> int:
    """Blocks."""
    return self.module.config.num_layers

  @property
  def vocab_size(self) -> int:
    """Tokens in and out."""
    return self.module.vocab_size

  def init(self, key: jax.Array) -> PyTree:
    """Random parameters."""
    return self.module.init(key, jnp.zeros((1, 1), jnp.int32))['params']

  def apply(self, params, tokens, num_queries=None, edit=None) -> Output:
    """Logits and hidden states of int tokens [B, T]."""
    edits = {} if edit is None else {'edit': edit}
    return self.module.apply({'params': params}, tokens, num_queries, **edits)

  def unembed(self, params: PyTree, final: jax.Array) -> jax.Array:
    """Logits [..., V] of final states [..., D]."""
    matrix = params['unembed'] if 'unembed' in params else params['embed'].T
    return final @ matrix

  def ordered(self, params: PyTree) -> list[PyTree]:
    """Embeddings, blocks, final LayerNorm, output matrix."""
    return in_order(params)
