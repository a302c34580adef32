"""Made-up studies whose truth is known, for calibrating the tests.

Eight seeds, eight tasks and three levels on the paper's schedule, unless a
study says otherwise. Measure and behaviour are independent in all but those
of `planted`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from emergence_jax.config import schedule

EARLIEST, LATEST = 200, 4000
_NOISE = 0.02


class Sizes(NamedTuple):
  """How large a study is: seeds, tasks, levels, and its last step."""

  seeds: int = 8
  tasks: int = 8
  levels: int = 3
  end: int = 10_000

  @property
  def step_C(self) -> np.ndarray:
    """The paper's schedule up to the end."""
    whole = schedule.checkpoint_steps(
      '20:1000,100:10000,500:50000,2000', 100_000
    )
    return np.array([step for step in whole if step <= self.end])


FULL = Sizes()


class Made(NamedTuple):
  """One study: what `precedence.tests` takes, and whether order has a null.

  Attributes:
    measure_SKC: the measure.
    behaviour_SKLC: accuracies.
    step_C: steps of the checkpoints.
    emerged_SKL: bool, capabilities that emerge.
  """

  measure_SKC: np.ndarray
  behaviour_SKLC: np.ndarray
  step_C: np.ndarray
  emerged_SKL: np.ndarray


def _sigmoid(z, width):
  return 1 / (1 + np.exp(-np.clip(z / width, -40, 40)))


def _rise(step_C, onset):
  """A smooth step from 0 to 1 at `onset` [...], a tenth of it wide."""
  return _sigmoid(step_C - onset[..., None], 0.1 * onset[..., None])


def _study(rng, step_C, onset_SK, onset_SKL) -> Made:
  """A rank that falls and accuracies that rise at these steps, with noise."""
  measure = 10 - 7 * _rise(step_C, onset_SK)
  measure = measure * (1 + _NOISE * rng.normal(size=measure.shape))
  behaviour = 0.01 + 0.97 * _rise(step_C, onset_SKL)
  behaviour = behaviour + _NOISE * rng.normal(size=behaviour.shape)
  return Made(measure, behaviour, step_C, onset_SKL < 0.9 * step_C[-1])


def _log_uniform(rng, *shape):
  return np.exp(rng.uniform(np.log(EARLIEST), np.log(LATEST), shape))


def _walks(rng, *shape):
  return rng.normal(size=shape).cumsum(-1)


def onsets_log_uniform(rng, sizes=FULL) -> Made:
  """Onsets of both log-uniform in steps 200–4,000."""
  shape = sizes[:3]
  return _study(
    rng, sizes.step_C, _log_uniform(rng, *shape[:2]), _log_uniform(rng, *shape)
  )


def onset_of_the_task(rng, sizes=FULL) -> Made:
  """Onsets a property of the task; seeds differ by 10%."""
  shape = sizes[:3]
  width = _log_uniform(rng, 1, shape[1]) * np.exp(
    0.1 * rng.normal(size=shape[:2])
  )
  other = _log_uniform(rng, 1, *shape[1:]) * np.exp(
    0.1 * rng.normal(size=shape)
  )
  return _study(rng, sizes.step_C, width, other)


def onset_of_the_seed(rng, sizes=FULL) -> Made:
  """Onsets a property of the seed, shared by its tasks, which differ by 10%."""
  shape = sizes[:3]
  width = _log_uniform(rng, shape[0], 1) * np.exp(
    0.1 * rng.normal(size=shape[:2])
  )
  other = _log_uniform(rng, shape[0], 1, 1) * np.exp(
    0.1 * rng.normal(size=shape)
  )
  return _study(rng, sizes.step_C, width, other)


def onsets_uniform_over_checkpoints(rng, sizes=FULL) -> Made:
  """Onsets of both uniform over checkpoints."""
  shape = sizes[:3]
  step_C = sizes.step_C
  inner = step_C[2:-12]
  return _study(rng, step_C, rng.choice(inner, shape[:2]), rng.choice(
    inner, shape))  # fmt: skip


