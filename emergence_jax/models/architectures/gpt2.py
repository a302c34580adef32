"""GPT-2, and the runs of many seeds that stanford-crfm trained in its shape."""

import math

from emergence_jax.models.architectures import tensors
from emergence_jax.models.architectures.tensors import Stored, split
from emergence_jax.models.decoder import ACTIVATIONS, DecoderShape, Layer
from emergence_jax.models.description import Description

LAYOUT = tensors.Layout(
  embed='wte.weight',
  unembed='lm_head.weight',
  norm_final='ln_f',
  norms={'norm_attention': 'h.{}.ln_1', 'norm_mlp': 'h.{}.ln_2'},
  dense={
    'query': Stored('h.{}.attn.c_attn', split(0), by_input=True),
    'key': Stored('h.{}.attn.c_attn', split(1), by_input=True),
    'value': Stored('h.{}.attn.c_attn', split(2), by_input=True),
    'attention_out': Stored('h.{}.attn.c_proj', by_input=True),
    'mlp_in': Stored('h.{}.mlp.c_fc', by_input=True),
    'mlp_out': Stored('h.{}.mlp.c_proj', by_input=True),
  },
  positions='wpe.weight',
  prefixes=('transformer.',),
)


def shape(d: Description) -> DecoderShape:
  """The shape that a description says."""
  width, heads = d.integer('n_embd', 768), d.integer('n_head', 12)
  longest = d.integer('n_positions', 1024)
  d.only('n_ctx', longest)
  for name in ('add_cross_attention', 'is_encoder_decoder'):
    d.only(name, False)
  is_scaled = d.flag('scale_attn_weights', True)
  by_layer = d.flag('scale_attn_by_inverse_layer_idx', False)
  scale = 1 / math.sqrt(width // heads) if is_scaled else 1.0
  inner = d.integer('n_inner', None)
  return DecoderShape(
    d_model=width, num_heads=heads, num_positions=longest,
    d_ff=4 * width if inner is None else inner,
    layers=tuple(
      Layer(scale=scale / (i + 1 if by_layer else 1))
      for i in range(d.integer('n_layer', 12, most=1000))
    ),
    norm_bias=True, norm_epsilon=d.number('layer_norm_epsilon', 1e-5),
    learned_positions=True, query_bias=True, out_bias=True, mlp_bias=True,
    activation=d.text('activation_function', 'gelu_new', ACTIVATIONS),
    tied=d.flag('tie_word_embeddings', True),
  )  # fmt: skip
