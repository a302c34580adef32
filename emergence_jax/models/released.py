"""Released checkpoints in Hugging Face's layout, of `architectures`.

A folder holds `config.json` and the weights: `model.safetensors`, or shards
named by `model.safetensors.index.json`, or `pytorch_model.bin` (only where
PyTorch is installed, and read as data alone).
"""

import functools
import hashlib
import json
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from emergence_jax.base.types import PyTree, UserError
from emergence_jax.machine import mesh as mesh_lib
from emergence_jax.models import architectures
from emergence_jax.models.architectures import Architecture
from emergence_jax.models.architectures.tensors import Leaf
from emergence_jax.models.protocol import FlaxModel

DTYPES = {'float32': jnp.float32, 'bfloat16': jnp.bfloat16}
# Buffers of old releases, which follow from the shapes.
_BUFFERS = re.compile(
  r'.*\.(attention|attn)\.(bias|masked_bias)|.*\brotary_emb\.inv_freq'
)
_POINTER = b'version https://git-lfs'
Read = Callable[[str], jax.Array]


def read_model(folder: str | pathlib.Path) -> FlaxModel:
  """The model that a folder's `config.json` describes, without weights.

  Raises:
    UserError: if there is none, or it is of a kind that is not known.
  """
  return _described(pathlib.Path(folder))[1]


def _described(folder: pathlib.Path) -> tuple[Architecture, FlaxModel]:
  path = folder / 'config.json'
  try:
    raw = json.loads(path.read_bytes())
  except OSError as error:
    raise UserError(
      f'{folder} holds no config.json; give a folder of a released model.'
    ) from error
  except (ValueError, RecursionError) as error:
    raise UserError(f'{path} is damaged ({error}).') from error
  if not isinstance(raw, dict) or 'model_type' not in raw:
    raise UserError(f'{path} is damaged, or says no model_type.')
  architecture, shape, vocab_size = architectures.read(raw, path)
  return architecture, shape.build(vocab_size)


def _is_file(path: pathlib.Path) -> bool:
  try:
    return path.is_file()
  except (OSError, ValueError):  # too long, or no name at all
    return False


def _is_inside(folder: pathlib.Path, path: pathlib.Path) -> bool:
  """Whether a file lies in a folder, or among the blobs of the hub's cache."""
  folder = folder.resolve()
  homes = [folder]
  if folder.parent.name == 'snapshots':
    homes.append(folder.parent.parent / 'blobs')
  return path.resolve().parent in homes


def weight_files(folder: str | pathlib.Path) -> list[pathlib.Path]:
  """The files that hold a folder's weights, in the order of their names.

  Raises:
    UserError: if there are none, or the index names one that is not there.
  """
  folder = pathlib.Path(folder)
  for suffix, single in (
    ('safetensors', 'model.safetensors'), ('bin', 'pytorch_model.bin'),
  ):  # fmt: skip
    index = folder / f'{single}.index.json'
    if index.exists():
      try:
        names = set(json.loads(index.read_bytes())['weight_map'].values())
      except (
        ValueError, KeyError, AttributeError, TypeError, RecursionError
      ) as error:  # fmt: skip
        raise UserError(f'{index} is damaged ({error}).') from error
      # Files beside it, and nothing else.
      strange = [
        n
        for n in names
        if not isinstance(n, str) or pathlib.Path(n).name != n or n == '..'
      ]
      if strange or not names:
        raise UserError(
          f'{index} names {strange[:3] or "no file"}, where files of weights '
          'beside it should be.'
        )
      missing = sorted(n for n in names if not _is_file(folder / n))
      if missing:
        raise UserError(f'{folder} lacks {", ".join(map(str, missing))}.')
      outside = sorted(n for n in names if not _is_inside(folder, folder / n))
      if outside:
        raise UserError(
          f'{index} names {", ".join(outside)}, which links to a file outside '
          'of the folder; put the files themselves there.'
        )
      return [folder / name for name in sorted(names)]
    if (folder / single).is_file():
      return [folder / single]
    del suffix
  raise UserError(
    f'{folder} holds no weights (model.safetensors or pytorch_model.bin).'
  )


