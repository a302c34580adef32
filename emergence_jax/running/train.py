"""Training one seed, as pure functions; `loop` maps them over a population."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from emergence_jax.base import prng
from emergence_jax.base.types import Population, PyTree
from emergence_jax.config.precision import PRECISIONS
from emergence_jax.models.objective import Objective
from emergence_jax.tasks.task import Task

# Longest segment of one call, in steps: the size of its history.
MAX_SEGMENT = 1000


class History(NamedTuple):
  """Loss and gradient norm of each step of a segment; 0 after its end.

  Attributes:
    loss: [MAX_SEGMENT], mean loss of the step's batch before its update.
    grad_norm: [MAX_SEGMENT], global norm of its gradient before clipping.
  """

  loss: jax.Array
  grad_norm: jax.Array


def _norm(tree: PyTree) -> jax.Array:
  """Euclidean norm of all leaves together."""
  return jnp.sqrt(sum(jnp.sum(x * x) for x in jax.tree.leaves(tree)))


def make_init(
  objective: Objective, optimizer: optax.GradientTransformation
) -> Callable[[jax.Array], Population]:
  """seed → the state of one member (a population without its axis)."""

  def init(seed: jax.Array) -> Population:
    params = objective.init(prng.key(prng.Stream.INIT, seed))
    return Population(
      jnp.int32(0), jnp.int32(seed), params, optimizer.init(params)
    )

  return init


def _in_precision(objective: Objective, precision: str):
  """The training loss, computed in a precision; gradients are float32."""
  dtype = PRECISIONS[precision].dtype
  if dtype == jnp.float32:
    return objective.loss

  def loss(params, batch):
    smaller = jax.tree.map(
      lambda x: x.astype(dtype) if x.dtype == jnp.float32 else x, params
    )
    return objective.loss(smaller, batch)

  return loss


def make_segment(
  objective: Objective,
  optimizer: optax.GradientTransformation,
  precision: str = 'float32',
  spread: Callable[[PyTree], PyTree] = lambda batch: batch,
) -> Callable[[Population, jax.Array], tuple[Population, History]]:
  """(member, number of steps ≤ MAX_SEGMENT) → (member, history).

  The number is traced, so one compiled program serves every segment. The
  data of a step depend on (seed, step) alone, and so does the result of a
  run not depend on how it was cut into segments.

  Args:
    objective: what is trained.
    optimizer: its updates.
    precision: of `PRECISIONS`.
    spread: says of a batch how it lies on the devices that share a seed.
  """
  task = objective.exams
  assert isinstance(task, Task)
  loss_of = _in_precision(objective, precision)

  def segment(member: Population, num_steps: jax.Array):
    prepared = task.prepare(member.seed)

    def update(i, carry):
      member, history = carry
      key = prng.key(prng.Stream.DATA, member.seed, member.step)
      # Names are for a profiler; backward is the transpose of forward there.
      with jax.named_scope('data'):
        batch = spread(task.train_batch(prepared, key))
      with jax.named_scope('forward'):
        loss, grads = jax.value_and_grad(loss_of)(member.params, batch)
      history = History(
        history.loss.at[i].set(loss),
        history.grad_norm.at[i].set(_norm(grads)),
      )
      with jax.named_scope('update'):
        updates, opt_state = optimizer.update(
          grads, member.opt_state, member.params
        )
        params = optax.apply_updates(member.params, updates)
      return Population(
        member.step + 1, member.seed, params, opt_state
      ), history

    blank = jnp.zeros(MAX_SEGMENT)
    return jax.lax.fori_loop(
      0, num_steps, update, (member, History(blank, blank))
    )

  return segment
