"""Reads configurations that older versions of this package stored."""

from collections.abc import Mapping
from typing import Any

# What keys were called until 2026-11-26, when 0 stood for what None now does.
_OLD_NAMES = {
  'chunk_examples': 'examples_at_once',
  'chunk_batches': 'batches_at_once',
  'chunk_tasks': 'tasks_at_once',
}
_ZERO_WAS_NONE = ('at_once', 'devices', 'seeds_at_once', 'nbeta')


def modern(raw: Mapping[str, Any]) -> dict[str, Any]:
  """A stored configuration with the current names of its keys.

  >>> modern({'seeds': {'count': 8, 'chunk': 0}})
  {'seeds': {'count': 8, 'at_once': None}}
  """

  def group(given: Any, names_: Mapping[str, str]) -> Any:
    if not isinstance(given, Mapping):
      return given
    renamed = {names_.get(key, key): value for key, value in given.items()}
    for key, value in renamed.items():
      automatic = key in _ZERO_WAS_NONE or key in _OLD_NAMES.values()
      if automatic and value == 0 and not isinstance(value, bool):
        renamed[key] = None
    return renamed

  config = dict(raw)
  if 'seeds' in raw:
    config['seeds'] = group(raw['seeds'], {'chunk': 'at_once'})
  if isinstance(raw.get('measures'), Mapping):
    known = {'chunk': 'seeds_at_once', **_OLD_NAMES}
    config['measures'] = {
      n: group(o, known) for n, o in raw['measures'].items()
    }
  return config
