"""GPT-2 style decoder with every layer's residual stream in its output.

Source: arXiv:2602.15997, section 3.1; Radford et al. 2019. No biases and 48
positions, which gives the smallest size exactly 405,248 parameters.
"""

import dataclasses
import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from emergence_jax.base import checks
from emergence_jax.base.types import UserError
from emergence_jax.models.attention import causal_attention
from emergence_jax.models.protocol import Edit, FlaxModel, ModelShape, Output

# layers, d_model, heads, d_ff
SIZES = {
  'nano': (2, 128, 4, 512),
  'micro': (4, 192, 6, 768),
  'small': (6, 320, 8, 1280),
  'medium': (8, 512, 8, 2048),
  'large': (12, 768, 12, 3072),
  'xlarge': (12, 1024, 16, 4096),
}
_KEYS = ('num_layers', 'd_model', 'num_heads', 'd_ff')
# Each is traced on its own.
_MOST_LAYERS = 1000
_ACTIVATIONS = {'gelu': nn.gelu, 'relu': nn.relu}


@dataclasses.dataclass(frozen=True)
class GPTConfig(ModelShape):
  """Shape of a decoder.

  Attributes:
    num_layers: blocks.
    d_model: width of the residual stream.
    num_heads: attention heads, a divisor of `d_model`.
    d_ff: width of the MLP.
    num_positions: longest sequence.
    activation: `gelu` (tanh form, as in GPT-2) or `relu`.
    norm: pre-LayerNorm, with a scale and no bias, and a final one.
    tied: the embedding is also the output matrix.
    biases: biases in the MLP.
    attention_biases: biases in the attention.
    norm_bias: a bias in every LayerNorm.
    norm_epsilon: of every LayerNorm.
    init_std: weights are N(0, init_std²); the two projections onto the
      residual stream are divided by sqrt(2·num_layers).
  """

  num_layers: int
  d_model: int
  num_heads: int
  d_ff: int
  num_positions: int = 48
  activation: str = 'gelu'
  norm: bool = True
  tied: bool = True
  biases: bool = False
  attention_biases: bool = False
  norm_bias: bool = False
  norm_epsilon: float = 1e-6
  init_std: float = 0.02

  SIZES: ClassVar = {n: dict(zip(_KEYS, row)) for n, row in SIZES.items()}

  def __post_init__(self):
    for name in ('num_layers', 'd_model', 'num_heads', 'd_ff', 'num_positions'):
      most = _MOST_LAYERS if name == 'num_layers' else checks.LARGEST_INT
      checks.in_range(f'config.model.{name}', getattr(self, name), 1, most)
    for name in ('init_std', 'norm_epsilon'):
      value = getattr(self, name)
      checks.in_range(f'config.model.{name}', value, 0, above=True)
    if self.d_model % self.num_heads:
      raise UserError(
        f'config.model.d_model={self.d_model} must be a multiple of '
        f'config.model.num_heads={self.num_heads}.'
      )
    if self.activation not in _ACTIVATIONS:
      raise UserError(
        f'config.model.activation={self.activation!r} is unknown; choose from '
        f'{sorted(_ACTIVATIONS)}.'
      )

  def build(self, vocab_size: int) -> FlaxModel:
    """The decoder."""
    return model(self, vocab_size)

  def activations_per_token(self) -> int:
    """The residual stream at each block, and one hidden layer."""
    return 1 + self.num_layers * self.d_model + self.d_ff

  def num_weights(self, vocab_size: int) -> int:
    """Entries of all matrices: nearly all parameters, in no time."""
    block = 4 * self.d_model**2 + 2 * self.d_model * self.d_ff
    tables = vocab_size * (1 if self.tied else 2) + self.num_positions
    return self.num_layers * block + tables * self.d_model


class NarrowingDense(nn.Module):
  """A dense layer to fewer features, whose kernel is stored [out, in].

  The gradient of a tall [in, out] kernel takes a CPU's matrix product twice
  as long as that of its transpose (BUILD_NOTES.md, speed).
  """

  features: int
  kernel_init: nn.initializers.Initializer
  use_bias: bool

  @nn.compact
  def __call__(self, x_NxF: jax.Array) -> jax.Array:
    """[N, F] → [N, features]."""
    shape = (self.features, x_NxF.shape[1])
    kernel_DxF = self.param('kernel', self.kernel_init, shape)
    y_NxD = jnp.einsum('nf,df->nd', x_NxF, kernel_DxF)
    if not self.use_bias:
      return y_NxD
    return y_NxD + self.param('bias', nn.initializers.zeros, (self.features,))


def _on_rows(layer: nn.Module, x: jax.Array) -> jax.Array:
  """Applies a layer of matrices to the last axis of [..., D].

  With more axes than rows, the gradient of the kernel becomes a product of
  transposed copies, which takes a CPU up to half as long again.
  """
  return layer(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], -1)


def _norm(config: GPTConfig, name: str) -> nn.Module:
  return nn.LayerNorm(
    use_bias=config.norm_bias, epsilon=config.norm_epsilon, name=name
  )


