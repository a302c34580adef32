"""Qwen2 and Qwen2.5: biases of queries, keys and values. arXiv:2407.10671."""

from typing import Any

from emergence_jax.models.architectures import llama, rope
from emergence_jax.models.decoder import DecoderShape, Layer
from emergence_jax.models.description import Description

LAYOUT = llama.LAYOUT


def common(d: Description, head: int | None) -> dict[str, Any]:
  """What Qwen2 and Qwen3 share, with the features of a head."""
  keys = llama.sizes(d, 32_768, 32) | {'head_size': head}
  longest = keys['num_positions']
  rotary = rope.read(d, llama.head_of(keys), longest=longest)
  count = llama.num_layers(d)
  is_used = d.flag('use_sliding_window', False)
  window = d.integer('sliding_window', 4096, nullable=True)
  first = d.integer('max_window_layers', 28)
  window = window if is_used else None
  kinds = [
    llama.FULL if window is None or i < first else llama.SLIDING
    for i in range(count)
  ]
  layers = tuple(Layer(rotary, w) for w in llama.windows(d, kinds, window))
  epsilon = d.number('rms_norm_eps', 1e-6)
  return keys | {'layers': layers, 'norm_epsilon': epsilon}


def shape(d: Description) -> DecoderShape:
  """The shape that a description says."""
  return DecoderShape(**common(d, None), query_bias=True)
