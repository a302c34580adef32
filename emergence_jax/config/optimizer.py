"""The optimiser: clipping, AdamW and its rate over time, from options."""

import dataclasses

import jax.numpy as jnp
import optax

from emergence_jax.base import checks
from emergence_jax.base.types import UserError

_DECAYS = ('constant', 'cosine')


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
  """AdamW with warm-up; all parameters decay.

  Attributes:
    rate: peak learning rate.
    warmup: steps of linear warm-up from 0.
    decay: `cosine` to 0 at the last step, or `constant`.
    b1: decay of the first moment.
    b2: decay of the second moment.
    weight_decay: decoupled, multiplied by the rate.
    clip_norm: largest global norm of the gradient; 0 for no clipping.
  """

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


def schedule(config: OptimizerConfig, steps: int) -> optax.Schedule:
  """Learning rate at each of `steps` updates, counted from 0.

  Raises:
    UserError: if a cosine would have no step left after the warm-up.
  """
  if config.decay == 'constant':
    if not config.warmup:
      return optax.constant_schedule(config.rate)
    return optax.linear_schedule(0.0, config.rate, config.warmup)
  if steps <= config.warmup:
    raise UserError(
      f'config.optimizer.warmup={config.warmup} leaves no step of '
      f'config.train.steps={steps} for the cosine; make it less than {steps}.'
    )
  return optax.warmup_cosine_decay_schedule(
    0.0, config.rate, config.warmup, steps, end_value=0.0
  )


def make(config: OptimizerConfig, steps: int) -> optax.GradientTransformation:
  """The optax chain for a run of `steps` updates."""
  adamw = optax.adamw(
    schedule(config, steps),
    b1=config.b1,
    b2=config.b2,
    weight_decay=config.weight_decay,
    mu_dtype=jnp.float32,
  )
  if not config.clip_norm:
    return adamw
  return optax.chain(optax.clip_by_global_norm(config.clip_norm), adamw)
