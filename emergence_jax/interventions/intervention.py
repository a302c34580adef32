"""What an intervention is, and how one acts within a step of training.

An intervention adds something to the gradient or to the update of a step:
`adds` is a pure function of the step's state, for one seed. Window, sham and
placebo are the same for all and live here. The placebo of a seed is a random
direction, drawn once, and each of its leaves has at every step the norm of what
the intervention would add there.
"""

import abc
import dataclasses
import re
import zlib
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from emergence_jax.base import checks, names, prng
from emergence_jax.base.types import Batch, PyTree, UserError
from emergence_jax.models.objective import Objective

# What `Push.mode` says.
OFF, OWN, RANDOM = 0, 1, 2
GRADIENT, UPDATE = 'gradient', 'update'


class Push(NamedTuple):
  """How an intervention acts on a member; both may be traced.

  Attributes:
    strength: number.
    mode: `OFF`, `OWN`, or `RANDOM` for the placebo.
  """

  strength: Any
  mode: Any


class State(NamedTuple):
  """A step of training, as an intervention sees it; of one seed.

  Attributes:
    step: updates made before; the same number for all members.
    key: random, of seed and step.
    params: parameters before the update.
    batch: of the step.
    grads: gradient of the loss, other interventions included.
    updates: what is to be added to the parameters; None where an intervention
      acts on the gradient.
    prepared: result of `prepare`.
    random: direction of the placebo; its leaves have norm 1.
  """

  step: jax.Array
  key: jax.Array
  params: PyTree
  batch: Batch
  grads: PyTree
  updates: PyTree
  prepared: PyTree
  random: PyTree


@dataclasses.dataclass(frozen=True)
class Intervention(abc.ABC):
  """A kind of intervention; its fields are the keys of its configuration.

  Attributes:
    strengths: numbers with commas between them, an arm each.
    start: first step at which it acts, counted in updates made before.
    stop: step from which on it does not; 0 for the end of the run.
    STAGE: whether it adds to the gradient or to the update.
  """

  strengths: str = '1'
  start: int = 0
  stop: int = 0

  STAGE: ClassVar[str] = GRADIENT

  def check(self, path: str, objective: Objective, steps: int) -> None:
    """Raises a UserError for what cannot be.

    Args:
      path: of its group in the configuration.
      objective: what is trained.
      steps: of the run.
    """
    del objective
    checks.in_range(f'{path}.start', self.start, 0, steps - 1)
    if self.stop:
      checks.in_range(
        f'{path}.stop', self.stop, self.start + 1, steps,
        remedy='0 is the end of the run.',
      )  # fmt: skip

  def prepare(
    self, objective: Objective, seed: jax.Array, reference: PyTree
  ) -> PyTree:
    """What does not change from step to step.

    Args:
      objective: what is trained.
      seed: number of the seed.
      reference: parameters of the key `reference`, if it has one.
    """
    del objective, seed, reference
    return ()

  @abc.abstractmethod
  def adds(
    self, objective: Objective, at: State, strength: jax.Array
  ) -> PyTree:
    """What it adds to the gradient or update: a tree like the parameters."""

  @property
  def stage(self) -> str:
    """`GRADIENT` or `UPDATE`: what it adds to."""
    return self.STAGE

  def acts(self, step: jax.Array) -> jax.Array:
    """Whether it acts at a step."""
    ended = (step >= self.stop) if self.stop else False
    return (step >= self.start) & ~jnp.asarray(ended)


def windows(
  interventions: Iterable[Intervention], steps: int
) -> list[tuple[int, int]]:
  """Steps at which each begins to act, and those at which it has ceased to.

  >>> from emergence_jax.interventions import INTERVENTIONS
  >>> windows([INTERVENTIONS['rank'](start=2, stop=6)], 10)
  [(2, 6)]
  """
  made: list[tuple[int, int]] = []
  for own in interventions:
    acts = np.asarray(jax.vmap(own.acts)(jnp.arange(steps)), int)
    ends = np.flatnonzero(np.diff(acts, prepend=0, append=0)).tolist()
    made += zip(ends[::2], ends[1::2], strict=True)
  return made


