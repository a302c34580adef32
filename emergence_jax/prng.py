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
  PROBE = 3
  MEASURE = 4


class Probe(enum.IntEnum):
  """Fixed samples, as the step of a key of `Stream.PROBE`."""

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


def probe_key(probe: Probe, seed: jax.Array | int) -> jax.Array:
  """Key of a seed's fixed sample."""
  return jax.random.fold_in(key(Stream.PROBE, int(probe)), seed)
