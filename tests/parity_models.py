"""Tiny models of every architecture, by transformers; needs torch.

Weights are drawn large, so that exact and tanh GELU differ by far more than
the tolerance, and norms and biases are not trivial.
"""

import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import safetensors.torch
import torch
import transformers

VOCAB, LENGTH, WIDTH = 80, 11, 32
_GPT2 = dict(n_embd=WIDTH, n_layer=2, n_head=2, n_inner=64, n_positions=32)
_NEOX = dict(
  hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=2,
  intermediate_size=64, max_position_embeddings=32,
)  # fmt: skip
_LLAMA = dict(
  hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=4,
  num_key_value_heads=2, intermediate_size=48, max_position_embeddings=32,
)  # fmt: skip
_FOUR = _LLAMA | {'num_hidden_layers': 4}
_LLAMA3 = {
  'rope_type': 'llama3', 'factor': 8.0, 'low_freq_factor': 1.0,
  'high_freq_factor': 4.0, 'original_max_position_embeddings': 16,
  'rope_theta': 500.0,
}  # fmt: skip
_YARN = {
  'rope_type': 'yarn', 'factor': 8.0, 'original_max_position_embeddings': 16,
  'beta_fast': 4.0, 'beta_slow': 1.0, 'rope_theta': 500000.0,
}  # fmt: skip


def _stretched(kind: str, **more) -> dict:
  rope = {'rope_type': kind, 'factor': 3.0, 'rope_theta': 300.0, **more}
  return {'rope_parameters': rope, 'max_position_embeddings': 8}


# Name → kind of transformers', and its settings. One a kind is committed: the
# first.
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
  'neox': ('GPTNeoX', _NEOX | {'rotary_pct': 0.25}),
  'neox_full_rotary': ('GPTNeoX', _NEOX | {'rotary_pct': 1.0}),
  'neox_sequential': ('GPTNeoX', _NEOX | {'use_parallel_residual': False}),
  'neox_tied': ('GPTNeoX', _NEOX | {'tie_word_embeddings': True}),
  'neox_bare': ('GPTNeoX', _NEOX | {'attention_bias': False}),
  'neox_stretched': (
    'GPTNeoX',
    _NEOX | _stretched('linear', partial_rotary_factor=0.5),
  ),
  'gpt2': ('GPT2', _GPT2),
  'gpt2_by_layer': ('GPT2', _GPT2 | {'scale_attn_by_inverse_layer_idx': True}),
  'gpt2_unscaled': ('GPT2', _GPT2 | {'scale_attn_weights': False}),
  'gpt2_upcast': ('GPT2', _GPT2 | {'reorder_and_upcast_attn': True}),
  'gpt2_own_head': ('GPT2', _GPT2 | {'tie_word_embeddings': False}),
  'gpt2_relu': ('GPT2', _GPT2 | {'activation_function': 'relu'}),
  'llama': ('Llama', _LLAMA),
  'llama_tied': ('Llama', _LLAMA | {'tie_word_embeddings': True}),
  'llama_biased': (
    'Llama',
    _LLAMA | {'attention_bias': True, 'mlp_bias': True},
  ),
  'llama_heads': ('Llama', _LLAMA | {'head_dim': 12, 'num_key_value_heads': 4}),
  'llama_linear': ('Llama', _LLAMA | _stretched('linear')),
  'llama_dynamic': ('Llama', _LLAMA | _stretched('dynamic')),
  'llama_llama3': ('Llama', _LLAMA | {'rope_parameters': _LLAMA3}),
  'llama_yarn': ('Llama', _LLAMA | {'rope_parameters': _YARN}),
  'mistral': ('Mistral', _LLAMA | {'sliding_window': 4}),
  'mistral_open': ('Mistral', _LLAMA | {'sliding_window': None}),
  'qwen2': ('Qwen2', _LLAMA),
  'qwen2_windows': (
    'Qwen2',
    _FOUR
    | {'use_sliding_window': True, 'sliding_window': 4, 'max_window_layers': 2},
  ),
  'qwen3': ('Qwen3', _LLAMA | {'head_dim': 12}),
  'qwen3_biased': ('Qwen3', _LLAMA | {'head_dim': 8, 'attention_bias': True}),
  'olmo': ('Olmo', _LLAMA | {'clip_qkv': 2.0}),
  'olmo_unclipped': ('Olmo', _LLAMA),
  'olmo2': ('Olmo2', _LLAMA),
  'olmo3': ('Olmo3', _FOUR | {'sliding_window': 4}),
  'olmo3_yarn': (
    'Olmo3',
    _FOUR
    | {
      'sliding_window': 4,
      'rope_parameters': {
        'full_attention': _YARN,
        'sliding_attention': {'rope_type': 'default', 'rope_theta': 500000.0},
      },
    },
  ),
  'smollm3': ('SmolLM3', _FOUR),
  'smollm3_windows': (
    'SmolLM3',
    _FOUR
    | {
      'use_sliding_window': True, 'sliding_window': 4,
      'no_rope_layers': [1, 0, 1, 0], 'mlp_bias': True, 'attention_bias': True,
      'tie_word_embeddings': False,
    },
  ),
  'hf_olmo': ('Olmo', _LLAMA | {'clip_qkv': 2.0}),
  'pico_decoder': ('Llama', _LLAMA),
}  # fmt: skip
COMMITTED = (
  'neox', 'neox_full_rotary', 'neox_sequential', 'gpt2', 'llama', 'mistral',
  'qwen2', 'qwen3', 'olmo', 'olmo2', 'olmo3', 'smollm3', 'hf_olmo',
  'pico_decoder',
)  # fmt: skip