def random_direction(like: PyTree, key: jax.Array) -> PyTree:
  """A random direction whose leaves, those of a tree, have norm 1."""
  leaves, structure = jax.tree.flatten(like)
  ends = np.cumsum([leaf.size for leaf in leaves]).tolist()
  # Drawn at once: a generator for each leaf takes a minute to compile.
  drawn = jax.random.normal(key, (ends[-1],), leaves[0].dtype)
  parts = [
    drawn[end - leaf.size : end].reshape(leaf.shape)
    for leaf, end in zip(leaves, ends, strict=True)
  ]
  return jax.tree.unflatten(structure, [x / _norm(x) for x in parts])


def _norm(leaf: jax.Array) -> jax.Array:
  return jnp.sqrt(jnp.maximum(jnp.sum(leaf * leaf), 1e-30))


def of_size(direction: PyTree, tree: PyTree) -> PyTree:
  """A direction whose leaves have norm 1, with the norms of a tree's."""
  return jax.tree.map(lambda d, x: d * _norm(x), direction, tree)


def key_of(label: str, seed: jax.Array, step: jax.Array | int = 0) -> jax.Array:
  """Random key of an intervention, of seed and step."""
  root = prng.key(prng.Stream.INTERVENTION, seed, step)
  return jax.random.fold_in(root, zlib.crc32(label.encode()))


def _if(wanted: jax.Array, make: Callable[[], PyTree]) -> PyTree:
  """What is made, where it is wanted; else nought."""
  shapes = jax.eval_shape(make)
  return jax.lax.cond(
    wanted,
    make,
    lambda: jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes),
  )


def prepare_push(
  label: str,
  intervention: Intervention,
  objective: Objective,
  by: Push,
  seed: jax.Array,
  params: PyTree,
  reference: PyTree,
) -> tuple[PyTree, PyTree]:
  """What does not change from step to step, made where it is needed.

  Returns:
    `prepared` and `random` of `State`.
  """
  prepared = _if(
    by.mode != OFF, lambda: intervention.prepare(objective, seed, reference)
  )
  random = _if(
    by.mode == RANDOM, lambda: random_direction(params, key_of(label, seed))
  )
  return prepared, random


def _check_like(label: str, added: PyTree, params: PyTree) -> None:
  """Raises a UserError unless a tree has the parameters' structure."""
  shapes = [
    (jax.tree.structure(tree), [x.shape for x in jax.tree.leaves(tree)])
    for tree in (added, params)
  ]
  if shapes[0] != shapes[1]:
    raise UserError(
      f'config.interventions.{label}: `adds` must return a tree like the '
      f'parameters ({shapes[1][0]}), and returns {shapes[0][0]} or leaves of '
      'other shapes.'
    )


def push(
  label: str,
  intervention: Intervention,
  objective: Objective,
  by: Push,
  at: State,
  tree: PyTree,
) -> PyTree:
  """A gradient or update with what an intervention adds to it.

  Where it is off, or outside its window, the tree is as it was, to the bit; so
  it is where the strength is 0, though all is computed.
  Outside the window nothing is computed, nor where members are mapped together:
  the step is that of all of them, while a condition that differs between them
  would compute both of its sides.
  """

  def acting(tree):
    added = intervention.adds(objective, at, by.strength)
    _check_like(label, added, at.params)
    added = jax.lax.cond(
      by.mode == RANDOM,
      lambda own: of_size(at.random, own),
      lambda own: own,
      added,
    )
    return jax.tree.map(
      lambda x, a: jnp.where(by.strength == 0, x, x + a.astype(x.dtype)),
      tree,
      added,
    )

  def in_window(tree):
    return jax.lax.cond(by.mode != OFF, acting, lambda tree: tree, tree)

  return jax.lax.cond(
    intervention.acts(at.step), in_window, lambda tree: tree, tree
  )


