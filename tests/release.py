"""A tiny released model, trained here and written in Hugging Face's layout."""

import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import safetensors.numpy
import tokenizers

from emergence_jax.models import gpt_neox
from emergence_jax.models.architectures import gpt_neox as names
from emergence_jax.tasks import probe_sets

SHAPE = gpt_neox.NeoXConfig(2, 32, 2, 64, num_positions=96)
VOCAB = 160


@functools.cache
def tokenizer() -> tokenizers.Tokenizer:
  """Byte pairs of the probe sets' own text."""
  made = tokenizers.Tokenizer(tokenizers.models.BPE())
  made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(
    add_prefix_space=False
  )
  trainer = tokenizers.trainers.BpeTrainer(
    vocab_size=VOCAB, show_progress=False,
    initial_alphabet=sorted(set(''.join(texts()).replace(' ', 'Ġ'))),
  )  # fmt: skip
  made.train_from_iterator(texts(), trainer)
  return made


@functools.cache
def texts() -> tuple[str, ...]:
  """All right sentences."""
  sets = probe_sets.built_in().values()
  return tuple(i.prompt + i.correct for items in sets for i in items)


def describe(folder: pathlib.Path) -> None:
  """Writes a revision's description and tokenizer."""
  folder.mkdir(parents=True)
  raw = {
    'model_type': 'gpt_neox', 'hidden_size': SHAPE.d_model,
    'num_hidden_layers': SHAPE.num_layers, 'intermediate_size': SHAPE.d_ff,
    'num_attention_heads': SHAPE.num_heads, 'vocab_size': VOCAB,
    'max_position_embeddings': SHAPE.num_positions, 'rotary_pct': 0.25,
  }  # fmt: skip
  (folder / 'config.json').write_text(json.dumps(raw), encoding='utf-8')
  tokenizer().save(str(folder / 'tokenizer.json'))


def shape_of_rest(leaf: str) -> tuple[int, ...]:
  """Axes behind the rows of a kernel or a bias."""
  return (SHAPE.d_model,) if leaf == 'kernel' else ()


def save(folder: pathlib.Path, params) -> None:
  """Writes one revision."""
  describe(folder)
  shape = SHAPE.decoder()
  stored = jax.tree_util.tree_leaves_with_path(
    names.LAYOUT.leaves(shape), is_leaf=lambda x: isinstance(x, tuple)
  )
  values = dict(jax.tree_util.tree_leaves_with_path(params))
  # A change is none or a transposition, which is its own inverse.
  tensors = {
    name: np.ascontiguousarray(change(values[path]))
    for path, (name, change) in stored
    if 'query_key_value' not in name
  }
  for i in range(shape.num_layers):
    name = f'gpt_neox.layers.{i}.attention.query_key_value'
    for leaf, kind in (('kernel', 'weight'), ('bias', 'bias')):
      three = [
        params[f'block_{i}'][part][leaf].T.reshape(
          shape.num_heads, shape.head, *shape_of_rest(leaf)
        )
        for part in ('query', 'key', 'value')
      ]
      fused = jnp.stack(three, 1).reshape(-1, *shape_of_rest(leaf))
      tensors[f'{name}.{kind}'] = np.ascontiguousarray(fused)
  safetensors.numpy.save_file(tensors, folder / 'model.safetensors')


def train(root: pathlib.Path, seeds: list[int], steps: list[int]) -> None:
  """Trains a model a seed, and writes a revision at each of the steps."""
  encoder = tokenizer()
  ids = [encoder.encode(text).ids[:48] for text in texts()]
  tokens = np.zeros((len(ids), 48), np.int32)
  real = np.zeros((len(ids), 48), bool)
  for row, one in enumerate(ids):
    tokens[row, : len(one)], real[row, : len(one)] = one, True
  model = SHAPE.build(VOCAB)
  optimizer = optax.adam(3e-3)

  @jax.jit
  def update(params, state, key):
    rows = jax.random.randint(key, (24,), 0, len(ids))
    batch, counts = jnp.asarray(tokens)[rows], jnp.asarray(real)[rows, 1:]

    def loss(params):
      logits = model.apply(params, batch[:, :-1]).logits
      nats = optax.softmax_cross_entropy_with_integer_labels(
        logits, batch[:, 1:]
      )
      return jnp.sum(nats * counts) / jnp.sum(counts)

    updates, state = optimizer.update(jax.grad(loss)(params), state)
    return optax.apply_updates(params, updates), state

  for seed in seeds:
    params = model.init(jax.random.key(seed))
    state = optimizer.init(params)
    for step in range(max(steps) + 1):
      if step in steps:
        save(root / f'tiny-seed{seed}' / f'step{step}', params)
      if step < max(steps):
        key = jax.random.fold_in(jax.random.key(100 + seed), step)
        params, state = update(params, state, key)