def random_walks(rng, sizes=FULL) -> Made:
  """Both are random walks."""
  shape = sizes[:3]
  c = sizes.step_C.size
  return Made(
    _walks(rng, *shape[:2], c), _walks(rng, *shape, c), sizes.step_C,
    np.ones(shape, bool),
  )  # fmt: skip


def measure_later(rng, sizes=FULL) -> Made:
  """The measure is later by its distribution, by 900 steps in the mean."""
  shape = sizes[:3]
  late = _log_uniform(rng, *shape[:2]) + 900
  return _study(rng, sizes.step_C, late, _log_uniform(rng, *shape))


def measure_earlier(rng, sizes=FULL) -> Made:
  """The measure is earlier by its distribution, and not tied to behaviour."""
  shape = sizes[:3]
  late = _log_uniform(rng, *shape) + 900
  return _study(rng, sizes.step_C, _log_uniform(rng, *shape[:2]), late)


def smooth_drift(rng, sizes=FULL) -> Made:
  """A smooth drift of the measure, without an event."""
  made = onsets_log_uniform(rng, sizes)
  shape = made.measure_SKC.shape
  scale = np.exp(rng.normal(np.log(3000), 0.3, (*shape[:2], 1)))
  drift = 5 + 5 * np.exp(-made.step_C / scale)
  return made._replace(
    measure_SKC=drift * (1 + 0.005 * rng.normal(size=drift.shape))
  )


def warm_up_jump(rng, sizes=FULL) -> Made:
  """All series jump at the end of the warm-up, and once more on their own."""
  made = onsets_log_uniform(rng, sizes)
  jump = made.step_C >= 1000
  return made._replace(
    measure_SKC=made.measure_SKC - 3 * jump,
    behaviour_SKLC=made.behaviour_SKLC + 0.4 * jump,
  )


def autocorrelated_noise(rng, sizes=FULL) -> Made:
  """Noise of a memory of ten checkpoints, as large as the change."""
  made = onsets_log_uniform(rng, sizes)

  def noise(shape):
    white, walk = rng.normal(size=shape), np.zeros(shape)
    for c in range(1, shape[-1]):
      walk[..., c] = 0.9 * walk[..., c - 1] + 0.44 * white[..., c]
    return walk

  return made._replace(
    measure_SKC=made.measure_SKC + 3 * noise(made.measure_SKC.shape),
    behaviour_SKLC=made.behaviour_SKLC + 0.3 * noise(made.behaviour_SKLC.shape),
  )


def few_events(rng, sizes=FULL) -> Made:
  """One event in ten emerges."""
  made = onsets_log_uniform(rng, sizes)
  return made._replace(emerged_SKL=rng.random(made.emerged_SKL.shape) < 0.1)


def one_task(rng, sizes=FULL) -> Made:
  """One task of one level."""
  return onsets_log_uniform(rng, sizes._replace(tasks=1, levels=1))


def three_seeds(rng, sizes=FULL) -> Made:
  """Three seeds."""
  return onset_of_the_task(rng, sizes._replace(seeds=3))


def ties(rng, sizes=FULL) -> Made:
  """Onsets at one of four checkpoints."""
  shape = sizes[:3]
  at = np.array([300.0, 600, 1200, 2400])
  return _study(
    rng, sizes.step_C, rng.choice(at, shape[:2]), rng.choice(at, shape)
  )


def censored(rng, sizes=FULL) -> Made:
  """The run ends where half of the events have emerged."""
  return onsets_log_uniform(rng, sizes._replace(end=1200))


class Scenario(NamedTuple):
  """A kind of independent study.

  Attributes:
    make: (rng, sizes) → one study.
    neither_first: by construction, so that `p_order` has to hold.
  """

  make: Callable[..., Made]
  neither_first: bool = True


INDEPENDENT = {
  make.__name__.replace('_', ' '): Scenario(make, neither_first)
  for make, neither_first in (
    (onsets_log_uniform, True),
    (onset_of_the_task, True),
    (onset_of_the_seed, True),
    (onsets_uniform_over_checkpoints, True),
    (random_walks, True),
    (measure_later, False),
    (measure_earlier, False),
    (smooth_drift, False),
    (warm_up_jump, True),
    (autocorrelated_noise, True),
    (few_events, True),
    (one_task, True),
    (three_seeds, True),
    (ties, True),
    (censored, True),
  )
}


