"""Random keys that depend on (stream, seed, step) and on nothing else."""

import enum
import zlib

import jax

# A fixed generator, so that a user's global setting cannot change a run.
_IMPL = 'threefry2x32'


class Stream(enum.IntEnum):
  """Independent purposes of randomness; numbers are part of a run's meaning."""

  INIT = 0
  DATA = 1
  SPLIT = 2
  FIXED = 3
  MEASURE = 4
  INTERVENTION = 5


class Fixed(enum.IntEnum):
  """Examples that stay the same over a run: numbers within `Stream.FIXED`."""

  EXAM = 0
  RANK = 1
  FISHER = 2
  GRADCOV = 3
  HESSIAN = 4
  LLC = 5
  BARRIER = 6
  PROBES = 7
  ALIGNMENT = 8


def key(
  stream: Stream, seed: jax.Array | int, step: jax.Array | int = 0
) -> jax.Array:
  """Typed key for (stream, seed, step); arguments may be traced scalars."""
  root = jax.random.key(int(stream), impl=_IMPL)
  return jax.random.fold_in(jax.random.fold_in(root, seed), step)


def measure_key(
  name: str, seed: jax.Array | int, step: jax.Array | int
) -> jax.Array:
  """Key of the measure `name`, independent of which others run."""
  tag = zlib.crc32(name.encode())
  return jax.random.fold_in(key(Stream.MEASURE, seed, step), tag)


def fixed_key(fixed: Fixed) -> jax.Array:
  """Key of a measure's fixed examples, the same for every seed."""
  return jax.random.fold_in(key(Stream.FIXED, int(fixed)), 0)
