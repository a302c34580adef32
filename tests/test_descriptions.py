"""Every key of a description is used, harmless, or refused."""

import copy
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from emergence_jax.base.types import UserError
from emergence_jax.models import architectures, description, released

PARITY = pathlib.Path(__file__).parent / 'data' / 'parity'
NAMES = sorted(p.name for p in PARITY.iterdir() if p.is_dir())
HARMLESS = {n for names in description.HARMLESS.values() for n in names}
KINDS = {
  json.loads((PARITY / n / 'config.json').read_text())['model_type']: n
  for n in NAMES
}
# Values of keys that a description may have beside its own.
MORE = {
  'rope_scaling': {'type': 'linear', 'factor': 2.0},
  'rope_parameters': {'rope_type': 'dynamic', 'factor': 2.0},
  'rope_theta': 77.0, 'partial_rotary_factor': 0.5, 'rotary_pct': 0.5,
  'clip_qkv': 0.1, 'sliding_window': 3, 'use_sliding_window': True,
  'attention_bias': True, 'mlp_bias': True, 'logit_scale': 2.0,
  'attention_multiplier': 2.0, 'final_logit_softcapping': 30.0,
  'quantization_config': {'bits': 8}, 'num_experts': 2, 'head_dim': 4,
  'n_ctx': 8, 'alibi': True, 'norm_after': True, 'tie_word_embeddings': True,
  'no_rope_layers': [0, 0], 'qk_layernorm': True, 'residual_multiplier': 3,
}  # fmt: skip


def changed(value: Any) -> Iterator[Any]:
  """Other values of the same kind, and null."""
  yield None
  if isinstance(value, bool):
    yield not value
  elif isinstance(value, int):
    yield from (value + 1, 2 * value, 0, -1, 'many')
  elif isinstance(value, float):
    yield from (1.7 * value, float('nan'), '0.5')
  elif isinstance(value, str):
    yield from ('relu', 'linear', 'full_attention', 3)
  elif isinstance(value, list):
    yield from (value[::-1], value[:-1], [])
  elif isinstance(value, dict):
    yield from (_with(value, k, v) for k in value for v in changed(value[k]))
    yield {**value, 'mscale': 2.0}


def _with(raw: dict, key: str, value: Any) -> dict:
  """A copy with another value, however deep."""
  return {**copy.deepcopy(raw), key: value}


def mutations(raw: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
  """(key, description) of every change."""
  for key, value in raw.items():
    for other in changed(value) if key != 'model_type' else ():
      yield key, _with(raw, key, other)
  for key, value in MORE.items():
    if raw.get(key) != value:
      yield key, _with(raw, key, value)


def module(folder: pathlib.Path, raw: dict[str, Any]) -> Any:
  """What is built of a description; None if it is refused."""
  (folder / 'config.json').write_text(json.dumps(raw), encoding='utf-8')
  try:
    return released.read_model(folder).module
  except UserError as error:
    assert str(error)
    return None


@pytest.mark.parametrize('name', NAMES)
def test_no_key_is_passed_over_in_silence(name, tmp_path):
  """`test_parity` compares what is built with transformers'."""
  raw = json.loads((PARITY / name / 'config.json').read_text(encoding='utf-8'))
  wanted = module(tmp_path, raw)
  heeded, silent = set(), set()
  for key, other in mutations(raw):
    found = module(tmp_path, other)
    if key in HARMLESS:
      assert found == wanted, key
    elif found == wanted:
      silent.add(key)
    else:
      heeded.add(key)
  # A change to what the value was by default is none, but others of that key
  # are heeded; what is null is off.
  assert silent <= heeded | {k for k, v in raw.items() if v is None}


def test_every_architecture_has_a_fixture():
  assert set(KINDS) == set(architectures.ARCHITECTURES)


def test_reasons_are_said_once():
  every = [n for names in description.HARMLESS.values() for n in names]
  assert len(every) == len(set(every))
