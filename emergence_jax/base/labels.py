"""What tells configurations from one another: the keys in which they differ."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

# Groups of keys that change what is looked at, and not what is trained.
_OF_LOOKING = ('measures', 'checkpoints', 'reference', 'release')
_SEEDS = 'seeds'
# What a run with arms has besides, which is no number of the run.
_OF_ARMS = ('arms', 'interventions')
# More keys than this tell no more, and make a label that nobody reads.
_MOST = 3


def flatten(raw: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
  """Nested mapping → {'seeds.count': 8, …}; an empty group is a value too.

  >>> flatten({'measures': {'rank': {}, 'llc': {'every': 2}}})
  {'measures.rank': {}, 'measures.llc.every': 2}
  """
  flat: dict[str, Any] = {}
  for key, value in raw.items():
    if isinstance(value, Mapping) and value:
      flat |= flatten(value, f'{prefix}{key}.')
    else:
      flat[prefix + key] = value
  return flat


def written(value: Any) -> str:
  """A value as a label has it.

  >>> [written(v) for v in (2e-3, 0.5, 64, True, None, (1, 2))]
  ['2e-3', '0.5', '64', 'True', '–', '1, 2']
  """
  if value is None:
    return '–'
  if isinstance(value, (tuple, list)):
    return ', '.join(map(written, value))
  if isinstance(value, float):
    text = f'{value:.4g}'
    if value and (abs(value) < 0.01 or 'e' in text):
      digits, exponent = f'{value:.3e}'.split('e')
      text = f'{float(digits):g}e{int(exponent)}'
    return text
  return str(value)


def differing(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
  """Key → its value in each configuration, of those that are not all alike.

  Keys that change what is trained; where none differs, those that change what
  is looked at. The numbers of the seeds are left out.

  >>> differing([{'optimizer': {'rate': 1e-3}}, {'optimizer': {'rate': 0.02}}])
  {'optimizer.rate': ['1e-3', '0.02']}
  """
  flat = [flatten(config) for config in configs]
  keys = sorted({key for one_flat in flat for key in one_flat})
  rows = {key: [written(f.get(key)) for f in flat] for key in keys}
  rows = {key: row for key, row in rows.items() if len(set(row)) > 1}

  def group(key: str) -> str:
    return key.partition('.')[0]

  trained = {
    key: row
    for key, row in rows.items()
    if group(key) not in (*_OF_LOOKING, _SEEDS)
  }
  looked = {key: row for key, row in rows.items() if group(key) in _OF_LOOKING}
  return trained or looked


def short(keys: Sequence[str]) -> dict[str, str]:
  """Key → its last parts in words, as few as no other key ends with.

  >>> short(['optimizer.weight_decay', 'a.rank.strength', 'a.mean.strength'])
  ... # doctest: +NORMALIZE_WHITESPACE
  {'optimizer.weight_decay': 'weight decay',
   'a.rank.strength': 'rank strength', 'a.mean.strength': 'mean strength'}
  """
  parts = {key: key.split('.') for key in keys}

  def ending(key: str) -> list[str]:
    for count in range(1, len(parts[key]) + 1):
      own = parts[key][-count:]
      if sum(other[-count:] == own for other in parts.values()) == 1:
        return own
    return parts[key]

  return {key: ' '.join(ending(key)).replace('_', ' ') for key in keys}


def label(configs: Sequence[Mapping[str, Any]]) -> list[str]:
  """Of each configuration what tells it from the others; may be empty.

  >>> label([{'optimizer': {'rate': r, 'b1': 0.9}} for r in (1e-3, 2e-3)])
  ['rate 1e-3', 'rate 2e-3']
  """
  flat = [flatten(config) for config in configs]
  # What one does not say is as its version had it, and may be the same.
  rows = {
    key: row
    for key, row in differing(configs).items()
    if all(key in own for own in flat) and key.partition('.')[0] not in _OF_ARMS
  }
  chosen = list(rows)[:_MOST]
  if not chosen:
    return _parts_of_seeds(configs)
  words = short(chosen)
  return [
    ', '.join(f'{words[key]} {rows[key][i]}' for key in chosen)
    for i in range(len(configs))
  ]


def within(
  groups: Sequence[Hashable], configs: Sequence[Mapping[str, Any]]
) -> list[str]:
  """Of each configuration what tells it from the others of its group.

  Empty for one that is alone in it.
  """
  told = [''] * len(groups)
  for group in dict.fromkeys(groups):
    at = [i for i, own in enumerate(groups) if own == group]
    if len(at) > 1:
      for i, words in zip(at, label([configs[i] for i in at])):
        told[i] = words
  return told


def _parts_of_seeds(configs: Sequence[Mapping[str, Any]]) -> list[str]:
  """The seeds of each, where no two have one in common; else empty."""
  every: list[int] = []
  for config in configs:
    seeds = config.get(_SEEDS)
    if not isinstance(seeds, Mapping) or 'count' not in seeds:
      return [''] * len(configs)
    first = seeds.get('first', 0)
    every += range(first, first + seeds['count'])
  if len(set(every)) < len(every):
    return [''] * len(configs)
  return [_seeds(config) for config in configs]


def _seeds(config: Mapping[str, Any]) -> str:
  """The numbers of the seeds in words."""
  seeds = config[_SEEDS]
  first, count = seeds.get('first', 0), seeds['count']
  return (
    f'seed {first}' if count == 1 else f'seeds {first} to {first + count - 1}'
  )
