"""One decoder for the architectures that people release.

Each of them is a shape of this one: `models.architectures`. The features of a
layer are the residual stream behind its block, everywhere.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from emergence_jax.base.types import UserError
from emergence_jax.models.attention import causal_attention
from emergence_jax.models.protocol import Edit, FlaxModel, ModelShape, Output
from emergence_jax.models.rotary import Rotary, rotate

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
  'gelu': functools.partial(nn.gelu, approximate=False),
  'gelu_new': nn.gelu,
  'gelu_fast': nn.gelu,
  'gelu_pytorch_tanh': nn.gelu,
  'relu': nn.relu,
  'silu': nn.silu,
  'swish': nn.silu,
}


@dataclasses.dataclass(frozen=True)
class Layer:
  """In what the attention of one block differs from that of another.

  Attributes:
    rotary: how its queries and keys turn; None if they do not.
    window: so many last positions are seen; all if None.
    scale: of its scores; 1 / sqrt(size of a head) if None.
  """

  rotary: Rotary | None = None
  window: int | None = None
  scale: float | None = None


@dataclasses.dataclass(frozen=True)
class DecoderShape(ModelShape):
  """Shape of a released decoder.

  Attributes:
    d_model: width of the residual stream.
    num_heads: attention heads.
    d_ff: width of the MLP.
    num_positions: longest sequence that it was trained on.
    layers: the blocks.
    num_key_heads: heads of keys and values; as many as queries if None.
    head_size: features of a head; `d_model` over `num_heads` if None.
    norm: `layer` or `rms`.
    norm_scale: a scale in every norm.
    norm_bias: a bias in every norm.
    norm_epsilon: of every norm.
    norm_behind: norms of what attention and MLP return, instead of those of
      what they read.
    norm_of_heads: RMSNorm of queries and keys: of `each` head, of `all`
      together, or none if empty.
    learned_positions: a vector for each position, added to the embedding.
    query_bias: biases of queries, keys and values.
    out_bias: of the attention's output.
    mlp_bias: of the MLP.
    gated: the MLP's activation multiplies a second projection.
    activation: of `ACTIVATIONS`.
    clip: bound of queries, keys and values; none if None.
    parallel: attention and MLP read the same residual stream.
    tied: the embedding is also the output matrix.
    init_std: of random weights.
  """

  d_model: int
  num_heads: int
  d_ff: int
  num_positions: int
  layers: tuple[Layer, ...]
  num_key_heads: int | None = None
  head_size: int | None = None
  norm: str = 'layer'
  norm_scale: bool = True
  norm_bias: bool = False
  norm_epsilon: float = 1e-5
  norm_behind: bool = False
  norm_of_heads: str = ''
  learned_positions: bool = False
  query_bias: bool = False
  out_bias: bool = False
  mlp_bias: bool = False
  gated: bool = False
  activation: str = 'gelu'
  clip: float | None = None
  parallel: bool = False
  tied: bool = False
  init_std: float = 0.02

  def __post_init__(self):
    if self.head_size is None and self.d_model % self.num_heads:
      raise UserError(
        f'{self.num_heads} heads do not divide {self.d_model} features.'
      )
    if self.num_heads % self.key_heads:
      raise UserError(
        f'{self.num_heads} heads of queries cannot share {self.key_heads} of '
        'keys and values evenly.'
      )

  @property
  def num_layers(self) -> int:  # type: ignore[override]
    """Blocks."""
    return len(self.layers)

  @property
  def key_heads(self) -> int:
    """Heads of keys and values."""
    return self.num_key_heads or self.num_heads

  @property
  def head(self) -> int:
    """Features of a head."""
    return self.head_size or self.d_model // self.num_heads

  def build(self, vocab_size: int) -> FlaxModel:
    """The decoder."""
    return FlaxModel(Decoder(self, vocab_size))

  def activations_per_token(self) -> int:
    """The residual stream at each block, and one hidden layer."""
    return 1 + self.num_layers * self.d_model + self.d_ff

  def num_weights(self, vocab_size: int) -> int:
    """Entries of all matrices: nearly all parameters, in no time."""
    attention = 2 * (self.num_heads + self.key_heads) * self.head
    block = (attention + (3 if self.gated else 2) * self.d_ff) * self.d_model
    tables = vocab_size * (1 if self.tied else 2)
    return self.num_layers * block + tables * self.d_model


def _norm(shape: DecoderShape, name: str) -> nn.Module:
  if shape.norm == 'rms':
    return nn.RMSNorm(
      epsilon=shape.norm_epsilon, use_scale=shape.norm_scale, name=name
    )
  return nn.LayerNorm(
    epsilon=shape.norm_epsilon, use_scale=shape.norm_scale,
    use_bias=shape.norm_bias, name=name,
  )  # fmt: skip


class Block(nn.Module):
  """Attention and MLP of one layer."""

  shape: DecoderShape
  layer: Layer

  def _dense(self, x, features: int, name: str, bias: bool) -> jax.Array:
    init = nn.initializers.normal(self.shape.init_std)
    dense = nn.Dense(features, use_bias=bias, kernel_init=init, name=name)
    return dense(x)

  def _heads(self, x_BxNxD, heads: int, name: str, start: int = 0) -> jax.Array:
    """Queries, keys or values of a stream from a position on, [B, N, H, E]."""
    shape = self.shape
    y = self._dense(x_BxNxD, heads * shape.head, name, shape.query_bias)
    if shape.clip is not None:
      y = jnp.clip(y, -shape.clip, shape.clip)

    def norm(y):
      norm_name = f'norm_{name}'
      return nn.RMSNorm(epsilon=shape.norm_epsilon, name=norm_name)(y)

    is_normed = name != 'value'
    if shape.norm_of_heads == 'all' and is_normed:
      y = norm(y)
    y = y.reshape(*y.shape[:2], heads, shape.head)
    if shape.norm_of_heads == 'each' and is_normed:
      y = norm(y)
    if is_normed and self.layer.rotary is not None:
      y = rotate(y, self.layer.rotary, start)
    return y

  def _attend(self, x_BxTxD, num_queries: int) -> jax.Array:
    """[B, T, D] → [B, Q, D]."""
    shape, layer = self.shape, self.layer
    start = x_BxTxD.shape[1] - num_queries
    q = self._heads(x_BxTxD[:, start:], shape.num_heads, 'query', start)
    k, v = (
      self._heads(x_BxTxD, shape.key_heads, name) for name in ('key', 'value')
    )
    mixed = causal_attention(q, k, v, scale=layer.scale, window=layer.window)
    return self._dense(mixed, shape.d_model, 'attention_out', shape.out_bias)

  def _mlp(self, x_BxQxD) -> jax.Array:
    shape = self.shape
    act = ACTIVATIONS[shape.activation]
    wide = self._dense(x_BxQxD, shape.d_ff, 'mlp_in', shape.mlp_bias)
    if shape.gated:
      gate = self._dense(x_BxQxD, shape.d_ff, 'mlp_gate', shape.mlp_bias)
      wide = act(gate) * wide
    else:
      wide = act(wide)
    return self._dense(wide, shape.d_model, 'mlp_out', shape.mlp_bias)

  @nn.compact
  def __call__(self, x_BxTxD: jax.Array, num_queries: int) -> jax.Array:
    """Maps [B, T, D] to the last `num_queries` positions, [B, Q, D]."""
    shape = self.shape

    def normed(f, x, name):
      """f of x, with a norm before it or behind."""
      norm = _norm(shape, name)
      return norm(f(x)) if shape.norm_behind else f(norm(x))

    x_BxQxD = x_BxTxD[:, -num_queries:]
    attend = functools.partial(self._attend, num_queries=num_queries)
    after_BxQxD = x_BxQxD + normed(attend, x_BxTxD, 'norm_attention')
    read_BxQxD = x_BxQxD if shape.parallel else after_BxQxD
    return after_BxQxD + normed(self._mlp, read_BxQxD, 'norm_mlp')


class Decoder(nn.Module):
  """The decoder.

  Attributes:
    config: its shape.
    vocab_size: rows of the embedding, which may be more than the tokens.
  """

  config: DecoderShape
  vocab_size: int

  @nn.compact
  def __call__(
    self,
    tokens_BxT: jax.Array,
    num_queries: int | None = None,
    edit: Edit | None = None,
  ) -> Output:
    """Logits and hidden states of int tokens [B, T]; see `protocol.Model`.

    Raises:
      UserError: for a sequence longer than learned positions reach.
    """
    shape = self.config
    length = tokens_BxT.shape[1]
    num_queries = num_queries or length
    normal = nn.initializers.normal(shape.init_std)
    embed_VxD = self.param('embed', normal, (self.vocab_size, shape.d_model))
    x = embed_VxD[tokens_BxT]
    if shape.learned_positions:
      if length > shape.num_positions:
        raise UserError(
          f'sequences of {length} tokens do not fit the model, which has '
          f'{shape.num_positions} positions; take shorter ones.'
        )
      place_PxD = self.param(
        'positions', normal, (shape.num_positions, shape.d_model)
      )
      x = x + place_PxD[:length]
    hidden = []
    for i, layer in enumerate(shape.layers):
      last = i == shape.num_layers - 1
      block = Block(shape, layer, name=f'block_{i}')
      x = block(x, num_queries if last else length)
      x = x if edit is None else edit(i, x)
      hidden.append(x)
    x = _norm(shape, 'norm_final')(x)
    if shape.tied:
      unembed_DxV = embed_VxD.T
    else:
      unembed_DxV = self.param(
        'unembed', normal, (shape.d_model, self.vocab_size)
      )
    return Output(x @ unembed_DxV, tuple(hidden), x)
