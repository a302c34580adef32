"""The optimiser: clipping, its kind and its rate over time, from options."""

import copy
import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax
from optax import contrib

from emergence_jax.base import checks
from emergence_jax.base import names as names_lib
from emergence_jax.base.types import UserError

_DECAYS = ('constant', 'cosine')


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
  """An optimiser with warm-up; all parameters decay.

  Attributes:
    name: `adamw`, `adam`, `sgd`, `lion`, `muon`, or `module.path:Name` of one's
      own: (these options, schedule of the rate) → an optax transformation.
    rate: peak learning rate.
    warmup: steps of linear warm-up from 0.
    decay: `cosine` to 0 at the last step, or `constant`.
    b1: decay of the first moment; of `sgd` and `muon`, its momentum.
    b2: decay of the second moment; none in `sgd`.
    weight_decay: decoupled, multiplied by the rate; of `adam` and `sgd` added
      to the gradient.
    clip_norm: largest global norm of the gradient; 0 for no clipping.
  """

  name: str = 'adamw'
  rate: float = 3e-4
  warmup: int = 1000
  decay: str = 'cosine'
  b1: float = 0.9
  b2: float = 0.95
  weight_decay: float = 0.1
  clip_norm: float = 1.0

  def __post_init__(self):
    if self.decay not in _DECAYS:
      raise UserError(
        f'config.optimizer.decay={self.decay!r} is unknown; choose from '
        f'{_DECAYS}.'
      )
    for name in ('rate', 'warmup', 'weight_decay', 'clip_norm'):
      checks.in_range(f'config.optimizer.{name}', getattr(self, name), 0)
    for name in ('b1', 'b2'):
      key = f'config.optimizer.{name}'
      checks.in_range(key, getattr(self, name), 0, 1, below=True)


def check(config: OptimizerConfig, steps: int) -> None:
  """Raises a UserError if a cosine would have no step after the warm-up."""
  if config.decay == 'cosine' and steps <= config.warmup:
    raise UserError(
      f'config.optimizer.warmup={config.warmup} leaves no step of '
      f'config.train.steps={steps} for the cosine; make it less than {steps}.'
    )


def with_numbers(
  config: OptimizerConfig, numbers: Mapping[str, jax.Array | float]
) -> OptimizerConfig:
  """The same options, some of them others, which may be traced.

  Args:
    config: options, checked.
    numbers: `optimizer.KEY` → its value; other keys are left out.
  """
  own = copy.copy(config)
  for key, value in numbers.items():
    group, _, name = key.partition('.')
    if group == 'optimizer':
      object.__setattr__(own, name, value)  # frozen, and checked before
  return own


def schedule(config: OptimizerConfig, steps: int) -> optax.Schedule:
  """Learning rate at each of `steps` updates, counted from 0.

  Linear from 0 to the peak over the warm-up, and from there constant, or half
  a cosine to 0 at the last step. Rate and warm-up may be traced.

  Raises:
    UserError: if a cosine would have no step left after the warm-up.
  """
  warmup = config.warmup
  if isinstance(warmup, int):
    check(config, steps)

  def rate(count):
    risen = jnp.minimum(count / jnp.maximum(warmup, 1), 1.0)
    level = jnp.where(warmup > 0, risen, 1.0)
    if config.decay == 'cosine':
      done = jnp.clip((count - warmup) / (steps - warmup), 0.0, 1.0)
      level *= 0.5 * (1 + jnp.cos(jnp.pi * done))
    return config.rate * level

  return rate


def _adamw(config: OptimizerConfig, rate: optax.Schedule):
  return optax.adamw(
    rate, b1=config.b1, b2=config.b2, weight_decay=config.weight_decay,
    mu_dtype=jnp.float32,
  )  # fmt: skip


def _adam(config: OptimizerConfig, rate: optax.Schedule):
  return optax.chain(
    optax.add_decayed_weights(config.weight_decay),
    optax.adam(rate, b1=config.b1, b2=config.b2, mu_dtype=jnp.float32),
  )


def _sgd(config: OptimizerConfig, rate: optax.Schedule):
  return optax.chain(
    optax.add_decayed_weights(config.weight_decay),
    optax.sgd(rate, momentum=config.b1, accumulator_dtype=jnp.float32),
  )


def _lion(config: OptimizerConfig, rate: optax.Schedule):
  return optax.lion(
    rate, b1=config.b1, b2=config.b2, weight_decay=config.weight_decay,
    mu_dtype=jnp.float32,
  )  # fmt: skip


def _muon(config: OptimizerConfig, rate: optax.Schedule):
  """Muon for matrices; AdamW for all else."""
  return contrib.muon(
    rate, beta=config.b1, adam_b1=config.b1, adam_b2=config.b2,
    weight_decay=config.weight_decay, adam_weight_decay=config.weight_decay,
    mu_dtype=jnp.float32,
  )  # fmt: skip


Kind = Callable[[OptimizerConfig, optax.Schedule], optax.GradientTransformation]
KINDS: dict[str, Kind] = {
  'adamw': _adamw, 'adam': _adam, 'sgd': _sgd, 'lion': _lion, 'muon': _muon,
}  # fmt: skip


def make(config: OptimizerConfig, steps: int) -> optax.GradientTransformation:
  """The optax chain for a run of `steps` updates.

  Raises:
    UserError: for a name that is not known, or what is no transformation.
  """
  kind = names_lib.find('config.optimizer.name', config.name, KINDS)
  rate = schedule(config, steps)
  try:
    made = kind(config, rate)
  except Exception as error:  # whatever a user's function raises
    raise UserError(
      f'config.optimizer.name={config.name!r} could not be made '
      f'({type(error).__name__}: {error}).'
    ) from error
  if not isinstance(made, optax.GradientTransformation):
    raise UserError(
      f'config.optimizer.name={config.name!r} gives {type(made).__name__}, '
      'and must give an optax.GradientTransformation.'
    )
  clip = config.clip_norm
  if isinstance(clip, float | int):
    return optax.chain(optax.clip_by_global_norm(clip), made) if clip else made
  # One that an arm may set: 0 clips nothing there, either.
  return optax.chain(
    optax.clip_by_global_norm(jnp.where(clip > 0, clip, jnp.inf)), made
  )
