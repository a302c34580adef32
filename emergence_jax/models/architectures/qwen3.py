"""Qwen3: norms of each head's queries and keys. arXiv:2505.09388."""

from emergence_jax.models.architectures import llama, qwen2
from emergence_jax.models.decoder import DecoderShape
from emergence_jax.models.description import Description

LAYOUT = llama.LAYOUT


def shape(d: Description) -> DecoderShape:
  """The shape that a description says."""
  head = d.integer('head_dim', 128)
  return DecoderShape(
    **qwen2.common(d, head), **llama.attention_bias(d), norm_of_heads='each'
  )
