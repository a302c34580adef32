"""Maps names and shapes of released models' tensors to our parameters.

Facts about the tensors are those of the models' own releases: GPT-NeoX stores
kernels [out, in] and one fused kernel whose rows go by head, then query, key
and value; GPT-2 stores them [in, out], query, key and value side by side.
"""

import dataclasses
import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from emergence_jax.base.types import UserError
from emergence_jax.models import gpt, gpt_neox
from emergence_jax.models.protocol import FlaxModel


def _setting(raw: Mapping[str, Any], path: pathlib.Path, *names: str) -> Any:
  """The first of these keys that a configuration has."""
  for name in names:
    if raw.get(name) is not None:
      return raw[name]
  raise UserError(f'{path} lacks {names[0]!r}, without which no model is made.')


# Keys of a description by what they have to be.
_SIZES = (
  'hidden_size', 'num_hidden_layers', 'num_attention_heads',
  'intermediate_size', 'max_position_embeddings', 'vocab_size', 'n_embd',
  'n_layer', 'n_head', 'n_inner', 'n_positions', 'n_ctx',
)  # fmt: skip
_NUMBERS = (
  'rotary_pct', 'rotary_emb_base', 'layer_norm_eps', 'layer_norm_epsilon'
)  # fmt: skip
_CHOICES = (
  'use_parallel_residual', 'tie_word_embeddings', 'attention_bias'
)  # fmt: skip
_TEXTS = ('hidden_act', 'activation_function', 'model_type')
# More is no model that anything here could hold.
_MOST, _MOST_LAYERS = 10**7, 1000


def _is_size(name: str, value: Any) -> bool:
  most = _MOST_LAYERS if name in ('num_hidden_layers', 'n_layer') else _MOST
  return type(value) is int and 0 < value <= most


def _is_number(name: str, value: Any) -> bool:
  del name
  return type(value) in (int, float) and 0 < value < math.inf


_KINDS_OF_KEYS: tuple[tuple[Sequence[str], str, Callable], ...] = (
  (_SIZES, 'a whole number above 0, of a size that can be', _is_size),
  (_NUMBERS, 'a number above 0', _is_number),
  (_CHOICES, 'true or false', lambda _, value: isinstance(value, bool)),
  (_TEXTS, 'a text', lambda _, value: isinstance(value, str)),
)


def checked(raw: Mapping[str, Any], path: pathlib.Path) -> dict[str, Any]:
  """A description without what it says nothing of.

  Raises:
    UserError: if it says of a key what that cannot be.
  """
  raw = {name: value for name, value in raw.items() if value is not None}
  nested = raw.get('rope_parameters')
  inner = nested if isinstance(nested, dict) else {}
  flat = {
    **raw,
    'rotary_pct': raw.get('rotary_pct', inner.get('partial_rotary_factor')),
    'rotary_emb_base': raw.get('rotary_emb_base', inner.get('rope_theta')),
  }
  if nested is not None and not isinstance(nested, dict):
    raise UserError(f'{path}: rope_parameters={nested!r} must be a group.')
  for names, words, holds in _KINDS_OF_KEYS:
    for name in names:
      if flat.get(name) is not None and not holds(name, flat[name]):
        shown = repr(flat[name])[:100]
        raise UserError(f'{path}: {name}={shown} must be {words}.')
  return raw


def _neox(raw, path) -> FlaxModel:
  rope = raw.get('rope_parameters') or {}
  hidden = _setting(raw, path, 'hidden_size')
  config = gpt_neox.NeoXConfig(
    num_layers=_setting(raw, path, 'num_hidden_layers'),
    d_model=hidden,
    num_heads=_setting(raw, path, 'num_attention_heads'),
    d_ff=raw.get('intermediate_size') or 4 * hidden,
    num_positions=raw.get('max_position_embeddings', 2048),
    activation=raw.get('hidden_act', 'gelu'),
    rotary_share=float(
      raw.get('rotary_pct', rope.get('partial_rotary_factor', 0.25))
    ),
    rotary_base=float(
      raw.get('rotary_emb_base', rope.get('rope_theta', 10_000))
    ),
    parallel=raw.get('use_parallel_residual', True),
    tied=raw.get('tie_word_embeddings', False),
    attention_bias=raw.get('attention_bias', True),
    norm_epsilon=float(raw.get('layer_norm_eps', 1e-5)),
  )
  return gpt_neox.model(config, _setting(raw, path, 'vocab_size'))