def in_groups(rng, axis, sizes=FULL) -> Made:
  """Half of the seeds or tasks are late in both; else nothing is tied."""
  shape = sizes[:3]
  size = shape[0] if axis == 'seeds' else shape[1]
  late = np.where(np.arange(size) < size // 2, 1.0, 3.0)
  late = late[:, None] if axis == 'seeds' else late
  width, other = (
    400 * np.exp(0.2 * rng.normal(size=s)) for s in (shape[:2], shape)
  )
  return _study(rng, sizes.step_C, late * width, late[..., None] * other)


def _back(share, z, after=12.0, over=25.0):
  """A part of the way back, from `after` checkpoints behind the midpoint."""
  return share * np.clip((z - after) / over, 0, 1)


# Shapes of a change from 0 to 1 over checkpoints z from its midpoint, all of
# the same midpoint: half of the way to what it first reaches.
SHAPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
  'step': lambda z: (z > 0).astype(float),
  'sharp': lambda z: _sigmoid(z, 0.5),
  'slow': lambda z: _sigmoid(z, 6),
  'ramp of 10': lambda z: np.clip(z / 10 + 0.5, 0, 1),
  'ramp of 40': lambda z: np.clip(z / 40 + 0.5, 0, 1),
  'recovers by 30%': lambda z: _sigmoid(z, 2) - _back(0.3, z),
  'recovers by 60%': lambda z: _sigmoid(z, 2) - _back(0.6, z),
  'recovers wholly': lambda z: _sigmoid(z, 2) - _back(1, z),
  'bump': lambda z: _sigmoid(z, 1) - _sigmoid(z - 15, 3),
  'overshoot': lambda z: _sigmoid(z, 2) * (1 + 0.5 * np.exp(
    -np.maximum(z, 0) / 10)),
  'plateau': lambda z: (_sigmoid(z - 6, 1) + _sigmoid(z + 6, 1)) / 2,
}  # fmt: skip
# What accuracy does: it does not fall again.
RISES = ('step', 'sharp', 'slow', 'ramp of 10', 'ramp of 40', 'plateau')
_CHECKPOINTS = 100


def of_shapes(
  rng, measure: str, behaviour: str, *, lead=0.0, noise=0.03, sizes=FULL
) -> Made:
  """Midpoints that are the same, or a lead apart, of two shapes.

  Seeds and tasks differ in their midpoints, and measure and behaviour are tied
  to the checkpoint, so that order alone decides.

  Args:
    rng: of midpoints and noise.
    measure: one of `SHAPES`.
    behaviour: likewise.
    lead: checkpoints by which behaviour follows.
    noise: standard deviation, of a change of 1.
    sizes: seeds, tasks and levels.
  """
  shape = sizes[:3]
  at_C = np.arange(_CHECKPOINTS)
  middle = rng.uniform(35, 50, shape[:2])[..., None]
  later = np.repeat(middle[..., None] + lead, shape[2], 2)
  made = SHAPES[measure](at_C - middle), SHAPES[behaviour](at_C - later)
  noisy = [x + noise * rng.normal(size=x.shape) for x in made]
  return Made(*noisy, at_C * 20, np.ones(shape, bool))


def planted(rng, sizes=FULL, *, lead=200, spread=0.2) -> Made:
  """The measure moves `lead` steps before behaviour; seeds differ by 20%.

  Onsets belong to the task and level; levels of a task are half as late again.
  """
  shape = sizes[:3]
  of_task = _log_uniform(rng, 1, shape[1], 1) + lead
  of_seed = np.exp(spread * rng.normal(size=(*shape[:2], 1)))
  later = of_task * of_seed * 1.5 ** np.arange(shape[2])
  first = np.maximum(later[..., 0] - lead, 20)
  return _study(rng, sizes.step_C, first, later)
