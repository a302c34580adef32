"""Looks names up, with a hint where one is wrong."""

import difflib
import importlib
import os
import re
import sys
from collections.abc import Mapping
from typing import Any

from emergence_jax.base.types import UserError

# What other libraries call a key → what it is called here.
_ELSEWHERE = {
  'lr': 'rate', 'learning_rate': 'rate', 'wd': 'weight_decay',
  'momentum': 'b1', 'beta1': 'b1', 'beta2': 'b2', 'max_grad_norm': 'clip_norm',
  'grad_clip': 'clip_norm', 'warmup_steps': 'warmup', 'n_layer': 'num_layers',
  'n_layers': 'num_layers', 'n_head': 'num_heads', 'n_heads': 'num_heads',
  'n_embd': 'd_model', 'hidden_size': 'd_model', 'width': 'd_model',
  'd_mlp': 'd_ff', 'n_ctx': 'num_positions', 'block_size': 'num_positions',
  'num_seeds': 'count', 'max_steps': 'steps', 'num_steps': 'steps',
  'dtype': 'precision', 'bs': 'batch_size',
}  # fmt: skip


def closest(word: str, known) -> str:
  """A sentence that names the nearest of the known words, and all of them.

  >>> closest('lr', ['b1', 'rate'])
  "did you mean 'rate'? known: b1, rate."
  """
  known = sorted(known)
  near = [w for w in [_ELSEWHERE.get(str(word), '')] if w in known]
  near += difflib.get_close_matches(str(word), known, n=1, cutoff=0.4)
  hint = f'did you mean {near[0]!r}? ' if near else ''
  return f'{hint}known: {", ".join(known)}.'


def choose(key: str, word: str, known: Mapping[str, Any]) -> Any:
  """`known[word]`, or an error that names the key and the nearest word."""
  if not isinstance(word, str) or word not in known:
    raise UserError(f'{key}={word!r} is unknown; {closest(word, known)}')
  return known[word]


def find(key: str, word: str, known: Mapping[str, Any]) -> Any:
  """`known[word]`, or the object that `module.path:Name` names.

  Raises:
    UserError: if it is neither.
  """
  if not isinstance(word, str) or ':' not in word:
    return choose(key, word, known)
  module, _, name = word.partition(':')
  # As `python -m` does, also where a script of another folder is run.
  if not {'', os.getcwd()} & set(sys.path):
    sys.path.insert(0, os.getcwd())
  try:
    return getattr(importlib.import_module(module), name)
  except Exception as error:  # whatever the module raises
    raise UserError(
      f'{key}={word!r} could not be imported ({type(error).__name__}: '
      f'{error}); write module.path:Name, as it is imported from the current '
      'folder.'
    ) from error


def pattern(key: str, text: str) -> re.Pattern[str]:
  """A regular expression of the user's; an error that names its key."""
  try:
    return re.compile(text)
  except re.error as error:
    raise UserError(
      f'{key}={text!r} is no regular expression ({error}).'
    ) from error


def of_run(config: Mapping[str, Any]) -> str:
  """The task, and the size or modulus, for the name of a folder.

  >>> of_run({'task': {'name': 'modadd', 'p': 31}})
  'modadd-31'
  """
  task, of_task = config['task']['name'], variant(config)
  return f'{task}-{of_task}' if of_task else task


def variant(config: Mapping[str, Any]) -> str:
  """The model's size, or the modulus of modular addition; empty if neither.

  >>> variant({'task': {'name': 'modadd', 'p': 31}})
  '31'
  >>> variant({'task': {'name': 'mine', 'p': 0.5}, 'model': {}})
  ''
  """
  task, model = (config.get(group) or {} for group in ('task', 'model'))
  modulus = task.get('p') if task.get('name') == 'modadd' else None
  return str(model.get('size') or modulus or '')
