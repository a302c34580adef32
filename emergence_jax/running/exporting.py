"""Writes populations of our decoders as releases in GPT-2's layout.

Every tool that reads GPT-2 reads them: a folder a seed, and in it one a step
with `config.json` and `model.safetensors`. The logits are ours.
"""

import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from emergence_jax.base.types import PyTree, UserError
from emergence_jax.config import schedule, schema
from emergence_jax.models import gpt
from emergence_jax.running import rundir
from emergence_jax.running.programs import Programs
from emergence_jax.store import checkpoints as checkpoints_lib
from emergence_jax.store import files, ownership, timeseries

_ACTIVATIONS = {'gelu': 'gelu_new', 'relu': 'relu'}


def describe(shape: gpt.GPTConfig, vocab_size: int) -> dict[str, Any]:
  """The `config.json` of a shape.

  Raises:
    UserError: if GPT-2 has no such.
  """
  if not shape.norm:
    raise UserError(
      'config.model.norm=False: GPT-2 has norms, so that a model without '
      'cannot be written in its layout.'
    )
  return {
    'model_type': 'gpt2',
    'architectures': ['GPT2LMHeadModel'],
    'vocab_size': vocab_size,
    'n_embd': shape.d_model,
    'n_layer': shape.num_layers,
    'n_head': shape.num_heads,
    'n_inner': shape.d_ff,
    'n_positions': shape.num_positions,
    'activation_function': _ACTIVATIONS[shape.activation],
    'layer_norm_epsilon': shape.norm_epsilon,
    'tie_word_embeddings': shape.tied,
    'attn_pdrop': 0.0,
    'embd_pdrop': 0.0,
    'resid_pdrop': 0.0,
  }


def tensors(shape: gpt.GPTConfig, params: PyTree) -> dict[str, np.ndarray]:
  """The tensors of one model by GPT-2's names; what it lacks is nought."""
  params = jax.device_get(params)

  def norm(name: str, own: PyTree) -> dict[str, np.ndarray]:
    scale = own['scale']
    bias = own.get('bias', np.zeros_like(scale))
    return {f'{name}.weight': scale, f'{name}.bias': bias}

  def dense(name: str, kernel, bias) -> dict[str, np.ndarray]:
    if bias is None:
      bias = np.zeros(kernel.shape[1], kernel.dtype)
    return {f'{name}.weight': kernel, f'{name}.bias': bias}

  made = {
    'wte.weight': params['embed'],
    'wpe.weight': params['positions'],
    **norm('ln_f', params['norm_final']),
  }
  if not shape.tied:
    made['lm_head.weight'] = params['unembed'].T
  for i in range(shape.num_layers):
    block, at = params[f'block_{i}'], f'h.{i}'
    three = [block['query'], block['key_value']]
    bias = None
    if 'bias' in three[0]:
      bias = np.concatenate([part['bias'] for part in three])
    fused = np.concatenate([part['kernel'] for part in three], 1)
    out, wide, narrow = (
      block[n] for n in ('attention_out', 'mlp_in', 'mlp_out')
    )
    made |= norm(f'{at}.ln_1', block['norm_attention'])
    made |= norm(f'{at}.ln_2', block['norm_mlp'])
    made |= dense(f'{at}.attn.c_attn', fused, bias)
    made |= dense(f'{at}.attn.c_proj', out['kernel'], out.get('bias'))
    made |= dense(f'{at}.mlp.c_fc', wide['kernel'], wide.get('bias'))
    # Stored by the output here, see `gpt.NarrowingDense`.
    made |= dense(f'{at}.mlp.c_proj', narrow['kernel'].T, narrow.get('bias'))
  return {
    name if name == 'lm_head.weight' else f'transformer.{name}': (
      np.ascontiguousarray(value)
    )
    for name, value in made.items()
  }


def to_safetensors(
  workdir: str | pathlib.Path, folder: str | pathlib.Path, steps: str = ''
) -> Iterator[pathlib.Path]:
  """Writes every saved population, a folder for each seed and step.

  Args:
    workdir: run directory.
    folder: where to write; made if it is not there.
    steps: range of steps, see `schedule.within`; all that are saved if empty.

  Yields:
    A folder of a seed and step, `seed3/step1000`, when it is written.

  Raises:
    UserError: for a model that GPT-2's layout cannot say.
  """
  try:
    import safetensors.numpy
  except ImportError as error:
    raise UserError(
      "this needs safetensors: pip install 'emergence_jax[pythia]'."
    ) from error
  workdir = pathlib.Path(workdir).expanduser()
  raw = rundir.read_config(workdir)
  config = schema.from_mapping(schema.on_this_machine(raw))
  shape = config.model
  if not isinstance(shape, gpt.GPTConfig):
    raise UserError(
      f'config.model.name={raw["model"].get("name")!r} cannot be written in '
      "GPT-2's layout; only `gpt` can."
    )
  described = describe(shape, config.task.vocab_size)
  folder = files.check_writable(pathlib.Path(folder), 'give another --folder')
  numbers = range(config.seeds.first, config.seeds.first + config.seeds.count)
  with checkpoints_lib.Checkpoints(
    workdir, run=schema.digest(raw), read_only=True
  ) as saved:
    if not saved.steps():
      raise UserError(f'{workdir} holds no saved population.')
    like = Programs(config).abstract_population
    paths = [folder / f'seed{n}' for n in numbers]
    ownership.claim(folder, workdir, timeseries.load(workdir), paths)
    for step in schedule.within(saved.steps(), steps):
      said: list[str] = []
      population = saved.restore(step, like, said.append)
      if population is None:
        raise UserError(f'{workdir}, step {step:,}: {said[0]}')
      params = jax.device_get(population.params)
      for place, number in enumerate(numbers):
        own = jax.tree.map(lambda x, i=place: x[i], params)
        there = folder / f'seed{number}' / f'step{step}'
        there.mkdir(parents=True, exist_ok=True)
        files.write_json(there / 'config.json', described, checked=False)
        path = there / 'model.safetensors'
        with files.replacing(path) as partial:
          safetensors.numpy.save_file(tensors(shape, own), partial)
        yield there
