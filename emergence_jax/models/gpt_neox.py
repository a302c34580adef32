"""GPT-NeoX, the decoder of Pythia, with every block's residual stream.

Source: arXiv:2304.01373; Black et al. 2022, arXiv:2204.06745. Rotary positions
on a part of each head, exact GELU, LayerNorms and biases everywhere, and a
block whose attention and MLP read the same residual stream ("parallel").
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from emergence_jax.base import checks
from emergence_jax.base.types import UserError
from emergence_jax.models.attention import causal_attention
from emergence_jax.models.protocol import FlaxModel, ModelShape, Output

_ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
  'gelu': functools.partial(nn.gelu, approximate=False),
  'gelu_new': nn.gelu,
  'gelu_fast': nn.gelu,
  'relu': nn.relu,
}


@dataclasses.dataclass(frozen=True)
class NeoXConfig(ModelShape):
  """Shape of a GPT-NeoX decoder.

  Attributes:
    num_layers: blocks.
    d_model: width of the residual stream.
    num_heads: attention heads, a divisor of `d_model`.
    d_ff: width of the MLP.
    num_positions: longest sequence that it was trained on.
    activation: `gelu` (exact), `gelu_new` (tanh form) or `relu`.
    rotary_share: of each head's features, how many turn with the position.
    rotary_base: of their wavelengths.
    parallel: whether attention and MLP read the same residual stream.
    tied: the embedding is also the output matrix.
    attention_bias: biases in the attention.
    norm_epsilon: of every LayerNorm.
    init_std: of random weights.
  """

  num_layers: int
  d_model: int
  num_heads: int
  d_ff: int
  num_positions: int = 2048
  activation: str = 'gelu'
  rotary_share: float = 0.25
  rotary_base: float = 10_000.0
  parallel: bool = True
  tied: bool = False
  attention_bias: bool = True
  norm_epsilon: float = 1e-5
  init_std: float = 0.02

  def __post_init__(self):
    for name in ('num_layers', 'd_model', 'num_heads', 'd_ff', 'num_positions'):
      checks.in_range(f'config.model.{name}', getattr(self, name), 1)
    for name in ('norm_epsilon', 'init_std', 'rotary_base'):
      value = getattr(self, name)
      checks.in_range(f'config.model.{name}', value, 0, above=True)
    checks.in_range('config.model.rotary_share', self.rotary_share, 0, 1)
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
    tables = vocab_size * (1 if self.tied else 2)
    return self.num_layers * block + tables * self.d_model

  @property
  def rotary_size(self) -> int:
    """Features of a head that turn, an even number."""
    turning = int(self.d_model // self.num_heads * self.rotary_share)
    return turning - turning % 2


def rotate(x_BxTxHxE: jax.Array, size: int, base: float) -> jax.Array:
  """Turns the first `size` features of each head by its position.

  Feature i is paired with feature i + size/2, and turned by the position over
  base^(2i/size).
  """
  if not size:
    return x_BxTxHxE
  half = size // 2
  length = x_BxTxHxE.shape[1]
  rate = base ** (-jnp.arange(half, dtype=jnp.float32) / half)
  angle_TxR = jnp.arange(length)[:, None] * rate
  cos = jnp.cos(angle_TxR)[:, None].astype(x_BxTxHxE.dtype)
  sin = jnp.sin(angle_TxR)[:, None].astype(x_BxTxHxE.dtype)
  a, b = x_BxTxHxE[..., :half], x_BxTxHxE[..., half:size]
  return jnp.concatenate(
    [a * cos - b * sin, b * cos + a * sin, x_BxTxHxE[..., size:]], -1
  )


class Block(nn.Module):
  """Attention and MLP of one layer."""

  config: NeoXConfig

  @nn.compact
  def __call__(self, x_BxTxD: jax.Array, num_queries: int) -> jax.Array:
    """Maps [B, T, D] to the last `num_queries` positions, [B, Q, D]."""
    cfg = self.config
    normal = nn.initializers.normal(cfg.init_std)

    def norm(x, name):
      return nn.LayerNorm(epsilon=cfg.norm_epsilon, name=name)(x)

    def dense(x, features, name, bias=True):
      return nn.Dense(
        features, use_bias=bias, kernel_init=normal, name=name
      )(x)  # fmt: skip

    batch, length, _ = x_BxTxD.shape
    start = length - num_queries
    head = cfg.d_model // cfg.num_heads
    h_BxTxD = norm(x_BxTxD, 'norm_attention')
    # The rows of one head's query, key and value stand side by side.
    fused = dense(
      h_BxTxD, 3 * cfg.d_model, 'query_key_value', cfg.attention_bias
    ).reshape(batch, length, cfg.num_heads, 3, head)
    q, k, v_BxTxHxE = (fused[..., i, :] for i in range(3))
    q_BxQxHxE = rotate(q, cfg.rotary_size, cfg.rotary_base)[:, start:]
    k_BxTxHxE = rotate(k, cfg.rotary_size, cfg.rotary_base)
    mixed = causal_attention(q_BxQxHxE, k_BxTxHxE, v_BxTxHxE)
    attended = dense(mixed, cfg.d_model, 'attention_out', cfg.attention_bias)

    x_BxQxD = x_BxTxD[:, start:]
    after_BxQxD = x_BxQxD + attended
    h_BxQxD = norm(x_BxQxD if cfg.parallel else after_BxQxD, 'norm_mlp')
    h_BxQxF = _ACTIVATIONS[cfg.activation](dense(h_BxQxD, cfg.d_ff, 'mlp_in'))
    return after_BxQxD + dense(h_BxQxF, cfg.d_model, 'mlp_out')


class NeoX(nn.Module):
  """The decoder.

  Attributes:
    config: its shape.
    vocab_size: rows of the embedding, which may be more than the tokens.
  """

  config: NeoXConfig
  vocab_size: int

  @nn.compact
  def __call__(
    self, tokens_BxT: jax.Array, num_queries: int | None = None
  ) -> Output:
    """Logits and hidden states of int tokens [B, T]; see `models.base`."""
    cfg = self.config
    length = tokens_BxT.shape[1]
    num_queries = num_queries or length
    normal = nn.initializers.normal(cfg.init_std)
    embed_VxD = self.param('embed', normal, (self.vocab_size, cfg.d_model))
    x = embed_VxD[tokens_BxT]
    hidden = []
    for i in range(cfg.num_layers):
      last = i == cfg.num_layers - 1
      x = Block(cfg, name=f'block_{i}')(x, num_queries if last else length)
      hidden.append(x)
    x = nn.LayerNorm(epsilon=cfg.norm_epsilon, name='norm_final')(x)
    if cfg.tied:
      unembed_DxV = embed_VxD.T
    else:
      unembed_DxV = self.param(
        'unembed', normal, (cfg.d_model, self.vocab_size)
      )
    return Output(x @ unembed_DxV, tuple(hidden), x)


def model(config: NeoXConfig, vocab_size: int) -> FlaxModel:
  """The decoder as the measures use it."""
  return FlaxModel(NeoX(config, vocab_size))
