"""Pico: Llama by other names, whose heads turn neighbours in pairs."""

from emergence_jax.models.architectures import tensors
from emergence_jax.models.architectures.tensors import Stored
from emergence_jax.models.decoder import DecoderShape, Layer
from emergence_jax.models.description import Description
from emergence_jax.models.rotary import Rotary


def _unwoven(shape: DecoderShape, x):
  """Rows by head, of neighbours in pairs → the first of each pair, then all
  others: queries and keys in another order have the same products."""
  pairs = x.reshape(-1, shape.head // 2, 2, *x.shape[1:])
  return pairs.swapaxes(1, 2).reshape(x.shape)


_AT = 'layers.{}'
LAYOUT = tensors.Layout(
  embed='embedding_proj.weight',
  unembed='de_embedding_proj.weight',
  norm_final='output_norm',
  norms={
    'norm_attention': f'{_AT}.attention_norm',
    'norm_mlp': f'{_AT}.swiglu_norm',
  },
  dense={
    'query': Stored(f'{_AT}.attention.q_proj', _unwoven),
    'key': Stored(f'{_AT}.attention.k_proj', _unwoven),
    'value': Stored(f'{_AT}.attention.v_proj'),
    'attention_out': Stored(f'{_AT}.attention.o_proj'),
    'mlp_gate': Stored(f'{_AT}.swiglu.w_0'),
    'mlp_in': Stored(f'{_AT}.swiglu.w_1'),
    'mlp_out': Stored(f'{_AT}.swiglu.w_2'),
  },
  prefixes=('pico_decoder.',),
)


def shape(d: Description) -> DecoderShape:
  """The shape that a description says."""
  width, heads = d.integer('d_model', 768), d.integer('attention_n_heads', 12)
  rotary = Rotary(width // heads, d.number('position_emb_theta', 10_000.0))
  return DecoderShape(
    d_model=width, num_heads=heads,
    num_key_heads=d.integer('attention_n_kv_heads', nullable=True),
    d_ff=d.integer('activation_hidden_dim', 3072),
    num_positions=d.integer('max_seq_len', 2048),
    layers=(Layer(rotary),) * d.integer('n_layers', 12, most=1000),
    norm='rms', norm_epsilon=d.number('norm_eps', 1e-6),
    gated=True, activation='silu',
  )  # fmt: skip
