"""Rotary positions, and the ways in which releases stretch them.

Sources: Su et al. 2021, arXiv:2104.09864; for longer sequences Chen et al.
2023, arXiv:2306.15595 (linear), Peng et al. 2023, arXiv:2309.00071 (dynamic,
YaRN), and the release of Llama 3.1.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

KINDS = ('default', 'linear', 'dynamic', 'llama3', 'yarn')


@dataclasses.dataclass(frozen=True)
class Rotary:
  """How queries and keys turn with their position.

  Attributes:
    size: features of each head that turn, an even number.
    base: feature 2i of them turns by base^(-2i/size) a position.
    kind: of `KINDS`; what stretches the wavelengths.
    factor: by which.
    trained: positions before stretching.
    slow: turns within `trained` of those that are stretched wholly (llama3,
      yarn).
    fast: of those that are left alone.
    amplitude: by which the turned features grow (yarn).
  """

  size: int
  base: float = 10_000.0
  kind: str = 'default'
  factor: float = 1.0
  trained: int = 0
  slow: float = 1.0
  fast: float = 32.0
  amplitude: float = 1.0


def rates(rotary: Rotary, length: int) -> jax.Array:
  """Radians a position of each pair of features, [size / 2].

  Args:
    rotary: the kind.
    length: of the sequence, by which `dynamic` goes.
  """
  half = rotary.size // 2
  place = jnp.arange(half, dtype=jnp.float32) / half
  base, factor = rotary.base, rotary.factor
  if rotary.kind == 'dynamic':
    longest = max(length, rotary.trained)
    grown = factor * longest / rotary.trained - (factor - 1)
    base = base * grown ** (rotary.size / (rotary.size - 2))
  rate = base**-place
  if rotary.kind == 'linear':
    return rate / factor
  if rotary.kind == 'llama3':
    turns = rotary.trained * rate / (2 * math.pi)
    kept = (turns - rotary.slow) / (rotary.fast - rotary.slow)
  elif rotary.kind == 'yarn':
    # The places, of `half`, at which a feature turns so often.
    fast, slow = (
      rotary.size
      * math.log(rotary.trained / (turns * 2 * math.pi))
      / (2 * math.log(base))
      for turns in (rotary.fast, rotary.slow)
    )
    first = max(math.floor(fast), 0)
    last = min(math.ceil(slow), rotary.size - 1)
    kept = 1 - (jnp.arange(half) - first) / max(last - first, 1e-3)
  else:
    return rate
  kept = jnp.clip(kept, 0, 1)
  return kept * rate + (1 - kept) * rate / factor


def rotate(x_BxNxHxE: jax.Array, rotary: Rotary, start: int = 0) -> jax.Array:
  """Turns the first features of each head by its position.

  Feature i is paired with feature i + size/2.

  Args:
    x_BxNxHxE: features of N positions in a row, the last of a sequence.
    rotary: the kind.
    start: the first of the positions.
  """
  if not rotary.size:
    return x_BxNxHxE
  half, length = rotary.size // 2, start + x_BxNxHxE.shape[1]
  angle_NxR = jnp.arange(start, length)[:, None] * rates(rotary, length)
  cos, sin = (
    (rotary.amplitude * f(angle_NxR))[:, None].astype(x_BxNxHxE.dtype)
    for f in (jnp.cos, jnp.sin)
  )
  a, b = x_BxNxHxE[..., :half], x_BxNxHxE[..., half : rotary.size]
  return jnp.concatenate(
    [a * cos - b * sin, b * cos + a * sin, x_BxNxHxE[..., rotary.size :]], -1
  )
