"""OLMo 2: norms behind, and of queries and keys. arXiv:2501.00656."""

import dataclasses
from typing import Any

from emergence_jax.models.architectures import llama, rope
from emergence_jax.models.decoder import DecoderShape, Layer
from emergence_jax.models.description import Description

LAYOUT = dataclasses.replace(
  llama.LAYOUT,
  norms={
    **llama.LAYOUT.norms,
    'norm_attention': 'model.layers.{}.post_attention_layernorm',
    'norm_mlp': 'model.layers.{}.post_feedforward_layernorm',
  },
)


def common(d: Description) -> dict[str, Any]:
  """What OLMo 2 and OLMo 3 share."""
  return {
    **llama.sizes(d), **llama.attention_bias(d),
    'norm_epsilon': d.number('rms_norm_eps', 1e-5),
    'norm_behind': True, 'norm_of_heads': 'all',
  }  # fmt: skip


def shape(d: Description) -> DecoderShape:
  """The shape that a description says."""
  keys = common(d)
  rotary = rope.read(d, llama.head_of(keys), longest=keys['num_positions'])
  return DecoderShape(**keys, layers=(Layer(rotary),) * llama.num_layers(d))
