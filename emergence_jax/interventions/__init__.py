"""Interventions: pushes of training, with their controls.

One of one's own derives from `Intervention` and is named `module.path:Name`.
"""

from emergence_jax.interventions import (
  freeze,
  mean,
  noise,
  norm,
  rank,
  reset,
  subspace,
  transplant,
)
from emergence_jax.interventions.intervention import Intervention

# `config.interventions.LABEL.name` → the kind.
INTERVENTIONS: dict[str, type[Intervention]] = {
  'freeze': freeze.Freeze,
  'mean': mean.Mean,
  'noise': noise.Noise,
  'norm': norm.Norm,
  'rank': rank.Rank,
  'reset': reset.Reset,
  'subspace': subspace.Subspace,
  'transplant': transplant.Transplant,
}
