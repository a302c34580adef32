"""Reads a `config.json` wholly: every key is used, harmless, or refused."""

import math
import pathlib
from collections.abc import Collection, Mapping
from typing import Any

from emergence_jax.base.types import UserError

# More is no model that anything here could hold.
_MOST = 10**7
# Why a key leaves the forward pass as it is → such keys.
HARMLESS: dict[str, tuple[str, ...]] = {
  'it names where the model is from, or who reads it': (
    'model_type', 'architectures', '_name_or_path', 'transformers_version',
    'auto_map', '_commit_hash', 'model_name',
  ),
  'weights are read in the type that config.release.dtype says': (
    'torch_dtype', 'dtype',
  ),
  'first weights are those of the file': (
    'initializer_range', 'initializer_cutoff_factor',
  ),
  'nothing is dropped out when a model is measured': (
    'attention_dropout', 'hidden_dropout', 'attn_pdrop', 'embd_pdrop',
    'resid_pdrop', 'classifier_dropout', 'dropout', 'attention_dropout_prob',
    'residual_dropout', 'embedding_dropout',
  ),
  'it is how a text is generated, or where it ends': (
    'use_cache', 'bos_token_id', 'eos_token_id', 'pad_token_id',
    'sep_token_id', 'decoder_start_token_id', 'task_specific_params',
    'output_attentions', 'output_hidden_states',
    'return_dict', 'use_return_dict', 'tokenizer_class', 'prefix',
  ),
  'it is of a head that classifies, which is not read': (
    'summary_type', 'summary_use_proj', 'summary_activation',
    'summary_proj_to_labels', 'summary_first_dropout', 'id2label', 'label2id',
    'problem_type', 'num_labels', 'finetuning_task',
  ),
  'it is how training or a kernel computes the same numbers': (
    'gradient_checkpointing', 'pretraining_tp', 'reorder_and_upcast_attn',
    'attn_implementation', '_attn_implementation',
    '_attn_implementation_autoset', 'chunk_size_feed_forward',
    'flash_attention', 'init_device', 'init_fn', 'init_std', 'precision',
    'batch_size', 'is_decoder', 'is_encoder_decoder',
  ),
}  # fmt: skip
_HARMLESS = frozenset(name for names in HARMLESS.values() for name in names)


class _Required:
  """The key has no default."""


REQUIRED: Any = _Required()


class Description:
  """A group of keys, which are read one by one and counted off.

  Null is a value where that is said, and where it is the default; elsewhere it
  is refused, since releases differ in what they take it for.

  Args:
    raw: the keys.
    path: file that it is from, for errors.
    group: its name within the file, with a dot.
  """

  def __init__(
    self, raw: Mapping[str, Any], path: pathlib.Path, group: str = ''
  ):
    self._raw, self._path, self._group = dict(raw), path, group
    self._used: set[str] = set()

  def __contains__(self, name: str) -> bool:
    return self._raw.get(name) is not None

  def refuse(self, name: str, words: str) -> UserError:
    """An error about a key; `words` end the sentence."""
    shown = repr(self._raw.get(name))[:100]
    return UserError(f'{self._path}: {self._group}{name}={shown} {words}.')

  def _get(
    self, name: str, default: Any, holds, words: str, nullable: bool = False
  ) -> Any:
    self._used.add(name)
    if name not in self._raw:
      if default is REQUIRED:
        raise UserError(
          f'{self._path} lacks {self._group + name!r}, without which no model '
          'is made.'
        )
      return default
    value = self._raw[name]
    if value is None and (nullable or default is None):
      return None
    if not holds(value):
      raise self.refuse(name, f'must be {words}')
    return value

  def integer(
    self,
    name: str,
    default: Any = REQUIRED,
    *,
    most: int = _MOST,
    nullable: bool = False,
  ) -> Any:
    """A whole number above 0; None for null, where that may be."""

    def holds(value):
      return type(value) is int and 0 < value <= most

    words = 'a whole number above 0, of a size that can be'
    return self._get(name, default, holds, words, nullable)

  def number(self, name: str, default: Any = REQUIRED) -> Any:
    """A finite number above 0."""

    def holds(value):
      return type(value) in (int, float) and 0 < value < math.inf

    value = self._get(name, default, holds, 'a number above 0')
    return None if value is None else float(value)

  def flag(self, name: str, default: bool) -> bool:
    """True or false."""
    return self._get(
      name, default, lambda value: isinstance(value, bool), 'true or false'
    )

  def text(self, name: str, default: Any, known: Collection[str]) -> Any:
    """A word of some that are known."""
    words = f'one of {", ".join(sorted(known))}: others are not read'
    return self._get(
      name, default, lambda v: isinstance(v, str) and v in known, words
    )

  def several(self, name: str, count: int, known: Collection) -> Any:
    """A list of so many of some values that are known; None if absent."""

    def holds(value):
      return (
        isinstance(value, list)
        and len(value) == count
        and all(type(v) in (int, str) and v in known for v in value)
      )

    words = f'a list of {count} values of {sorted(known)}'
    return self._get(name, None, holds, words)

  def group(self, name: str) -> 'Description | None':
    """A group of keys; None if absent."""
    raw = self._get(name, None, lambda v: isinstance(v, dict), 'a group')
    if raw is None:
      return None
    return Description(raw, self._path, f'{self._group}{name}.')

  def only(self, name: str, *values: Any) -> None:
    """Refuses a key that says anything but these, of which one is read."""

    def holds(value):
      return any(type(value) is type(v) and value == v for v in values)

    shown = ' or '.join('null' if v is None else repr(v) for v in values)
    self._get(name, values[0], holds, f'{shown}: others are not read')

  def finish(self) -> None:
    """Refuses keys that were not read and are not known to be harmless."""
    harmless = frozenset() if self._group else _HARMLESS
    left = [
      name
      for name, value in self._raw.items()
      if name not in self._used and name not in harmless and value is not None
    ]
    if left:
      known = ', '.join(sorted(self._used))
      raise self.refuse(
        left[0],
        f'is not understood, and might change what the model computes; of this '
        f'kind are read: {known}',
      )
