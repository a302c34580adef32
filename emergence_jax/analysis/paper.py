"""The paper's protocol, and its numbers size by size; one run each.

Source: arXiv:2602.15997v1: floors and step 0 of RankMe, and table 8.
"""

from collections.abc import Mapping

SIZES = ('nano', 'micro', 'small', 'medium', 'large')

# Task → floor of the last layer's RankMe, in dimensions, by size.
FLOORS = {
  'MOD': (2.07, 1.88, 2.26, 2.35, 2.02),
  'ADD': (3.15, 3.01, 4.56, 4.39, 4.54),
  'SORT': (2.18, 2.90, 8.09, 9.54, 8.10),
  'MUL': (3.03, 3.01, 7.67, 7.99, 4.57),
}
# Task → the same before training.
INITIAL = {
  'MOD': (10.0, 11.8, 13.2, 16.0, 19.1),
  'ADD': (14.9, 16.2, 19.4, 22.9, 30.7),
  'SORT': (23.6, 22.8, 31.4, 36.5, 41.3),
  'MUL': (13.8, 15.5, 18.3, 22.0, 28.2),
}
# Task → level → step of emergence by size.
EMERGENCE = {
  'COPY': {
    '1': (200, 200, 200, 200, 100),
    '2': (200, 200, 200, 200, 200),
    '3': (300, 200, 200, 200, 200),
  },
  'REV': {
    '1': (300, 200, 200, 200, 200),
    '2': (400, 300, 300, 200, 200),
    '3': (600, 400, 300, 300, 200),
  },
  'CMP': {
    '1': (300, 200, 200, 200, 200),
    '2': (400, 300, 200, 200, 200),
    '3': (500, 400, 300, 200, 200),
  },
  'PAR': {
    '1': (400, 300, 200, 200, 200),
    '2': (600, 400, 300, 300, 200),
    '3': (19_000, 800, 500, 400, 300),
  },
  'ADD': {
    '1': (4000, 5000, 4500, 3500, 3000),
    '2': (6000, 8500, 7000, 6000, 5500),
    '3': (12_000, 16_000, 13_000, 10_000, 8500),
  },
  'MOD': {
    '1': (200, 200, 200, 200, 200),
    '2': (8000, 6000, 4500, 3000, 2500),
    '3': (16_000, 12_000, 8800, 5300, 4500),
  },
  'SORT': {
    '1': (5000, 4000, 3500, 2800, 2500),
    '2': (9000, 7500, 6500, 5000, 4000),
    '3': (18_000, 15_000, 12_000, 9000, 7500),
  },
  'MUL': {
    '1': (6500, 8000, 7000, 5500, 4500),
    '2': (19_000, 22_000, 18_000, 15_000, 12_000),
    '3': (44_500, 56_000, 47_500, 44_500, 40_000),
  },
}


def spacing(step: float) -> int:
  """Steps between the paper's checkpoints up to `step`."""
  if step <= 10_000:
    return 100
  return 500 if step <= 50_000 else 2000


# Size → training steps and peak learning rate; xlarge is of version 4.
_STEPS_AND_RATE = {
  'nano': (100_000, 3e-4),
  'micro': (100_000, 3e-4),
  'small': (100_000, 3e-4),
  'medium': (200_000, 1e-4),
  'large': (200_000, 1e-4),
  'xlarge': (200_000, 1e-4),
}
_PROTOCOL = {
  'task.name': 'algorithmic',
  'task.batch_size': 64,
  'optimizer.warmup': 1000,
  'optimizer.decay': 'cosine',
  'optimizer.b1': 0.9,
  'optimizer.b2': 0.95,
  'optimizer.weight_decay': 0.1,
  'optimizer.clip_norm': 1.0,
}
# What a configuration means that does not give a key.
_DEFAULTS = {**_PROTOCOL, 'train.steps': 100_000, 'optimizer.rate': 3e-4}


def deviations(config: Mapping) -> list[str]:
  """Where a run's configuration leaves the paper's protocol.

  Args:
    config: as in a run's `config.json`.

  Returns:
    One text for each key, for example `train.steps is 240, not 100,000`.
  """
  size = config.get('model', {}).get('size')
  if size not in _STEPS_AND_RATE:
    return [f'model.size is {size}, none of the paper']
  steps, rate = _STEPS_AND_RATE[size]
  wanted = {'train.steps': steps, 'optimizer.rate': rate, **_PROTOCOL}
  found = []
  for key, value in wanted.items():
    group, name = key.split('.')
    ours = config.get(group, {}).get(name, _DEFAULTS[key])
    if ours != value:
      shown = (
        f'{v:,}' if isinstance(v, int) else f'{v}' for v in (ours, value)
      )
      found.append('{} is {}, not {}'.format(key, *shown))
  return found