def make(name: str):
  """A model with weights of its own."""
  kind, settings = MODELS[name]
  torch.manual_seed(sorted(MODELS).index(name))
  config = getattr(transformers, f'{kind}Config')(
    vocab_size=VOCAB, pad_token_id=None, attn_implementation='eager', **settings
  )
  suffix = 'LMHeadModel' if kind == 'GPT2' else 'ForCausalLM'
  model = getattr(transformers, f'{kind}{suffix}')(config).eval()
  with torch.no_grad():
    for key, x in model.named_parameters():
      one = key.endswith('weight') and ('norm' in key or 'ln_' in key)
      x.copy_(float(one) + 0.25 * torch.randn_like(x))
  return model


class Expected(NamedTuple):
  """Attributes: logits [B, T, V], final [B, T, D], hidden [Λ, B, T, D]."""

  logits: np.ndarray
  final: np.ndarray
  hidden: np.ndarray


def tokens() -> np.ndarray:
  """Sequences, [3, T]."""
  drawn = np.random.default_rng(0).integers(VOCAB, size=(3, LENGTH))
  return drawn.astype(np.int32)


def run(model) -> Expected:
  """What a model computes of the sequences."""
  inner = model.base_model
  blocks = inner.h if hasattr(inner, 'h') else inner.layers
  seen: list[torch.Tensor] = []

  def keep(module, inputs, output):
    seen.append(output[0] if isinstance(output, tuple) else output)

  hooks = [block.register_forward_hook(keep) for block in blocks]
  with torch.no_grad():
    out = model(torch.as_tensor(tokens()).long(), output_hidden_states=True)
  for hook in hooks:
    hook.remove()
  arrays = out.logits, out.hidden_states[-1], torch.stack(seen)
  return Expected(*(x.float().numpy() for x in arrays))


def save(name: str, model, folder: pathlib.Path) -> None:
  """Writes a model as its release would be."""
  model.save_pretrained(folder, safe_serialization=True)
  (folder / 'generation_config.json').unlink(missing_ok=True)
  rename = {'hf_olmo': _as_hf_olmo, 'pico_decoder': _as_pico}.get(name)
  if rename is None:
    return
  config, tensors = rename(model.config.to_dict(), model.state_dict())
  tensors = {k: v.contiguous().clone() for k, v in tensors.items()}
  safetensors.torch.save_file(tensors, folder / 'model.safetensors')
  text = json.dumps(config, indent=2) + '\n'
  (folder / 'config.json').write_text(text, encoding='utf-8')


Renamed = tuple[dict[str, Any], dict[str, torch.Tensor]]
Rename = Callable[[Mapping[str, Any], Mapping[str, torch.Tensor]], Renamed]


