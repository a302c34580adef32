"""Studies that runs are set beside; a configuration names one, or none."""

from emergence_jax.analysis.paper.algorithmic import ALGORITHMIC
from emergence_jax.analysis.paper.pythia import PYTHIA
from emergence_jax.analysis.reference import Claim, Reference

__all__ = ['ALGORITHMIC', 'PYTHIA', 'REFERENCES', 'Claim', 'Reference']

# Name in `config.reference.name` → reference.
REFERENCES = {'algorithmic': ALGORITHMIC, 'pythia': PYTHIA}
