"""Studies that runs are set beside; a configuration names one, or none."""

from emergence_jax.reference.algorithmic import ALGORITHMIC
from emergence_jax.reference.base import Claim, Reference
from emergence_jax.reference.pythia import PYTHIA

__all__ = ['ALGORITHMIC', 'PYTHIA', 'REFERENCES', 'Claim', 'Reference']

# Name in `config.reference.name` → reference.
REFERENCES = {'algorithmic': ALGORITHMIC, 'pythia': PYTHIA}