def _gpt2(raw, path) -> FlaxModel:
  width = _setting(raw, path, 'n_embd', 'hidden_size')
  if raw.get('activation_function', 'gelu_new') != 'gelu_new':
    raise UserError(
      f'{path}: activation_function={raw["activation_function"]!r} is not '
      'read; of GPT-2, gelu_new is.'
    )
  config = gpt.GPTConfig(
    num_layers=_setting(raw, path, 'n_layer', 'num_hidden_layers'),
    d_model=width,
    num_heads=_setting(raw, path, 'n_head', 'num_attention_heads'),
    d_ff=raw.get('n_inner') or 4 * width,
    num_positions=_setting(raw, path, 'n_positions', 'n_ctx'),
    activation='gelu',
    biases=True,
    attention_biases=True,
    norm_bias=True,
    norm_epsilon=float(raw.get('layer_norm_epsilon', 1e-5)),
  )
  return gpt.model(config, _setting(raw, path, 'vocab_size'))


# A leaf of ours: names of tensors, and what is made of them.
Leaf = tuple[tuple[str, ...], Callable[..., jax.Array]]


def _same(x):
  return x


def _transposed(x):
  return x.T


def _norm(name: str) -> dict[str, Leaf]:
  return {
    'scale': ((f'{name}.weight',), _same),
    'bias': ((f'{name}.bias',), _same),
  }


def _neox_block(i: int, config) -> dict[str, Any]:
  at = f'gpt_neox.layers.{i}'

  def dense(name, bias=True):
    leaves = {'kernel': ((f'{at}.{name}.weight',), _transposed)}
    if bias:
      leaves['bias'] = ((f'{at}.{name}.bias',), _same)
    return leaves

  biased = config.attention_bias
  return {
    'norm_attention': _norm(f'{at}.input_layernorm'),
    'norm_mlp': _norm(f'{at}.post_attention_layernorm'),
    'query_key_value': dense('attention.query_key_value', biased),
    'attention_out': dense('attention.dense', biased),
    'mlp_in': dense('mlp.dense_h_to_4h'),
    'mlp_out': dense('mlp.dense_4h_to_h'),
  }


def _neox_leaves(config) -> dict[str, Any]:
  leaves = {
    'embed': (('gpt_neox.embed_in.weight',), _same),
    'norm_final': _norm('gpt_neox.final_layer_norm'),
  }
  if not config.tied:
    leaves['unembed'] = (('embed_out.weight',), _transposed)
  for i in range(config.num_layers):
    leaves[f'block_{i}'] = _neox_block(i, config)
  return leaves


def _gpt2_block(i: int, width: int) -> dict[str, Any]:
  at = f'h.{i}'
  # A kernel [in, out] here, [out, in] in what the decoder narrows with.
  fused, bias = f'{at}.attn.c_attn.weight', f'{at}.attn.c_attn.bias'

  def part(start, stop):
    return lambda x: x[..., start:stop]

  def dense(name, change=_same):
    return {
      'kernel': ((f'{at}.{name}.weight',), change),
      'bias': ((f'{at}.{name}.bias',), _same),
    }

  return {
    'norm_attention': _norm(f'{at}.ln_1'),
    'norm_mlp': _norm(f'{at}.ln_2'),
    'query': {
      'kernel': ((fused,), part(0, width)),
      'bias': ((bias,), part(0, width)),
    },
    'key_value': {
      'kernel': ((fused,), part(width, 3 * width)),
      'bias': ((bias,), part(width, 3 * width)),
    },
    'attention_out': dense('attn.c_proj'),
    'mlp_in': dense('mlp.c_fc'),
    'mlp_out': dense('mlp.c_proj', _transposed),
  }


def _gpt2_leaves(config) -> dict[str, Any]:
  leaves = {
    'embed': (('wte.weight',), _same),
    'positions': (('wpe.weight',), _same),
    'norm_final': _norm('ln_f'),
  }
  for i in range(config.num_layers):
    leaves[f'block_{i}'] = _gpt2_block(i, config.d_model)
  return leaves


@dataclasses.dataclass(frozen=True)
class Kind:
  """A kind of release.

  Attributes:
    model: (config.json, its path) → model.
    leaves: shape → our parameters, each with the tensors that it is made of.
    prefix: that tensors' names have in some releases and lack in others.
    ignored: tensors that repeat others.
  """

  model: Callable[..., FlaxModel]
  leaves: Callable[..., dict[str, Any]]
  prefix: str = ''
  ignored: tuple[str, ...] = ()


KINDS = {
  'gpt_neox': Kind(_neox, _neox_leaves),
  'gpt2': Kind(_gpt2, _gpt2_leaves, 'transformer.', ('lm_head.weight',)),
}
