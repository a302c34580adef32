"""Chooses strengths of interventions at which learning goes on.

An intervention that stops the training says nothing of causes. A ladder of
strengths is tried on two seeds of its own, up to the end of the windows, and of
each strength that was asked for the largest of its ladder is kept at which the
training loss has made a share of the baseline's fall.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from emergence_jax.base.arms import LEAST_LEARNED, share_of_fall
from emergence_jax.base.types import UserError
from emergence_jax.config import arms as arm_specs
from emergence_jax.config import schema
from emergence_jax.running.programs import Programs
from emergence_jax.running.train import MAX_SEGMENT

# Of a strength, tried from the largest down.
LADDER = (3.0, 1.0, 0.3, 0.1, 0.03)
_SEEDS = 2
# The number of the first; parts of one run try the same ones.
_FIRST = 100_000
# The loss is a mean over so many updates before the end of a window.
_LAST = 10


def _trial(raw: Mapping[str, Any], config: schema.Config) -> schema.Config:
  """The configuration that is tried: every rung an arm, and no measure."""
  tried = copy.deepcopy(dict(raw))
  first, end = config.seeds.first, config.seeds.first + config.seeds.count
  apart = end <= _FIRST or first >= _FIRST + _SEEDS
  tried['seeds'] = {'count': _SEEDS, 'first': _FIRST if apart else end}
  tried['measures'] = {}
  tried['arms'] = {'controls': False}
  for label, own in config.interventions.items():
    rungs = {
      f'{s * f:g}': None
      for s in arm_specs.strengths(label, own.strengths)
      for f in LADDER
    }
    tried['interventions'][label]['strengths'] = ','.join(rungs)
  return schema.from_mapping(tried)


def _losses(config: schema.Config, steps: int) -> np.ndarray:
  """Training loss [members, steps]."""
  programs = Programs(config)
  programs.compile()
  population, losses, left = programs.init(), [], steps
  while left:
    count = min(left, MAX_SEGMENT)
    population, history = programs.segment(population, count)
    losses.append(np.asarray(history.loss)[:, :count])
    left -= count
  return np.concatenate(losses, 1)


def calibrate(
  raw: Mapping[str, Any], log: Callable[[str], None]
) -> dict[str, str]:
  """Label of each intervention → the strengths that are kept, as text.

  Args:
    raw: a configuration with interventions.
    log: takes a line on each.

  Raises:
    UserError: if no strength of an intervention lets the training go on.
  """
  config = schema.from_mapping(raw)
  if not config.interventions:
    raise UserError(
      'config.arms.calibrate chooses strengths of interventions, and there are '
      'none (config.interventions); leave it out.'
    )
  trial = _trial(raw, config)
  last = config.train.steps
  ends = {n: own.stop or last for n, own in trial.interventions.items()}
  loss = _losses(trial, max(ends.values()))
  loss = loss.reshape(len(trial.arms), _SEEDS, -1).mean(1)
  least = (raw.get('arms') or {}).get('least_learned', LEAST_LEARNED)

  def learned(arm: int, end: int) -> float:
    span = slice(max(end - _LAST, 0), end)
    return share_of_fall(
      loss[0, 0], loss[arm, span].mean(), loss[0, span].mean()
    )

  kept = {}
  for label, own in config.interventions.items():
    share = {
      arm.strength: learned(i, ends[label])
      for i, arm in enumerate(trial.arms)
      if arm.intervention == label
    }
    chosen = {}
    for strength in arm_specs.strengths(label, own.strengths):
      rungs = [float(f'{strength * f:g}') for f in LADDER]
      good = [r for r in rungs if share[r] >= least]
      if good:
        chosen[f'{good[0]:g}'] = share[good[0]]
    if not chosen:
      raise UserError(
        f'config.interventions.{label}.strengths={own.strengths!r}: at none of '
        f'them, down to {LADDER[-1]:g} of each, does the training loss make '
        f"{least:.0%} of the baseline's fall by step {ends[label]:,}; give "
        'smaller ones.'
      )
    said = ', '.join(f'{s} ({x:.0%})' for s, x in chosen.items())
    log(
      f'{label}: strengths at which the loss makes {least:.0%} or more of the '
      f"baseline's fall by step {ends[label]:,}: {said}."
    )
    kept[label] = ','.join(chosen)
  return kept
