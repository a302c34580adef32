"""What a model is trained on and examined by: losses, answers, features."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from emergence_jax.models.base import Model, Output
from emergence_jax.tasks.base import Exams
from emergence_jax.types import Batch, PyTree


class Answers(NamedTuple):
  """How a model answers; leading axes as in the batch.

  Attributes:
    correct: bool [...], the likeliest token is right at every scored place.
    log_prob: [...], log-probability of the whole answer, in nats.
    tokens: int32 [...], number of scored tokens.
  """

  correct: jax.Array
  log_prob: jax.Array
  tokens: jax.Array


@dataclasses.dataclass(frozen=True)
class Objective:
  """A model under exams; methods are pure functions of the parameters."""

  model: Model
  exams: Exams

  def init(self, key: jax.Array) -> PyTree:
    """Random parameters of the model."""
    return self.model.init(key)

  def num_params(self) -> int:
    """Parameters of one model, counted without allocating any."""
    shapes = jax.eval_shape(self.init, jax.random.key(0))
    return sum(int(np.prod(x.shape)) for x in jax.tree.leaves(shapes))

  def apply(
    self, params: PyTree, tokens: jax.Array, num_queries: int | None = None
  ) -> Output:
    """The model on the inputs of tokens [B, T], that is on [B, T - 1]."""
    return self.model.apply(params, tokens[:, :-1], num_queries)

  def _cross_entropy(self, params, batch, num_queries):
    """Cross-entropy at each predicted token, and which count, [B, Q]."""
    logits = self.apply(params, batch.tokens, num_queries).logits
    places = slice(-logits.shape[1], None)
    nats = optax.softmax_cross_entropy_with_integer_labels(
      logits, batch.tokens[:, places]
    )
    return nats, batch.scored[:, places].astype(nats.dtype)

  def loss(self, params: PyTree, batch: Batch) -> jax.Array:
    """Mean cross-entropy of the scored tokens of a batch [B], in nats.

    Source: arXiv:2602.15997, section 3: tokens after `=` only.
    """
    nats, counts = self._cross_entropy(params, batch, self.exams.num_scored)
    return jnp.sum(nats * counts) / jnp.sum(counts)

  def example_loss(self, params: PyTree, example: Batch) -> jax.Array:
    """The loss of a single example (a batch without its leading axis)."""
    return self.loss(params, jax.tree.map(lambda x: x[None], example))

  def mean_example_loss(self, params: PyTree, batch: Batch) -> jax.Array:
    """Mean over a batch [B] of each example's loss.

    Other than `loss` it weighs examples and not tokens, so that the mean over
    a random minibatch is unbiased.
    """
    nats, counts = self._cross_entropy(params, batch, self.exams.num_scored)
    return jnp.mean(jnp.sum(nats * counts, 1) / jnp.sum(counts, 1))

  @staticmethod
  def num_tokens(batch: Batch) -> jax.Array:
    """Scored tokens of a batch: the weight of a slice in `loss`."""
    return jnp.sum(batch.scored, dtype=jnp.float32)

  def query_features(
    self, params: PyTree, batch: Batch, examples_at_once: int = 200
  ) -> jax.Array:
    """Every block's output at the query, [Λ, B, D].

    Args:
      params: parameters.
      batch: batch [B].
      examples_at_once: in one forward pass.
    """

    def one(example):
      hidden, _ = self.features(
        params, jax.tree.map(lambda x: x[None], example)
      )
      return hidden[:, 0, example.query]

    at_once = min(examples_at_once, len(batch.query))
    features = jax.lax.map(one, batch, batch_size=at_once)
    return features.swapaxes(0, 1)

  def answers(self, params: PyTree, batch: Batch) -> Answers:
    """Exact match and answer probability of each example, [B].

    Teacher forcing suffices for exact match: the greedy answer is right if
    and only if every token is the likeliest one after a right beginning.
    """
    logits = self.apply(params, batch.tokens, self.exams.num_scored).logits
    places = slice(-logits.shape[1], None)
    target, scored = batch.tokens[:, places], batch.scored[:, places]
    nats = optax.softmax_cross_entropy_with_integer_labels(logits, target)
    right = jnp.argmax(logits, -1) == target
    return Answers(
      # A model whose output is not finite answers nothing.
      correct=jnp.all((right & jnp.isfinite(nats)) | ~scored, -1),
      log_prob=-jnp.sum(jnp.where(scored, nats, 0), -1),
      tokens=jnp.sum(scored, -1),
    )

  def features(self, params: PyTree, batch: Batch) -> tuple[jax.Array, ...]:
    """Residual streams of a batch [B] at every position.

    Returns:
      hidden [Λ, B, T - 1, D] after each of Λ blocks, final [B, T - 1, D].
    """
    output = self.apply(params, batch.tokens)
    return jnp.stack(output.hidden), output.final
