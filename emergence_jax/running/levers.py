"""What differs between the members of a population, as arrays."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from emergence_jax.base.arms import PLACEBO
from emergence_jax.base.types import PyTree
from emergence_jax.config import optimizer as optimizer_lib
from emergence_jax.config import schema
from emergence_jax.interventions import intervention
from emergence_jax.running import train
from emergence_jax.running.train import Levers


def optimizer(config: schema.Config) -> train.Optimizer:
  """The optimiser of a member, of its numbers."""

  def of_numbers(
    numbers: Mapping[str, jax.Array | float],
  ) -> optax.GradientTransformation:
    own = optimizer_lib.with_numbers(config.optimizer, numbers)
    return optimizer_lib.make(own, config.train.steps)

  return of_numbers


def init(config: schema.Config) -> Callable[..., Any]:
  """`train.make_init` of a configuration."""
  values = config.numbers
  return train.make_init(
    config.objective, optimizer(config), values.get(train.INIT_STD, 1.0)
  )


def segment(config: schema.Config, spread=lambda batch: batch):
  """`train.make_segment` of a configuration."""
  return train.make_segment(
    config.objective, optimizer(config), config.interventions,
    config.train.precision, spread,
  )  # fmt: skip


def _traced(config: schema.Config) -> list[str]:
  """Keys whose values enter the program as arguments.

  Of the optimisers of the package all, so that a run without arms is computed
  as one with them; of one's own, which may look at its options, those that
  vary.
  """
  varied = {key for arm in config.arms for key in arm.numbers}
  if config.optimizer.name in optimizer_lib.KINDS:
    of_step = ('rate', 'warmup', 'weight_decay', 'b1', 'b2')
    varied |= {f'optimizer.{name}' for name in of_step}
    if config.optimizer.clip_norm:
      varied.add('optimizer.clip_norm')
  return sorted(varied)


def _mode(arm, label: str) -> int:
  if arm.intervention != label:
    return intervention.OFF
  return intervention.RANDOM if arm.control == PLACEBO else intervention.OWN


def of_members(
  config: schema.Config, references: Mapping[str, PyTree]
) -> Levers:
  """Levers of all members [A · S], on the host.

  Args:
    config: of the run.
    references: label → parameters [S, ...] of the seeds.
  """
  arms, seeds = config.arms, config.seeds.count
  dtype = jnp.result_type(float)
  values = config.numbers

  def spread_over(of_arm: list, kind) -> np.ndarray:
    return np.repeat(np.array(of_arm, kind), seeds)

  numbers = {
    key: spread_over(
      [arm.numbers.get(key, values[key]) for arm in arms] or [values[key]],
      dtype,
    )
    for key in _traced(config)
  }
  pushes = {
    label: intervention.Push(
      spread_over([
        arm.strength if arm.intervention == label else 0.0 for arm in arms
      ], dtype),
      spread_over([_mode(arm, label) for arm in arms], np.int32),
    )
    for label in config.interventions
  }  # fmt: skip
  tiled = jax.tree.map(
    lambda x: np.concatenate([x] * len(arms)), dict(references)
  )
  return Levers(numbers, pushes, tiled)


def shapes(config: schema.Config) -> Levers:
  """Shapes of the levers of one member, nothing being read."""
  params = jax.eval_shape(config.objective.init, jax.random.key(0))
  number = jax.ShapeDtypeStruct((), jnp.result_type(float))
  mode = jax.ShapeDtypeStruct((), np.int32)
  labels = config.interventions
  return Levers(
    {key: number for key in _traced(config)},
    {label: intervention.Push(number, mode) for label in labels},
    {n: params for n, own in labels.items() if getattr(own, 'reference', '')},
  )


def example(config: schema.Config, acting: str = '') -> Levers:
  """Levers of one member, for timing; references are nought.

  Args:
    config: of the run.
    acting: label of the intervention that acts on it; none if empty.
  """
  values = config.numbers
  nought = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes(config))
  numbers = {
    k: jnp.asarray(values[k], x.dtype) for k, x in nought.numbers.items()
  }
  pushes = dict(nought.pushes)
  if acting:
    push = pushes[acting]
    one = jnp.ones((), push.strength.dtype)
    pushes[acting] = push._replace(
      strength=one, mode=jnp.int32(intervention.OWN)
    )
  return nought._replace(numbers=numbers, pushes=pushes)