def paths(params: PyTree) -> list[str]:
  """Paths of the parameters' leaves: `block_0/query/kernel`."""
  return [
    jax.tree_util.keystr(path, simple=True, separator='/')
    for path, _ in jax.tree_util.tree_leaves_with_path(params)
  ]


def check_part(path: str, part: str, objective: Objective) -> None:
  """Raises a UserError if no parameter's path matches."""
  pattern = names.pattern(f'{path}.part', part)
  known = paths(jax.eval_shape(objective.init, jax.random.key(0)))
  if not any(pattern.search(name) for name in known):
    raise UserError(
      f'{path}.part={part!r} matches no parameter; known: {", ".join(known)}.'
    )


def in_part(part: str, change: Callable[..., Any], *trees: PyTree) -> PyTree:
  """A change of the leaves whose path matches; nought for the others."""
  pattern = re.compile(part)

  def one_leaf(path, *leaves):
    name = jax.tree_util.keystr(path, simple=True, separator='/')
    if pattern.search(name):
      return change(*leaves)
    return jnp.zeros_like(leaves[0])

  return jax.tree_util.tree_map_with_path(one_leaf, *trees)


@dataclasses.dataclass(frozen=True)
class OfPart(Intervention):
  """Acts on a part of the weights.

  Attributes:
    part: regular expression on the paths of the parameters; all if empty.
  """

  part: str = ''

  def check(self, path, objective, steps):
    """Raises a UserError for what cannot be."""
    super().check(path, objective, steps)
    check_part(path, self.part, objective)


@dataclasses.dataclass(frozen=True)
class Towards(OfPart):
  """Moves a part by strength × the way to `prepared`, at the step `start`.

  What the optimiser remembers is kept.
  """

  STAGE = UPDATE

  def check(self, path, objective, steps):
    """Raises a UserError for what cannot be."""
    super().check(path, objective, steps)
    if self.stop:
      raise UserError(
        f'{path}.stop={self.stop} has no effect, since it acts at the step '
        '`start` alone; leave it out.'
      )

  def acts(self, step):
    """At one step."""
    return step == self.start

  def adds(self, objective, at, strength):
    """The way from the updated weights."""
    del objective
    return in_part(
      self.part, lambda p, u, target: strength * (target - (p + u)),
      at.params, at.updates, at.prepared,
    )  # fmt: skip


def of_edit(
  objective: Objective,
  at: State,
  layer: int,
  change: Callable[[jax.Array], jax.Array],
) -> PyTree:
  """What a change of a layer's states adds to the gradient of the loss."""
  edit = objective.edit_of_layer(layer, change)
  changed = jax.grad(objective.loss)(at.params, at.batch, edit)
  # As it is computed here, so that a difference is none of rounding.
  plain = jax.grad(objective.loss)(at.params, at.batch)
  return jax.tree.map(jnp.subtract, changed, plain)


def check_layer(path: str, layer: int, objective: Objective) -> None:
  """Raises a UserError for a layer that the model does not have."""
  checks.in_range(f'{path}.layer', layer, 0, objective.model.num_layers)


def check_task(path: str, task: str, objective: Objective) -> None:
  """Raises a UserError for a task that is not there."""
  known = objective.exams.task_names
  if task and task not in known:
    raise UserError(
      f'{path}.task={task!r} is none of the tasks {", ".join(known)}; leave it '
      'out for all.'
    )


def weights_of(task: str, batch: Batch, objective: Objective) -> jax.Array:
  """Float [B]: 1 for the examples of a task; of all, if it is empty."""
  if not task:
    return jnp.ones(batch.task.shape)
  place = list(objective.exams.task_names).index(task)
  return (batch.task == place).astype(jnp.float32)