class Block(nn.Module):
  """Attention and MLP, each added to the residual stream."""

  config: GPTConfig

  @nn.compact
  def __call__(
    self,
    x_BxTxD: jax.Array,
    num_queries: int,
    distinct: tuple[jax.Array, jax.Array] | None = None,
  ) -> jax.Array:
    """Maps [B, T, D] to the last `num_queries` positions, [B, Q, D].

    Args:
      x_BxTxD: the residual stream.
      num_queries: so many last positions are wanted.
      distinct: of the first block: what the stream is for every token at every
        place, [V, T, D], and the tokens [B, T]; keys and values are then
        computed once for each, and looked up.
    """
    cfg = self.config
    normal = nn.initializers.normal(cfg.init_std)
    residual = nn.initializers.normal(
      cfg.init_std / math.sqrt(2 * cfg.num_layers)
    )

    def norm(x, name):
      return _norm(cfg, name)(x) if cfg.norm else x

    def attend(x, features, name, init=normal):
      layer = nn.Dense(
        features, use_bias=cfg.attention_biases, kernel_init=init, name=name
      )
      return _on_rows(layer, x)

    batch, length, _ = x_BxTxD.shape
    heads = (cfg.num_heads, cfg.d_model // cfg.num_heads)
    x_BxQxD = x_BxTxD[:, length - num_queries :]
    normed = _norm(cfg, 'norm_attention') if cfg.norm else (lambda x: x)
    query = attend(normed(x_BxQxD), cfg.d_model, 'query')
    if distinct is None:
      key_value = attend(normed(x_BxTxD), 2 * cfg.d_model, 'key_value')
    else:
      x_VxTxD, tokens_BxT = distinct
      table = attend(normed(x_VxTxD), 2 * cfg.d_model, 'key_value')
      key_value = table[tokens_BxT, jnp.arange(length)]
    key, value = jnp.split(key_value, 2, -1)
    q_BxQxHxE = query.reshape(batch, num_queries, *heads)
    k_BxTxHxE = key.reshape(batch, length, *heads)
    v_BxTxHxE = value.reshape(batch, length, *heads)

    mixed = causal_attention(q_BxQxHxE, k_BxTxHxE, v_BxTxHxE)
    x_BxQxD = x_BxQxD + attend(mixed, cfg.d_model, 'attention_out', residual)

    h_BxQxD = norm(x_BxQxD, 'norm_mlp')
    wide = nn.Dense(
      cfg.d_ff, use_bias=cfg.biases, kernel_init=normal, name='mlp_in'
    )
    h_BxQxF = _on_rows(wide, h_BxQxD)
    h_BxQxF = _ACTIVATIONS[cfg.activation](h_BxQxF)
    narrow = NarrowingDense(cfg.d_model, residual, cfg.biases, name='mlp_out')
    return x_BxQxD + _on_rows(narrow, h_BxQxF)


class Decoder(nn.Module):
  """The decoder.

  Attributes:
    config: its shape.
    vocab_size: tokens in and out.
  """

  config: GPTConfig
  vocab_size: int

  @nn.compact
  def __call__(
    self,
    tokens_BxT: jax.Array,
    num_queries: int | None = None,
    edit: Edit | None = None,
  ) -> Output:
    """Logits and hidden states of int tokens [B, T].

    Args:
      tokens_BxT: tokens, T at most `config.num_positions`.
      num_queries: if given, only so many last positions of the last block
        are computed; the same numbers for less work.
      edit: changes the output of each block on the way.

    Raises:
      UserError: for a sequence longer than `config.num_positions`.
    """
    cfg = self.config
    length = tokens_BxT.shape[1]
    if length > cfg.num_positions:
      raise UserError(
        f'sequences of {length} tokens do not fit '
        f'config.model.num_positions={cfg.num_positions}; raise it to {length}.'
      )
    num_queries = num_queries or length
    normal = nn.initializers.normal(cfg.init_std)
    embed_VxD = self.param('embed', normal, (self.vocab_size, cfg.d_model))
    place_PxD = self.param(
      'positions', normal, (cfg.num_positions, cfg.d_model)
    )
    x = embed_VxD[tokens_BxT] + place_PxD[:length]
    distinct = None
    if tokens_BxT.shape[0] >= 2 * self.vocab_size:
      distinct = embed_VxD[:, None] + place_PxD[:length], tokens_BxT
    hidden = []
    for i in range(cfg.num_layers):
      last = i == cfg.num_layers - 1
      x = Block(cfg, name=f'block_{i}')(
        x, num_queries if last else length, None if i else distinct
      )
      x = x if edit is None else edit(i, x)
      hidden.append(x)
    if cfg.norm:
      x = _norm(cfg, 'norm_final')(x)
    if cfg.tied:
      unembed_DxV = embed_VxD.T
    else:
      unembed_DxV = self.param(
        'unembed', normal, (cfg.d_model, self.vocab_size)
      )
    logits = x.reshape(-1, cfg.d_model) @ unembed_DxV
    logits = logits.reshape(*x.shape[:2], self.vocab_size)
    return Output(logits, tuple(hidden), x)


def model(config: GPTConfig, vocab_size: int) -> FlaxModel:
  """The decoder as the measures use it."""
  return FlaxModel(Decoder(config, vocab_size))