def fingerprint(path: pathlib.Path) -> str:
  """SHA-256 of a file's contents."""
  with path.open('rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def fingerprints(folder: str | pathlib.Path) -> dict[str, str]:
  """Name of each file of weights → SHA-256 of its contents."""
  return {path.name: fingerprint(path) for path in weight_files(folder)}


def _safetensors(path: pathlib.Path) -> Iterator[tuple[str, tuple, Read]]:
  """Names, shapes and readers of the tensors of a file."""
  try:
    import safetensors
  except ImportError as error:
    raise UserError(
      "released models need safetensors: pip install 'emergence_jax[pythia]'."
    ) from error
  with path.open('rb') as start:
    if start.read(len(_POINTER)) == _POINTER:
      raise UserError(
        f'{path} is a pointer of git-lfs and not the weights; `git lfs pull` '
        'fetches them.'
      )
  try:
    file = safetensors.safe_open(path, framework='flax')
    names = list(file.keys())
    shapes = [tuple(file.get_slice(name).get_shape()) for name in names]
  except Exception as error:  # SafetensorError, OSError: all that it raises
    raise UserError(
      f'{path} is damaged and cannot be read ({error}).'
    ) from error
  for name, shape in zip(names, shapes):
    yield name, shape, functools.partial(file.get_tensor, name)


def _pickled(path: pathlib.Path) -> Iterator[tuple[str, tuple, Read]]:
  """The same of a file of PyTorch's, which is read as data alone."""
  try:
    import torch
  except ImportError as error:
    raise UserError(
      f'{path} needs PyTorch, which is not installed; take a release with '
      'model.safetensors.'
    ) from error
  try:
    tensors = torch.load(path, map_location='cpu', weights_only=True, mmap=True)
  except Exception as error:
    raise UserError(
      f'{path} is damaged and cannot be read ({error}).'
    ) from error

  def read(tensor):
    return jnp.asarray(tensor.to(torch.float32).numpy())

  for name, tensor in tensors.items():
    yield (
      name,
      tuple(tensor.shape),
      functools.partial(read, tensor),
    )


Tensors = dict[str, tuple[tuple, Callable]]


def _tensors(folder, layout) -> Tensors:
  """Name → shape and reader, of all files of a folder."""
  tensors = {}
  for path in weight_files(folder):
    read = _safetensors if path.suffix == '.safetensors' else _pickled
    for name, shape, reader in read(path):
      if _BUFFERS.fullmatch(name):
        continue
      for prefix in layout.prefixes:
        name = name.removeprefix(prefix)
      tensors[name] = shape, reader
  return tensors


def _drop_repeated_head(folder, tensors: Tensors, layout, shape) -> None:
  """Drops the output matrix of a tied model, which repeats the embedding.

  Raises:
    UserError: if it is another one.
  """
  if not shape.tied or layout.unembed not in tensors:
    return
  head = tensors.pop(layout.unembed)
  embed = tensors.get(layout.embed)
  if embed is None:
    return  # which is said
  if head[0] != embed[0] or not bool(jnp.array_equal(head[1](), embed[1]())):
    raise UserError(
      f'{folder}: its config.json says that the output matrix is the '
      f'embedding, and {layout.unembed} is another one; say '
      '"tie_word_embeddings": false if that is meant.'
    )


def _is_leaf(value: Any) -> bool:
  return isinstance(value, tuple)


def placing(devices: int) -> Callable[[jax.Array], jax.Array]:
  """Puts a leaf where it is to be, if several devices share the model."""
  if devices == 1:
    return lambda leaf: leaf
  mesh = mesh_lib.model_mesh(devices)
  return lambda leaf: jax.device_put(leaf, mesh_lib.placed_alone(mesh, leaf))


def load_checkpoint(
  folder: str | pathlib.Path, *, dtype: str = 'float32', devices: int = 1
) -> tuple[FlaxModel, PyTree]:
  """A released model and its parameters.

  Tensors are read one by one, so that there are never two copies of a model.

  Args:
    folder: holds `config.json` and weights.
    dtype: of the parameters, `float32` or `bfloat16`.
    devices: that share the model, each with a part of every large matrix.

  Returns:
    (model, params), for `model.apply(params, tokens_BxT)`.

  Raises:
    UserError: if the folder holds no model that is known; one error for all
      tensors that are missing, left over or of another shape, or not finite.
  """
  folder = pathlib.Path(folder).expanduser()
  if dtype not in DTYPES:
    raise UserError(f'dtype={dtype!r} is unknown; known: {sorted(DTYPES)}.')
  architecture, model = _described(folder)
  layout = architecture.layout
  tensors = _tensors(folder, layout)
  _drop_repeated_head(folder, tensors, layout, model.config)
  leaves = layout.leaves(model.config)
  shapes = jax.eval_shape(model.init, jax.random.key(0))
  _check(folder, tensors, leaves, shapes)
  place = placing(devices)

  def read(leaf: Leaf) -> jax.Array:
    name, change = leaf
    try:
      return place(change(tensors[name][1]()).astype(DTYPES[dtype]))
    except Exception as error:
      raise UserError(f'{folder}: {name} cannot be read ({error}).') from error

  params = jax.tree.map(read, leaves, is_leaf=_is_leaf)
  bad = [
    jax.tree_util.keystr(path)
    for path, x in jax.tree_util.tree_leaves_with_path(params)
    if not bool(jnp.isfinite(x).all())
  ]
  if bad:
    raise UserError(f'{folder} has values that are no numbers in {bad[:5]}.')
  return model, params


def _check(folder, tensors, leaves, shapes) -> None:
  """Checks names and shapes of the tensors against the configuration."""
  wanted, problems = set(), []
  flat = jax.tree_util.tree_leaves_with_path(leaves, is_leaf=_is_leaf)
  expected = dict(jax.tree_util.tree_leaves_with_path(shapes))
  for path, (name, change) in flat:
    wanted.add(name)
    if name not in tensors:
      problems.append(f'{name} is missing')
      continue
    shape = jax.ShapeDtypeStruct(tensors[name][0], jnp.float32)
    try:
      got = jax.eval_shape(change, shape).shape
    except (TypeError, ValueError, IndexError):
      got = ()
    if got != expected[path].shape:
      problems.append(
        f'{name} has the shape {tensors[name][0]}, and config.json asks for '
        f'{expected[path].shape} here'
      )
  problems += [
    f'{name} is left over' for name in sorted(tensors.keys() - wanted)
  ]
  if problems:
    shown = '; '.join(dict.fromkeys(problems))
    raise UserError(
      f'{folder} does not hold what its config.json says: {shown}.'
    )
