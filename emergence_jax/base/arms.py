"""Arms of an experiment: variations of one configuration, the seeds shared."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

BASELINE = 'baseline'
SHAM, PLACEBO = 'sham', 'placebo'
# An arm that learned a smaller share of what the baseline did has stopped.
LEAST_LEARNED = 0.8
# Coordinate of the members of a timeseries, and attribute of the dataset.
COORDINATE, ATTRIBUTE = 'arm', 'arms'


@dataclasses.dataclass(frozen=True)
class Arm:
  """A variation of a configuration.

  Attributes:
    name: of the arm, unique in its run.
    numbers: key of the configuration → its value in this arm; those that are
      not here are as the configuration says.
    intervention: name of the one that acts in it; none if empty.
    strength: of the intervention.
    control: `baseline` (nothing is changed), `sham` (the intervention is
      computed, and its strength is 0) or `placebo` (a random direction of the
      intervention's size); empty for an arm that is no control.
    placebo: name of the arm that is its placebo; empty if it has none.
  """

  name: str
  numbers: Mapping[str, float] = dataclasses.field(default_factory=dict)
  intervention: str = ''
  strength: float = 0.0
  control: str = ''
  placebo: str = ''


def share_of_fall(start: float, arm: float, baseline: float) -> float:
  """How much of the baseline's fall in loss an arm has made.

  nan where the baseline's has not fallen.

  >>> share_of_fall(3.0, 1.5, 1.0)
  0.75
  """
  fall = start - baseline
  return float((start - arm) / fall) if fall > 0 else float('nan')


def to_text(arms: Sequence[Arm]) -> str:
  """Arms as JSON, for an attribute of the dataset."""
  return json.dumps([dataclasses.asdict(arm) for arm in arms])


def from_attributes(attributes: Mapping[str, Any]) -> list[Arm]:
  """The arms that a dataset says it has; none where it has none."""
  said = json.loads(attributes.get(ATTRIBUTE) or '[]')
  return [Arm(**arm) for arm in said]


def members(arms: Sequence[Arm], seed_S: np.ndarray) -> np.ndarray:
  """Number of the seed of each member [A · S], arm by arm."""
  return np.tile(seed_S, max(1, len(arms)))


def names_of_members(arms: Sequence[Arm], seeds: int) -> list[str]:
  """Name of the arm of each member."""
  return [arm.name for arm in arms for _ in range(seeds)]
