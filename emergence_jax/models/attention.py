"""Causal attention, which all decoders share."""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn


def causal_attention(
  q_BxQxHxE: jax.Array, k_BxTxHxE: jax.Array, v_BxTxHxE: jax.Array
) -> jax.Array:
  """What the last Q of T positions gather from those up to their own.

  The softmax is computed in float32, whatever the inputs' type.

  Returns:
    [B, Q, H·E], of the inputs' type.
  """
  batch, queries, _, width = q_BxQxHxE.shape
  length = k_BxTxHxE.shape[1]
  score = jnp.einsum(
    'bqhe,bthe->bhqt', q_BxQxHxE, k_BxTxHxE, preferred_element_type=jnp.float32
  )
  score = score / math.sqrt(width)
  place = jnp.arange(length)
  visible = place <= place[length - queries :, None]
  weight = nn.softmax(jnp.where(visible, score, -jnp.inf))
  mixed = jnp.einsum(
    'bhqt,bthe->bqhe', weight.astype(v_BxTxHxE.dtype), v_BxTxHxE
  )
  return mixed.reshape(batch, queries, -1)
