"""Where a release keeps the parameters of a decoder."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax

from emergence_jax.models.decoder import DecoderShape

# A leaf of ours: the tensor that it is made of, and how.
Leaf = tuple[str, Callable[[jax.Array], jax.Array]]


def whole(shape: DecoderShape, x: jax.Array) -> jax.Array:
  """All of a tensor."""
  del shape
  return x


@dataclasses.dataclass(frozen=True)
class Stored:
  """Where a dense layer's weight and bias are.

  Attributes:
    name: of both, without `.weight` and `.bias`; `{}` is the block's number.
    part: (shape, tensor [out, ...]) → the rows that are this layer's, where
      several are fused.
    by_input: the weight is stored [in, out]; else [out, in].
  """

  name: str
  part: Callable[[DecoderShape, jax.Array], jax.Array] = whole
  by_input: bool = False


@dataclasses.dataclass(frozen=True)
class Layout:
  """Names of a kind of release's tensors.

  Attributes:
    embed: the embedding.
    unembed: the output matrix, where it is not the embedding.
    norm_final: without `.weight`, as all norms.
    norms: norm within a block → name.
    dense: dense layer within a block → where it is.
    positions: learned positions.
    prefixes: that names have in some releases and lack in others.
  """

  embed: str
  unembed: str
  norm_final: str
  norms: Mapping[str, str]
  dense: Mapping[str, Stored]
  positions: str = ''
  prefixes: tuple[str, ...] = ()

  def leaves(self, shape: DecoderShape) -> dict[str, Any]:
    """Our parameters of a shape, each with the tensor that it is made of."""
    leaves: dict[str, Any] = {
      'embed': (self.embed, _same),
      **_norm('norm_final', self.norm_final, shape),
    }
    if shape.learned_positions:
      leaves['positions'] = (self.positions, _same)
    if not shape.tied:
      leaves['unembed'] = (self.unembed, _transposed)
    for i in range(shape.num_layers):
      leaves[f'block_{i}'] = self._block(shape, i)
    return leaves

  def _block(self, shape: DecoderShape, i: int) -> dict[str, Any]:
    block: dict[str, Any] = {}
    for name in ('norm_attention', 'norm_mlp'):
      block |= _norm(name, self.norms[name].format(i), shape)
    if shape.norm_of_heads:
      for name in ('norm_query', 'norm_key'):
        stored = f'{self.norms[name].format(i)}.weight'
        block[name] = {'scale': (stored, _same)}
    for name, place in self.dense.items():
      if name == 'mlp_gate' and not shape.gated:
        continue
      block[name] = _dense(place, shape, i, _has_bias(name, shape))
    return block


def _same(x: jax.Array) -> jax.Array:
  return x


def _transposed(x: jax.Array) -> jax.Array:
  return x.T


def _norm(name: str, stored: str, shape: DecoderShape) -> dict[str, Any]:
  """A norm by its name; nothing if it has no parameters."""
  leaves = {}
  if shape.norm_scale:
    leaves['scale'] = (f'{stored}.weight', _same)
  if shape.norm_bias:
    leaves['bias'] = (f'{stored}.bias', _same)
  return {name: leaves} if leaves else {}


def _has_bias(name: str, shape: DecoderShape) -> bool:
  if name in ('query', 'key', 'value'):
    return shape.query_bias
  return shape.out_bias if name == 'attention_out' else shape.mlp_bias


def _dense(
  stored: Stored, shape: DecoderShape, i: int, bias: bool
) -> dict[str, Leaf]:
  name = stored.name.format(i)

  def kernel(x):
    return stored.part(shape, x.T if stored.by_input else x).T

  def of_bias(x):
    return stored.part(shape, x)

  leaves = {'kernel': (f'{name}.weight', kernel)}
  if bias:
    leaves['bias'] = (f'{name}.bias', of_bias)
  return leaves


def split(place: int) -> Callable[[DecoderShape, jax.Array], jax.Array]:
  """Of query, key and value side by side, that of a place."""

  def part(shape, x):
    queries, keys = (n * shape.head for n in (shape.num_heads, shape.key_heads))
    edges = (0, queries, queries + keys, queries + 2 * keys)
    if len(x) != edges[-1]:
      raise ValueError(f'{len(x)} rows are not {edges[-1]}')
    return x[edges[place] : edges[place + 1]]

  return part
