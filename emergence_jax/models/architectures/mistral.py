"""Mistral: Llama with a window. arXiv:2310.06825."""

from emergence_jax.models.architectures import llama, rope
from emergence_jax.models.decoder import DecoderShape, Layer
from emergence_jax.models.description import Description

LAYOUT = llama.LAYOUT


def shape(d: Description) -> DecoderShape:
  """The shape that a description says."""
  common = llama.sizes(d, 131_072, 8)
  common['head_size'] = d.integer('head_dim', None)
  window = d.integer('sliding_window', 4096, nullable=True)
  rotary = rope.read(d, llama.head_of(common), longest=common['num_positions'])
  return DecoderShape(
    **common, norm_epsilon=d.number('rms_norm_eps', 1e-6),
    layers=(Layer(rotary, window),) * llama.num_layers(d),
  )  # fmt: skip
