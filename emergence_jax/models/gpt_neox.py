"""The shape of GPT-NeoX, the decoder of Pythia, for training one's own.

Source: arXiv:2304.01373; Black et al. 2022, arXiv:2204.06745. Rotary positions
on a part of each head, exact GELU, LayerNorms and biases everywhere, and a
block whose attention and MLP read the same residual stream ("parallel").
"""

import dataclasses

from emergence_jax.base import checks
from emergence_jax.base.types import UserError
from emergence_jax.models.decoder import ACTIVATIONS, DecoderShape, Layer
from emergence_jax.models.protocol import FlaxModel, ModelShape
from emergence_jax.models.rotary import Rotary


@dataclasses.dataclass(frozen=True)
class NeoXConfig(ModelShape):
  """Shape of a GPT-NeoX decoder.

  Attributes:
    num_layers: blocks.
    d_model: width of the residual stream.
    num_heads: attention heads, a divisor of `d_model`.
    d_ff: width of the MLP.
    num_positions: longest sequence that it was trained on.
    activation: of `decoder.ACTIVATIONS`: `gelu` (exact), `gelu_new` (tanh
      form), `relu`, `silu`, …
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
    if self.activation not in ACTIVATIONS:
      raise UserError(
        f'config.model.activation={self.activation!r} is unknown; choose from '
        f'{sorted(ACTIVATIONS)}.'
      )

  def decoder(self) -> DecoderShape:
    """The same as a shape of the decoder."""
    turning = int(self.d_model // self.num_heads * self.rotary_share)
    rotary = Rotary(turning - turning % 2, self.rotary_base)
    return DecoderShape(
      d_model=self.d_model, num_heads=self.num_heads, d_ff=self.d_ff,
      num_positions=self.num_positions,
      layers=(Layer(rotary),) * self.num_layers,
      norm_bias=True, norm_epsilon=self.norm_epsilon,
      query_bias=self.attention_bias, out_bias=self.attention_bias,
      mlp_bias=True, activation=self.activation, parallel=self.parallel,
      tied=self.tied, init_std=self.init_std,
    )  # fmt: skip

  def build(self, vocab_size: int) -> FlaxModel:
    """The decoder."""
    return self.decoder().build(vocab_size)

  def activations_per_token(self) -> int:
    """The residual stream at each block, and one hidden layer."""
    return self.decoder().activations_per_token()

  def num_weights(self, vocab_size: int) -> int:
    """Entries of all matrices: nearly all parameters, in no time."""
    return self.decoder().num_weights(vocab_size)
