"""Published studies that a run can be set beside, by name."""

from collections.abc import Mapping
from typing import Any

from emergence_jax.analysis.paper.algorithmic import ALGORITHMIC
from emergence_jax.analysis.paper.pythia import PYTHIA
from emergence_jax.analysis.reference import Reference
from emergence_jax.base import names

# Name in `config.reference.name` → reference.
REFERENCES = {'algorithmic': ALGORITHMIC, 'pythia': PYTHIA}
# Name of the task → reference, for configurations that are older than the key.
_OF_TASK = {'algorithmic': 'algorithmic', 'probe_sets': 'pythia'}


def reference_of(config: Mapping[str, Any]) -> Reference | None:
  """The study that a run's configuration names, or its task stands for.

  Raises:
    UserError: for an unknown name.
  """
  named = config.get('reference')
  if isinstance(named, Mapping):
    name = named.get('name', '')
  else:
    task = config.get('task')
    name = task.get('name') if isinstance(task, Mapping) else None
    name = _OF_TASK.get(name, '') if isinstance(name, str) else ''
  if not name:
    return None
  return names.find('config.reference.name', name, REFERENCES)
