"""Measures of one seed's model, each a pure function with declared fields."""

from emergence_jax.measures import (
  alignment,
  barrier,
  behaviour,
  choice,
  fisher,
  gradcov,
  hessian,
  llc,
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
  'choice': choice.make,
}

# What a measure needs of the exams, for those that not all exams have.
NEEDS = {'behaviour': 'exam', 'probes': 'targets', 'choice': 'has_wrong'}
