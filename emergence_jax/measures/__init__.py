"""Measures of one seed's model, each a pure function with declared fields."""

import dataclasses
import sys

from emergence_jax.base.types import Field
from emergence_jax.measures import (
  alignment,
  barrier,
  behaviour,
  choice,
  fisher,
  gradcov,
  hessian,
  llc,
  norms,
  probes,
  rank,
)

# Name in `config.measures` → make(objective, **options) -> Measure.
MEASURES = {
  'behaviour': behaviour.make,
  'rank': rank.make,
  'fisher': fisher.make,
  'gradcov': gradcov.make,
  'hessian': hessian.make,
  'llc': llc.make,
  'barrier': barrier.make,
  'probes': probes.make,
  'alignment': alignment.make,
  'norms': norms.make,
  'choice': choice.make,
}


def fields() -> dict[str, Field]:
  """Variable → field of all of these, with their places.

  Where two measures declare one variable, the first counts.
  """
  by_name: dict[str, Field] = {}
  for i, make in enumerate(MEASURES.values()):
    declared = sys.modules[make.__module__].FIELDS
    for j, (name, field) in enumerate(declared.items()):
      field = dataclasses.replace(field, place=100 * i + j)
      by_name.setdefault(name, field)
  return by_name
