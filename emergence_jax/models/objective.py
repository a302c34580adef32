"""Losses, answers and features of a model under exams."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from emergence_jax.base.types import Batch, PyTree, UserError
from emergence_jax.models.protocol import Edit, Model, Output, count_params
from emergence_jax.tasks.supervised import Table
from emergence_jax.tasks.task import Exams

# Logits of more bytes are never in memory at once, where the model can make
# them row by row (`Model.unembed`).
LOGITS_BYTES = 2**28


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


def _against(logits, target):
  """Cross-entropy against the target, and whether it is the likeliest.

  In float32, also where the logits have fewer bits.
  """
  logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
  nats = optax.softmax_cross_entropy_with_integer_labels(logits, target)
  return nats, jnp.argmax(logits, -1) == target


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
    return count_params(self.model)

  def apply(
    self,
    params: PyTree,
    tokens: jax.Array,
    num_queries: int | None = None,
    edit: Edit | None = None,
  ) -> Output:
    """The model on the inputs of tokens [B, T], that is on [B, T - 1]."""
    edits = {} if edit is None else {'edit': edit}
    return self.model.apply(params, tokens[:, :-1], num_queries, **edits)

  def hidden_size(self) -> int:
    """Features of a hidden state."""
    params = jax.eval_shape(self.init, jax.random.key(0))
    tokens = jax.ShapeDtypeStruct((1, 1), jnp.int32)
    return jax.eval_shape(self.model.apply, params, tokens).final.shape[-1]

  def check_edits(self, path: str) -> None:
    """Raises a UserError if the model's hidden states cannot be changed."""
    if 'edit' not in inspect.signature(self.model.apply).parameters:
      raise UserError(
        f'{path} changes hidden states, which this model does not let: its '
        '`apply` has no argument `edit` (emergence_jax.models.protocol.Edit).'
      )

  def edit_of_layer(
    self, layer: int, change: Callable[[jax.Array], jax.Array]
  ) -> Edit:
    """An edit of one layer's output, from 1; 0 is the last."""
    place = (layer or self.model.num_layers) - 1
    return lambda i, x_BxTxD: change(x_BxTxD) if i == place else x_BxTxD

  def query_states(self, params: PyTree, batch: Batch) -> list[jax.Array]:
    """Each block's output at the query [B, D], for a gradient."""
    output = self.apply(params, batch.tokens, self.exams.num_scored)
    length = batch.tokens.shape[1] - 1
    rows = jnp.arange(len(batch.query))
    return [
      hidden[rows, batch.query - (length - hidden.shape[1])]
      for hidden in output.hidden
    ]

  def _predicted(self, params, batch, edit=None):
    """Cross-entropy and rightness of each predicted token, and its place.

    Returns:
      nats [B, Q], bool [B, Q] (it is the likeliest), scored bool [B, Q].
    """
    output = self.apply(params, batch.tokens, self.exams.num_scored, edit)
    places = slice(-output.final.shape[1], None)
    target = batch.tokens[:, places]
    if isinstance(self.exams, Table):
      nats, right = self.exams.losses(output.logits, batch)
      return nats, right, batch.scored[:, places]
    unembed = getattr(self.model, 'unembed', None)
    row_bytes = self.model.vocab_size * output.final.dtype.itemsize
    if unembed is None or target.size * row_bytes <= LOGITS_BYTES:
      nats, right = _against(output.logits, target)
    else:
      # Made again for the gradient, so that no slice outlives its own.
      row_loss = jax.checkpoint(
        lambda row: _against(unembed(params, row[0]), row[1])
      )
      rows = output.final.reshape(target.size, -1), target.ravel()
      at_once = max(1, LOGITS_BYTES // row_bytes)
      nats, right = jax.lax.map(row_loss, rows, batch_size=at_once)
    nats, right = nats.reshape(target.shape), right.reshape(target.shape)
    return nats, right, batch.scored[:, places]

  def loss(
    self, params: PyTree, batch: Batch, edit: Edit | None = None
  ) -> jax.Array:
    """Mean cross-entropy of the scored tokens of a batch [B], in nats.

    Source: arXiv:2602.15997, section 3: tokens after `=` only.
    """
    nats, _, scored = self._predicted(params, batch, edit)
    counts = scored.astype(nats.dtype)
    return jnp.sum(nats * counts) / jnp.sum(counts)

  def example_loss(self, params: PyTree, example: Batch) -> jax.Array:
    """The loss of a single example (a batch without its leading axis)."""
    return self.loss(params, jax.tree.map(lambda x: x[None], example))

  def mean_example_loss(self, params: PyTree, batch: Batch) -> jax.Array:
    """Mean over a batch [B] of each example's loss.

    Other than `loss` it weighs examples and not tokens, so that the mean over
    a random minibatch is unbiased.
    """
    nats, _, scored = self._predicted(params, batch)
    counts = scored.astype(nats.dtype)
    return jnp.mean(jnp.sum(nats * counts, 1) / jnp.sum(counts, 1))

  @staticmethod
  def num_tokens(batch: Batch) -> jax.Array:
    """Scored tokens of a batch: the weight of a slice in `loss`."""
    return jnp.sum(batch.scored, dtype=jnp.float32)

  def query_features(
    self, params: PyTree, batch: Batch, examples_at_once: int = 100
  ) -> jax.Array:
    """Every block's output at the query, [Λ, B, D].

    Args:
      params: parameters.
      batch: batch [B].
      examples_at_once: in one forward pass.
    """

    def of_example(example):
      hidden, _ = self.features(
        params, jax.tree.map(lambda x: x[None], example)
      )
      return hidden[:, 0, example.query]

    at_once = min(examples_at_once, len(batch.query))
    features = jax.lax.map(of_example, batch, batch_size=at_once)
    return features.swapaxes(0, 1)

  def answers(
    self, params: PyTree, batch: Batch, examples_at_once: int | None = None
  ) -> Answers:
    """Exact match and answer probability of each example, [B].

    Teacher forcing suffices for exact match: the greedy answer is right if
    and only if every token is the likeliest one after a right beginning.

    Args:
      params: parameters.
      batch: batch [B].
      examples_at_once: most in one forward pass; None for all.
    """
    if examples_at_once is not None:

      def of_example(example):
        answers = self.answers(params, jax.tree.map(lambda x: x[None], example))
        return jax.tree.map(lambda x: x[0], answers)

      at_once = min(examples_at_once, len(batch.query))
      return jax.lax.map(of_example, batch, batch_size=at_once)
    nats, right, scored = self._predicted(params, batch)
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
