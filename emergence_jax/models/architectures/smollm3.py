"""SmolLM3: Llama whose every fourth layer has no positions."""

from emergence_jax.models.architectures import llama, rope
from emergence_jax.models.decoder import DecoderShape, Layer
from emergence_jax.models.description import Description

LAYOUT = llama.LAYOUT


def shape(d: Description) -> DecoderShape:
  """The shape that a description says."""
  common = llama.sizes(d, 32_768, 4)
  common['tied'] = d.flag('tie_word_embeddings', True)
  longest = common['num_positions']
  rotary = rope.read(
    d, llama.head_of(common), longest=longest, base=2_000_000.0
  )
  count = llama.num_layers(d)
  every = d.integer('no_rope_layer_interval', 4)
  turns = d.several('no_rope_layers', count, (0, 1))
  turns = turns or [int((i + 1) % every != 0) for i in range(count)]
  is_used = d.flag('use_sliding_window', False)
  window = d.integer('sliding_window', None)
  window = window if is_used else None
  kinds = [
    llama.FULL if turn or window is None else llama.SLIDING for turn in turns
  ]
  layers = tuple(
    Layer(rotary if turn else None, own)
    for turn, own in zip(turns, llama.windows(d, kinds, window))
  )
  return DecoderShape(
    **common, **llama.attention_bias(d), layers=layers,
    mlp_bias=d.flag('mlp_bias', False),
    norm_epsilon=d.number('rms_norm_eps', 1e-6),
  )  # fmt: skip
