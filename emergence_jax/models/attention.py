"""Causal attention, which all decoders share."""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn


def causal_attention(
  q_BxQxHxE: jax.Array,
  k_BxTxGxE: jax.Array,
  v_BxTxGxE: jax.Array,
  *,
  scale: float | None = None,
  window: int | None = None,
) -> jax.Array:
  """What the last Q of T positions gather from those up to their own.

  The softmax is computed in float32, whatever the inputs' type.

  Args:
    q_BxQxHxE: queries of H heads.
    k_BxTxGxE: keys of G heads, each of which serves H / G queries in a row.
    v_BxTxGxE: values of the same.
    scale: of a score; 1 / sqrt(E) if absent.
    window: so many last positions are seen, the own one among them; all if
      absent.

  Returns:
    [B, Q, H·E], of the inputs' type.
  """
  batch, queries, heads, width = q_BxQxHxE.shape
  length, groups = k_BxTxGxE.shape[1:3]
  k_BxTxHxE, v_BxTxHxE = k_BxTxGxE, v_BxTxGxE
  if groups < heads:
    k_BxTxHxE = jnp.repeat(k_BxTxGxE, heads // groups, 2)
    v_BxTxHxE = jnp.repeat(v_BxTxGxE, heads // groups, 2)
  score = jnp.einsum(
    'bqhe,bthe->bhqt', q_BxQxHxE, k_BxTxHxE, preferred_element_type=jnp.float32
  )
  score = score / math.sqrt(width) if scale is None else score * scale
  place = jnp.arange(length)
  own = place[length - queries :, None]
  visible = place <= own
  if window is not None:
    visible &= place > own - window
  weight = nn.softmax(jnp.where(visible, score, -jnp.inf))
  mixed = jnp.einsum(
    'bhqt,bthe->bqhe', weight.astype(v_BxTxHxE.dtype), v_BxTxHxE
  )
  return mixed.reshape(batch, queries, -1)
