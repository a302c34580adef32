"""Sketches of released revisions: checksums, headers and some rows.

On the hub only ranges of files are fetched; on the disk every tensor is looked
at.
"""

import json
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from emergence_jax.analysis import histories
from emergence_jax.analysis.histories import Sketch
from emergence_jax.base.types import UserError
from emergence_jax.models import released
from emergence_jax.running import fingerprints
from emergence_jax.running.sources.places import Local, Place, ReadRange
from emergence_jax.running.sources.suites import Suite

# Of each tensor, so many bytes in its middle; of a file on the hub, so many
# tensors.
_BLOCK, _MOST_TENSORS = 2**14, 12
# Longest header that is read.
_HEADER = 2**26
_TYPES = {
  'F64': np.float64, 'F32': np.float32, 'F16': np.float16,
  'BF16': ml_dtypes.bfloat16, 'I64': np.int64, 'I32': np.int32,
}  # fmt: skip


class _Tensor(NamedTuple):
  """Attributes: name, type, and where it begins and ends in the file."""

  name: str
  dtype: Any
  start: int
  stop: int


def _tensors(read: ReadRange, where: str) -> list[_Tensor]:
  """Tensors of a file of safetensors, by its header."""
  try:
    (length,) = struct.unpack('<Q', read(0, 8))
    if length > _HEADER:
      raise ValueError(f'a header of {length:,} bytes')
    header = json.loads(read(8, 8 + length))
    tensors = []
    for name, value in header.items():
      if name == '__metadata__' or value['dtype'] not in _TYPES:
        continue
      start, stop = value['data_offsets']
      dtype = np.dtype(_TYPES[value['dtype']])
      if not 0 <= start <= stop or (stop - start) % dtype.itemsize:
        raise ValueError(f'{name} lies at {start}:{stop}')
      tensors.append(
        _Tensor(name, dtype, 8 + length + start, 8 + length + stop)
      )
  except (
    ValueError, KeyError, TypeError, AttributeError, struct.error,
    RecursionError,
  ) as error:  # fmt: skip
    raise UserError(f'{where} is damaged ({error}).') from error
  return sorted(tensors)


def _values(read: ReadRange, tensor: _Tensor) -> np.ndarray:
  """A block of values in the middle of a tensor, float64."""
  size = tensor.dtype.itemsize
  count = (tensor.stop - tensor.start) // size
  kept = min(count, _BLOCK // size)
  start = tensor.start + (count - kept) // 2 * size
  data = read(start, start + kept * size)
  if len(data) != kept * size:
    raise UserError(f'{tensor.name} is cut off.')
  return np.frombuffer(data, tensor.dtype).astype(np.float64)


def _some(tensors: list[_Tensor], most: int | None) -> list[_Tensor]:
  """At most so many, evenly spaced among those that are no vectors."""
  if most is None or len(tensors) <= most:
    return tensors
  large = sorted(tensors, key=lambda t: t.start - t.stop)[: 4 * most]
  large.sort()
  places = np.linspace(0, len(large) - 1, most).round().astype(int)
  return [large[i] for i in dict.fromkeys(places.tolist())]


def _sketch_of_file(
  read: ReadRange, where: str, most: int | None
) -> dict[str, np.ndarray]:
  return {
    tensor.name: _values(read, tensor)
    for tensor in _some(_tensors(read, where), most)
  }


def _described(place: Place) -> str:
  """Checksum of the model that `config.json` says; empty if it is unread."""
  try:
    model = released.read_model(place.describe())
  except UserError:
    return ''
  return fingerprints.of_description(model)


def sketch(place: Place) -> Sketch:
  """What is looked at of a revision; one that cannot be read says why."""
  try:
    files = place.fingerprints()
    most = None if isinstance(place, Local) else _MOST_TENSORS
    tensors = {
      name: _sketch_of_file(place.ranges(name), f'{place}: {name}', most)
      for name in files
      if name.endswith('.safetensors')
    }
    return Sketch(files, tensors, _described(place))
  except (UserError, OSError) as error:
    return Sketch(problem=str(error))


class Audit(NamedTuple):
  """Attributes: faults, and what was looked at: seed → step → sketch."""

  faults: list[histories.Fault]
  sketches: dict[int, dict[int, Sketch]]


def audit(suite: Suite, log: Callable[[str], None]) -> Audit:
  """Looks at every revision of a suite.

  Args:
    suite: the revisions.
    log: told of each seed when it is done.
  """
  sketches: dict[int, dict[int, Sketch]] = {}
  for seed, steps in suite.revisions.items():
    sketches[seed] = {step: sketch(place) for step, place in steps.items()}
    name = suite.seed_names.get(seed, str(seed))
    log(f'{name}: {len(steps):,} revisions looked at.')
  final = {seed: sketch(place) for seed, place in suite.final.items()}
  final = {seed: made for seed, made in final.items() if not made.problem}
  return Audit(histories.check(sketches, final, suite.seed_names), sketches)