def _as_hf_olmo(config, state) -> Renamed:
  """OLMo by the names of its own first releases."""
  there = 'model.transformer'
  tensors = {
    f'{there}.wte.weight': state['model.embed_tokens.weight'],
    f'{there}.ff_out.weight': state['lm_head.weight'],
  }
  for i in range(config['num_hidden_layers']):
    here, at = f'model.layers.{i}', f'{there}.blocks.{i}'
    fused = [state[f'{here}.self_attn.{n}_proj.weight'] for n in 'qkv']
    tensors[f'{at}.att_proj.weight'] = torch.cat(fused)
    both = [state[f'{here}.mlp.{n}_proj.weight'] for n in ('up', 'gate')]
    tensors[f'{at}.ff_proj.weight'] = torch.cat(both)
    tensors[f'{at}.attn_out.weight'] = state[f'{here}.self_attn.o_proj.weight']
    tensors[f'{at}.ff_out.weight'] = state[f'{here}.mlp.down_proj.weight']
  described = {
    'activation_type': 'swiglu', 'alibi': False, 'alibi_bias_max': 8.0,
    'architectures': ['OLMoForCausalLM'], 'attention_dropout': 0.0,
    'attention_layer_norm': False, 'block_type': 'sequential',
    'clip_qkv': config['clip_qkv'], 'd_model': config['hidden_size'],
    'embedding_size': config['vocab_size'], 'flash_attention': True,
    'include_bias': False, 'init_fn': 'mitchell', 'init_std': 0.02,
    'layer_norm_type': 'default', 'layer_norm_with_affine': False,
    'max_sequence_length': config['max_position_embeddings'],
    'mlp_hidden_size': 2 * config['intermediate_size'], 'mlp_ratio': 4,
    'model_type': 'hf_olmo', 'multi_query_attention': False,
    'n_heads': config['num_attention_heads'],
    'n_kv_heads': config['num_key_value_heads'],
    'n_layers': config['num_hidden_layers'], 'rope': True,
    'rope_full_precision': True, 'scale_logits': False, 'use_cache': True,
    'vocab_size': config['vocab_size'] - 3, 'weight_tying': False,
  }  # fmt: skip
  return described, tensors


def _as_pico(config, state) -> Renamed:
  """Pico's names; a head's features are woven, the halves in turn."""
  head = config['hidden_size'] // config['num_attention_heads']

  def woven(x):
    return (
      x.reshape(-1, 2, head // 2, x.shape[1]).swapaxes(1, 2).reshape(x.shape)
    )

  tensors = {
    'embedding_proj.weight': state['model.embed_tokens.weight'],
    'de_embedding_proj.weight': state['lm_head.weight'],
    'output_norm.weight': state['model.norm.weight'],
  }
  for i in range(config['num_hidden_layers']):
    here, at = f'model.layers.{i}', f'layers.{i}'
    for n in 'qkvo':
      x = state[f'{here}.self_attn.{n}_proj.weight']
      tensors[f'{at}.attention.{n}_proj.weight'] = woven(x) if n in 'qk' else x
    for place, n in enumerate(('gate', 'up', 'down')):
      x = state[f'{here}.mlp.{n}_proj.weight']
      tensors[f'{at}.swiglu.w_{place}.weight'] = x
    for n, theirs in (
      ('attention_norm', 'input_layernorm'),
      ('swiglu_norm', 'post_attention_layernorm'),
    ):
      tensors[f'{at}.{n}.weight'] = state[f'{here}.{theirs}.weight']
  described = {
    'activation_hidden_dim': config['intermediate_size'],
    'architectures': ['PicoDecoderHF'],
    'attention_n_heads': config['num_attention_heads'],
    'attention_n_kv_heads': config['num_key_value_heads'], 'batch_size': 1024,
    'd_model': config['hidden_size'], 'max_seq_len': 32,
    'model_type': 'pico_decoder', 'n_layers': config['num_hidden_layers'],
    'norm_eps': config['rms_norm_eps'], 'position_emb_theta': 10000.0,
    'vocab_size': config['vocab_size'],
  }  # fmt: skip
  return described, tensors
