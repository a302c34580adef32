"""Training one seed, as pure functions; `loop` maps them over a population."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from emergence_jax.base import prng
from emergence_jax.base.types import Population, PyTree
from emergence_jax.config.precision import PRECISIONS
from emergence_jax.interventions.intervention import (
  GRADIENT,
  UPDATE,
  Intervention,
  Push,
  State,
  key_of,
  prepare_push,
  push,
)
from emergence_jax.models.objective import Objective
from emergence_jax.tasks.task import Task

# Longest segment of one call, in steps: the size of its history.
MAX_SEGMENT = 1000
INIT_STD = 'model.init_std'


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


class Levers(NamedTuple):
  """What differs between members besides their seeds, of one member.

  Attributes:
    numbers: key of the configuration → its value.
    pushes: label of an intervention → how it acts.
    references: label → parameters that it refers to.
  """

  numbers: Mapping[str, Any]
  pushes: Mapping[str, Push]
  references: Mapping[str, PyTree]


# Of a member's numbers: the optimiser.
Optimizer = Callable[
  [Mapping[str, jax.Array | float]], optax.GradientTransformation
]


def _scaled(params: PyTree, factor: jax.Array | float) -> PyTree:
  """First weights of another standard deviation; scales and biases stay."""

  def one_leaf(path, leaf):
    name = jax.tree_util.keystr(path[-1:], simple=True)
    return leaf if name in ('scale', 'bias') else leaf * factor

  return jax.tree_util.tree_map_with_path(one_leaf, params)


def make_init(
  objective: Objective, optimizer: Optimizer, init_std: float = 1.0
) -> Callable[[jax.Array, Levers], Population]:
  """(seed, levers) → the state of one member (a population without its axis).

  Args:
    objective: what is trained.
    optimizer: its updates.
    init_std: that of the model, beside which a lever may set another.
  """

  def init(seed: jax.Array, levers: Levers) -> Population:
    params = objective.init(prng.key(prng.Stream.INIT, seed))
    if INIT_STD in levers.numbers:
      params = _scaled(params, levers.numbers[INIT_STD] / init_std)
    opt_state = optimizer(levers.numbers).init(params)
    return Population(jnp.int32(0), jnp.int32(seed), params, opt_state)

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


def _fence(tree: PyTree, step: jax.Array) -> PyTree:
  """The same tree, which the compiler does not compute together with its uses.

  So a step has the same arithmetic, to the bit, whether an intervention stands
  there or none; an optimisation barrier does not last to the end of a CPU's
  compiler. The step is never below 0, which the compiler does not know.
  """
  return jax.lax.cond(
    step < 0, lambda x: jax.tree.map(jnp.zeros_like, x), lambda x: x, tree
  )


def make_segment(
  objective: Objective,
  optimizer: Optimizer,
  interventions: Mapping[str, Intervention],
  precision: str = 'float32',
  spread: Callable[[PyTree], PyTree] = lambda batch: batch,
) -> Callable[..., tuple[Population, History]]:
  """(member, levers, first step, number of steps) → (member, history).

  The first step is that of all members, and the number at most MAX_SEGMENT.
  Both and the levers are traced, so one compiled program serves every segment
  and every arm. The data of a step depend on (seed, step) alone, and so does
  the result of a run not depend on how it was cut into segments.

  Args:
    objective: what is trained.
    optimizer: its updates.
    interventions: label → what may act.
    precision: of `PRECISIONS`.
    spread: says of a batch how it lies on the devices that share a seed.
  """
  task = objective.exams
  assert isinstance(task, Task)
  loss_of = _in_precision(objective, precision)

  def prepare(member: Population, levers: Levers) -> dict[str, tuple]:
    return {
      label: prepare_push(
        label, own, objective, levers.pushes[label], member.seed,
        member.params, levers.references.get(label),
      )
      for label, own in interventions.items()
    }  # fmt: skip

  def pushed(stage, at: State, levers: Levers, seed, prepared) -> PyTree:
    """The gradient or the update, with all that act on it."""
    for label, own in interventions.items():
      if own.stage == stage:
        key = key_of(label, seed, at.step)
        own_part, random = prepared[label]
        at = at._replace(key=key, prepared=own_part, random=random)
        tree = at.grads if stage == GRADIENT else at.updates
        tree = push(label, own, objective, levers.pushes[label], at, tree)
        at = (
          at._replace(grads=tree) if stage == GRADIENT
          else at._replace(updates=tree)
        )  # fmt: skip
    return at.grads if stage == GRADIENT else at.updates

  def segment(
    member: Population, levers: Levers, first: jax.Array, num_steps: jax.Array
  ) -> tuple[Population, History]:
    ready = task.prepare(member.seed)
    prepared = prepare(member, levers)
    transform = optimizer(levers.numbers)

    def update(i, carry):
      member, history = carry
      key = prng.key(prng.Stream.DATA, member.seed, member.step)
      # Names are for a profiler; backward is the transpose of forward there.
      with jax.named_scope('data'):
        batch = spread(task.train_batch(ready, key))
      with jax.named_scope('forward'):
        loss, grads = jax.value_and_grad(loss_of)(member.params, batch)
      grads = _fence(grads, member.step)
      history = History(
        history.loss.at[i].set(loss),
        history.grad_norm.at[i].set(_norm(grads)),
      )
      at = State(
        first + i, key, member.params, batch, grads, None, None, None
      )  # fmt: skip
      grads = pushed(GRADIENT, at, levers, member.seed, prepared)
      with jax.named_scope('update'):
        updates, opt_state = transform.update(
          grads, member.opt_state, member.params
        )
        updates = _fence(updates, member.step)
        at = at._replace(grads=grads, updates=updates)
        updates = pushed(UPDATE, at, levers, member.seed, prepared)
        params = optax.apply_updates(member.params, updates)
      return Population(
        member.step + 1, member.seed, params, opt_state
      ), history

    blank = jnp.zeros(MAX_SEGMENT)
    return jax.lax.fori_loop(
      0, num_steps, update, (member, History(blank, blank))
    )

  return segment
