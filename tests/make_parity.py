"""Makes tests/data/parity: tiny released models, and what they compute.

  pip install -e '.[parity]' && python tests/make_parity.py

Weights are drawn large, so that exact and tanh GELU differ by far more than
the tolerance, and LayerNorms and biases are not trivial.
"""

import pathlib

import numpy as np
import torch
import transformers

OUT = pathlib.Path(__file__).parent / 'data' / 'parity'
VOCAB, LENGTH = 80, 11


def neox(**changes):
  return transformers.GPTNeoXForCausalLM(
    transformers.GPTNeoXConfig(
      vocab_size=VOCAB, hidden_size=32, num_hidden_layers=2,
      num_attention_heads=2, intermediate_size=64, max_position_embeddings=32,
      attn_implementation='eager', **changes,
    )
  )  # fmt: skip


def gpt2():
  return transformers.GPT2LMHeadModel(
    transformers.GPT2Config(
      vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=2, n_inner=64,
      n_positions=32, attn_implementation='eager',
    )
  )  # fmt: skip


MODELS = {
  'neox': lambda: neox(rotary_pct=0.25),
  'neox_full_rotary': lambda: neox(rotary_pct=1.0),
  'neox_sequential': lambda: neox(use_parallel_residual=False),
  'gpt2': gpt2,
}


def main():
  """Writes every model with its outputs in float32 and bfloat16."""
  for number, (name, make) in enumerate(MODELS.items()):
    torch.manual_seed(number)
    model = make().eval()
    with torch.no_grad():
      for key, x in model.named_parameters():
        one = key.endswith('weight') and ('norm' in key or 'ln_' in key)
        x.copy_(float(one) + 0.25 * torch.randn_like(x))
    tokens = torch.randint(VOCAB, (3, LENGTH))
    found = {'tokens': tokens.numpy().astype(np.int32)}
    for kind in ('float32', 'bfloat16'):
      model = model.to(getattr(torch, kind))
      seen = []
      blocks = model.gpt_neox.layers if 'neox' in name else model.transformer.h
      hooks = [
        block.register_forward_hook(
          lambda m, i, o, to=seen: to.append(
            o[0] if isinstance(o, tuple) else o
          )
        )
        for block in blocks
      ]
      with torch.no_grad():
        out = model(tokens, output_hidden_states=True)
      found[f'logits_{kind}'] = out.logits.float().numpy()
      found[f'final_{kind}'] = out.hidden_states[-1].float().numpy()
      found[f'hidden_{kind}'] = torch.stack(seen).float().numpy()
      for hook in hooks:
        hook.remove()
      if kind == 'float32':
        model.save_pretrained(OUT / name, safe_serialization=True)
    np.savez_compressed(OUT / name / 'expected.npz', **found)
    (OUT / name / 'generation_config.json').unlink(missing_ok=True)


if __name__ == '__main__':
  main()
