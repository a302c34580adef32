"""OLMo: norms without parameters, bounded queries. arXiv:2402.00838."""

from emergence_jax.models.architectures import llama, rope
from emergence_jax.models.decoder import DecoderShape, Layer
from emergence_jax.models.description import Description

LAYOUT = llama.LAYOUT


def shape(d: Description) -> DecoderShape:
  """The shape that a description says."""
  common = llama.sizes(d) | {'norm': 'layer', 'norm_scale': False}
  rotary = rope.read(d, llama.head_of(common), longest=common['num_positions'])
  return DecoderShape(
    **common, **llama.attention_bias(d), norm_epsilon=1e-5,
    clip=d.number('clip_qkv', None),
    layers=(Layer(rotary),) * llama.num_layers(d),
  )  # fmt: skip
