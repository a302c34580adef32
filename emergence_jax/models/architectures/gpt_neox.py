"""GPT-NeoX: Pythia, PolyPythia. arXiv:2204.06745, arXiv:2304.01373."""

from emergence_jax.models.architectures import rope, tensors
from emergence_jax.models.architectures.tensors import Stored
from emergence_jax.models.decoder import ACTIVATIONS, DecoderShape, Layer
from emergence_jax.models.description import Description


def _rows(place: int):
  """Rows go by head, and within a head query, key, value."""

  def part(shape, x):
    split = x.reshape(shape.num_heads, 3, shape.head, *x.shape[1:])
    return split[:, place].reshape(-1, *x.shape[1:])

  return part


_FUSED = 'gpt_neox.layers.{}.attention.query_key_value'
LAYOUT = tensors.Layout(
  embed='gpt_neox.embed_in.weight',
  unembed='embed_out.weight',
  norm_final='gpt_neox.final_layer_norm',
  norms={
    'norm_attention': 'gpt_neox.layers.{}.input_layernorm',
    'norm_mlp': 'gpt_neox.layers.{}.post_attention_layernorm',
  },
  dense={
    'query': Stored(_FUSED, _rows(0)),
    'key': Stored(_FUSED, _rows(1)),
    'value': Stored(_FUSED, _rows(2)),
    'attention_out': Stored('gpt_neox.layers.{}.attention.dense'),
    'mlp_in': Stored('gpt_neox.layers.{}.mlp.dense_h_to_4h'),
    'mlp_out': Stored('gpt_neox.layers.{}.mlp.dense_4h_to_h'),
  },
)


def shape(d: Description) -> DecoderShape:
  """The shape that a description says."""
  width, heads = d.integer('hidden_size'), d.integer('num_attention_heads')
  longest = d.integer('max_position_embeddings', 2048)
  rotary = rope.read(
    d, width // heads, longest=longest, share=0.25, is_partial=True
  )
  biased = d.flag('attention_bias', True)
  return DecoderShape(
    d_model=width, num_heads=heads, num_positions=longest,
    d_ff=d.integer('intermediate_size', 24_576),
    layers=(Layer(rotary),) * d.integer('num_hidden_layers', most=1000),
    norm_bias=True, norm_epsilon=d.number('layer_norm_eps', 1e-5),
    query_bias=biased, out_bias=biased, mlp_bias=True,
    activation=d.text('hidden_act', 'gelu', ACTIVATIONS),
    parallel=d.flag('use_parallel_residual', True),
    tied=d.flag('tie_word_embeddings', False),
  )  # fmt: skip
