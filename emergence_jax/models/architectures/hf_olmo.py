"""OLMo as its own releases name it: fused tensors, other keys."""

import jax

from emergence_jax.models.architectures import tensors
from emergence_jax.models.architectures.tensors import Stored, split
from emergence_jax.models.decoder import DecoderShape, Layer
from emergence_jax.models.description import REQUIRED, Description
from emergence_jax.models.rotary import Rotary


def _half(place: int):
  """The MLP's two projections are fused; the gate comes last."""

  def part(shape: DecoderShape, x: jax.Array) -> jax.Array:
    return x[place * shape.d_ff : (place + 1) * shape.d_ff]

  return part


_AT = 'transformer.blocks.{}'
LAYOUT = tensors.Layout(
  embed='transformer.wte.weight',
  unembed='transformer.ff_out.weight',
  norm_final='transformer.ln_f',
  norms={'norm_attention': f'{_AT}.attn_norm', 'norm_mlp': f'{_AT}.ff_norm'},
  dense={
    'query': Stored(f'{_AT}.att_proj', split(0)),
    'key': Stored(f'{_AT}.att_proj', split(1)),
    'value': Stored(f'{_AT}.att_proj', split(2)),
    'attention_out': Stored(f'{_AT}.attn_out'),
    'mlp_in': Stored(f'{_AT}.ff_proj', _half(0)),
    'mlp_gate': Stored(f'{_AT}.ff_proj', _half(1)),
    'mlp_out': Stored(f'{_AT}.ff_out'),
  },
  prefixes=('model.',),
)


def _check(d: Description) -> None:
  """Refuses what the released models do not have."""
  d.text('activation_type', REQUIRED, ['swiglu'])
  d.text('block_type', REQUIRED, ['sequential'])
  d.text('layer_norm_type', REQUIRED, ['default', 'low_precision'])
  if not d.flag('rope', False):
    raise d.refuse('rope', 'must be true: other positions are not read')
  for name in (
    'alibi', 'attention_layer_norm', 'attention_layer_norm_with_affine',
    'layer_norm_with_affine', 'bias_for_layer_norm', 'include_bias',
    'scale_logits', 'multi_query_attention', 'norm_after',
  ):  # fmt: skip
    d.only(name, False, None)
  for name in ('rope_full_precision', 'block_group_size'):
    d.only(name, True, 1, None)
  d.only('alibi_bias_max', 8.0, 8, None)


def shape(d: Description) -> DecoderShape:
  """The shape that a description says."""
  _check(d)
  width, heads = d.integer('d_model'), d.integer('n_heads')
  # Of both projections together.
  both = d.integer('mlp_hidden_size', None)
  ratio = d.integer('mlp_ratio', 4)
  head = width // heads
  base = d.number('rope_theta', 10_000.0)
  return DecoderShape(
    d_model=width, num_heads=heads,
    num_key_heads=d.integer('n_kv_heads', None),
    d_ff=(ratio * width if both is None else both) // 2,
    num_positions=d.integer('max_sequence_length', 1024),
    layers=(Layer(Rotary(head - head % 2, base)),)
    * d.integer('n_layers', most=1000),
    norm_scale=False, gated=True, activation='silu',
    clip=d.number('clip_qkv', None), tied=d.flag('weight_tying', True),
  )  # fmt: skip


def vocab_size(d: Description) -> int:
  """Rows of the embedding."""
  tokens = d.integer('vocab_size')
  return d.integer('embedding_size', tokens)
