"""Llama, and what is common to all that keep its names."""

from typing import Any

from emergence_jax.models.architectures import rope, tensors
from emergence_jax.models.architectures.tensors import Stored
from emergence_jax.models.decoder import ACTIVATIONS, DecoderShape, Layer
from emergence_jax.models.description import Description

FULL, SLIDING = 'full_attention', 'sliding_attention'
_AT = 'model.layers.{}'
LAYOUT = tensors.Layout(
  embed='model.embed_tokens.weight',
  unembed='lm_head.weight',
  norm_final='model.norm',
  norms={
    'norm_attention': f'{_AT}.input_layernorm',
    'norm_mlp': f'{_AT}.post_attention_layernorm',
    'norm_query': f'{_AT}.self_attn.q_norm',
    'norm_key': f'{_AT}.self_attn.k_norm',
  },
  dense={
    'query': Stored(f'{_AT}.self_attn.q_proj'),
    'key': Stored(f'{_AT}.self_attn.k_proj'),
    'value': Stored(f'{_AT}.self_attn.v_proj'),
    'attention_out': Stored(f'{_AT}.self_attn.o_proj'),
    'mlp_gate': Stored(f'{_AT}.mlp.gate_proj'),
    'mlp_in': Stored(f'{_AT}.mlp.up_proj'),
    'mlp_out': Stored(f'{_AT}.mlp.down_proj'),
  },
)


def sizes(
  d: Description, longest: int = 2048, key_heads: int | None = None
) -> dict[str, Any]:
  """Sizes, activation and tying.

  Args:
    d: the description.
    longest: positions, by default.
    key_heads: heads of keys and values, by default.
  """
  return {
    'd_model': d.integer('hidden_size'),
    'num_heads': d.integer('num_attention_heads'),
    'num_key_heads': d.integer('num_key_value_heads', key_heads, nullable=True),
    'd_ff': d.integer('intermediate_size'),
    'num_positions': d.integer('max_position_embeddings', longest),
    'norm': 'rms',
    'gated': True,
    'activation': d.text('hidden_act', 'silu', ACTIVATIONS),
    'tied': d.flag('tie_word_embeddings', False),
  }


def head_of(sizes: dict[str, Any]) -> int:
  """Features of a head."""
  return sizes.get('head_size') or sizes['d_model'] // sizes['num_heads']


def attention_bias(d: Description) -> dict[str, Any]:
  """Biases in the attention, all or none."""
  biased = d.flag('attention_bias', False)
  return {'query_bias': biased, 'out_bias': biased}


def num_layers(d: Description) -> int:
  """Blocks."""
  return d.integer('num_hidden_layers', most=1000)


def windows(
  d: Description, defaults: list[str], window: int | None
) -> list[int | None]:
  """The window of each layer.

  Args:
    d: description with `layer_types`.
    defaults: kind of each layer, where they are not said.
    window: of those that have one.
  """
  kinds = d.several('layer_types', len(defaults), (FULL, SLIDING))
  kinds = defaults if kinds is None else kinds
  if window is None and SLIDING in kinds:
    raise d.refuse('layer_types', 'needs a sliding_window that is used')
  return [window if kind == SLIDING else None for kind in kinds]


def shape(d: Description) -> DecoderShape:
  """The shape that a description says."""
  common = sizes(d) | {'head_size': d.integer('head_dim', None)}
  rotary = rope.read(d, head_of(common), longest=common['num_positions'])
  return DecoderShape(
    **common, **attention_bias(d), mlp_bias=d.flag('mlp_bias', False),
    norm_epsilon=d.number('rms_norm_eps', 1e-6),
    layers=(Layer(rotary),) * num_layers(d),
  )  # fmt: skip
