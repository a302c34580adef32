"""The architectures that people release: a file of facts for each."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from emergence_jax.base.types import UserError
from emergence_jax.models.architectures import (
  gpt2,
  gpt_neox,
  hf_olmo,
  llama,
  mistral,
  olmo,
  olmo2,
  olmo3,
  pico_decoder,
  qwen2,
  qwen3,
  smollm3,
)
from emergence_jax.models.architectures.tensors import Layout
from emergence_jax.models.decoder import DecoderShape
from emergence_jax.models.description import Description


def _vocab_size(d: Description) -> int:
  return d.integer('vocab_size')


@dataclasses.dataclass(frozen=True)
class Architecture:
  """A kind of release.

  Attributes:
    shape: description → shape.
    layout: names of its tensors.
    vocab_size: description → rows of the embedding.
  """

  shape: Callable[[Description], DecoderShape]
  layout: Layout
  vocab_size: Callable[[Description], int] = _vocab_size


# `model_type` → architecture.
ARCHITECTURES = {
  'gpt2': Architecture(gpt2.shape, gpt2.LAYOUT),
  'gpt_neox': Architecture(gpt_neox.shape, gpt_neox.LAYOUT),
  'hf_olmo': Architecture(hf_olmo.shape, hf_olmo.LAYOUT, hf_olmo.vocab_size),
  'llama': Architecture(llama.shape, llama.LAYOUT),
  'mistral': Architecture(mistral.shape, mistral.LAYOUT),
  'olmo': Architecture(olmo.shape, olmo.LAYOUT),
  'olmo2': Architecture(olmo2.shape, olmo2.LAYOUT),
  'olmo3': Architecture(olmo3.shape, olmo3.LAYOUT),
  'pico_decoder': Architecture(pico_decoder.shape, pico_decoder.LAYOUT),
  'qwen2': Architecture(qwen2.shape, qwen2.LAYOUT),
  'qwen3': Architecture(qwen3.shape, qwen3.LAYOUT),
  'smollm3': Architecture(smollm3.shape, smollm3.LAYOUT),
}


def read(
  raw: Mapping[str, Any], path: pathlib.Path
) -> tuple[Architecture, DecoderShape, int]:
  """Architecture, shape and rows of the embedding that a description says.

  Raises:
    UserError: for a kind that is not known, or a key that is not understood.
  """
  kind = raw.get('model_type')
  architecture = ARCHITECTURES.get(kind) if isinstance(kind, str) else None
  if architecture is None:
    raise UserError(
      f'{path}: model_type={kind!r} is not read; known: '
      f'{", ".join(sorted(ARCHITECTURES))}.'
    )
  description = Description(raw, path)
  vocab_size = architecture.vocab_size(description)
  try:
    shape = architecture.shape(description)
  except UserError as error:
    text = str(error)
    raise UserError(
      text if text.startswith(str(path)) else f'{path}: {text}'
    ) from error
  description.finish()
  return architecture, shape, vocab_size
