"""Checksums of what is measured, by which going on knows it again."""

import hashlib
import json
from collections.abc import Iterable, Mapping

import jax
import numpy as np

from emergence_jax.base.types import PyTree
from emergence_jax.models.protocol import FlaxModel, Model
from emergence_jax.tasks.probe_sets import Item
from emergence_jax.tasks.task import Exams

# Examples of each task that stand for all.
_SAMPLE = 8


def _digest(parts: Iterable[bytes]) -> str:
  digest = hashlib.sha256()
  for part in parts:
    digest.update(len(part).to_bytes(8, 'little') + part)
  return digest.hexdigest()[:16]


def of_structure(tree: PyTree) -> str:
  """Of names, shapes and types."""
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  return _digest(
    f'{jax.tree_util.keystr(path)} {x.shape} {x.dtype}'.encode()
    for path, x in leaves
  )


def of_values(tree: PyTree) -> str:
  """Of the arrays themselves."""
  leaves = jax.tree_util.tree_leaves_with_path(jax.device_get(tree))
  return _digest(
    part
    for path, x in leaves
    for part in (
      jax.tree_util.keystr(path).encode(),
      str(np.asarray(x).dtype).encode(),
      np.ascontiguousarray(x).tobytes(),
    )
  )


def of_model(model: Model) -> str:
  """Of the structure of a model's parameters."""
  return of_structure(jax.eval_shape(model.init, jax.random.key(0)))


def of_exams(exams: Exams) -> str:
  """Of the names, chances and first examples of exams."""
  names = json.dumps([
    type(exams).__qualname__, list(exams.task_names), list(exams.level_names),
    exams.vocab_size, exams.length,
  ])  # fmt: skip
  sample = exams.fresh(jax.random.key(0), _SAMPLE), exams.chance_KxL
  return _digest([names.encode(), of_values(sample).encode()])


def of_items(items: Iterable[Item]) -> str:
  """Of questions, text by text."""
  return _digest(json.dumps(item).encode() for item in items)


def of_sets(sets: Mapping[str, Iterable[Item]]) -> dict[str, str]:
  """Set → checksum of its questions."""
  return {name: of_items(items) for name, items in sets.items()}


def of_description(model: FlaxModel) -> str:
  """Of the shape that a release's description says."""
  return _digest([repr((model.config, model.vocab_size)).encode()])
