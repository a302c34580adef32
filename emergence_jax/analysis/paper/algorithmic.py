"""The eight algorithmic tasks: the paper's protocol, numbers and claims.

Source: arXiv:2602.15997v1 (floors and step 0 of RankMe, table 8; one run a
size), and the abstracts of v3 and v4.
"""

from collections.abc import Mapping

from emergence_jax.analysis.reference import (
  EMERGENCE,
  FLOOR,
  INITIAL_RANK,
  Claim,
  Number,
  Reference,
)

EASY = ('COPY', 'REV', 'CMP', 'PAR')
HARD = ('ADD', 'MOD', 'SORT', 'MUL')

SIZES = ('nano', 'micro', 'small', 'medium', 'large')

# Task → floor of the last layer's RankMe, in dimensions, by size.
FLOORS = {
  'MOD': (2.07, 1.88, 2.26, 2.35, 2.02),
  'ADD': (3.15, 3.01, 4.56, 4.39, 4.54),
  'SORT': (2.18, 2.90, 8.09, 9.54, 8.10),
  'MUL': (3.03, 3.01, 7.67, 7.99, 4.57),
}
# Task → the same before training.
INITIAL_RANKS = {
  'MOD': (10.0, 11.8, 13.2, 16.0, 19.1),
  'ADD': (14.9, 16.2, 19.4, 22.9, 30.7),
  'SORT': (23.6, 22.8, 31.4, 36.5, 41.3),
  'MUL': (13.8, 15.5, 18.3, 22.0, 28.2),
}
# Task → level → step of emergence by size.
EMERGENCE_STEPS = {
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


def numbers(config: Mapping) -> list[Number]:
  """What the paper publishes for the size of a run; nothing for others."""
  size = config.get('model', {}).get('size')
  if size not in SIZES:
    return []
  place = SIZES.index(size)
  ranks = [
    Number(quantity, task, '', values[task][place], half, half)
    for quantity, values, half in (
      (INITIAL_RANK, INITIAL_RANKS, 0.05), (FLOOR, FLOORS, 0.005),
    )
    for task in HARD
  ]  # fmt: skip
  # A step is as fine as the checkpoints before it.
  steps = [
    Number(EMERGENCE, task, level, of[place], spacing(of[place]), 0)
    for task, levels in EMERGENCE_STEPS.items()
    for level, of in levels.items()
  ]
  return ranks + steps


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
  'model.name': 'gpt',
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
  texts = []
  for key, value in wanted.items():
    group, name = key.split('.')
    ours = config.get(group, {}).get(name, _DEFAULTS[key])
    if ours != value:
      shown = (
        f'{v:,}' if isinstance(v, int) else f'{v}' for v in (ours, value)
      )
      texts.append('{} is {}, not {}'.format(key, *shown))
  return texts


def _floor(task: str, mean: float, std: float) -> Claim:
  return Claim(
    f'floor {task}', f'RankMe of {task} falls to a floor', f'{mean} ± {std}',
    '', mean - 2 * std, mean + 2 * std,
    'mean over sizes of the minimum of the last layer, pooled levels; the '
    'range is two of the standard deviations given',
  )  # fmt: skip


def _variation(task: str, text: str, v1: str, low: float, high: float) -> Claim:
  return Claim(
    f'variation {task}', text, v1, '', low, high,
    'coefficient of variation of the floors over sizes, at the checkpoints '
    'that all sizes have',
  )  # fmt: skip


def _precursor(key, text, v1, later, low, high, needs_test=True) -> Claim:
  return Claim(
    f'precursor {key}', text, v1, later, low, high,
    'share of events that emerge (halfway from chance to 1) whose largest '
    'cross-correlation of changes exceeds 0.3 at a positive lag in '
    'checkpoints', needs_test,
  )  # fmt: skip


def _concordance(group: str, text: str, v1: str, later: str, low, high):
  return Claim(
    f'concordance {group}', text, v1, later, low, high,
    'share of the pairs of events that are not tied in which the lower floor '
    "emerges first (the paper's rule)",
  )  # fmt: skip


CLAIMS = (
  Claim(
    'emerged', 'all events emerge', '120/120', '119/120', 0.95, 1.0,
    "share of task × level × size × seed by the paper's rule",
  ),
  Claim(
    'emerged beyond chance', 'all events emerge that a constant answer does '
    'not pass', '–', '–', 0.95, 1.0,
    "the same without the tasks and levels whose best constant answer is above "
    '0.1',
  ),
  _floor('MOD', 2.12, 0.17),
  _floor('ADD', 3.93, 0.70),
  _floor('SORT', 6.16, 3.01),
  _floor('MUL', 5.25, 2.18),
  _variation('MOD', 'the floor of MOD does not depend on size', '8%', 0, 0.15),
  _variation('ADD', 'the floor of ADD hardly depends on size', '18%', 0, 0.3),
  _variation('SORT', 'the floor of SORT depends on size', '49%', 0.3, 0.7),
  _variation('MUL', 'the floor of MUL depends on size', '42%', 0.25, 0.6),
  Claim(
    'depth gradient', 'at the collapse the last layer has less rank than the '
    'first', '32/32', '28/32', 0.8, 1.0,
    'share of task × size × seed, at least four layers, at the floor of the '
    'last',
  ),
  Claim(
    'time order', 'the collapse goes from the top down', 'from the gradient',
    '', 0.8, 1.0,
    'share of task × size × seed, at least four layers, whose last layer '
    'halves its rank before the first does',
  ),
  _precursor(
    'RankMe hard', 'RankMe precedes behaviour in hard tasks', '75–100%',
    '100%', 0.75, 1.0,
  ),
  _precursor(
    'RankMe nano', 'RankMe precedes, all tasks, at nano', '86%', '', 0.7, 1.0
  ),
  _precursor(
    'RankMe micro', 'RankMe precedes, all tasks, at micro', '87.5%', '', 0.7,
    1.0,
  ),
  _precursor(
    'RankMe small', 'RankMe precedes more rarely at small', '37.5%', '', 0.2,
    0.55, False,
  ),
  _precursor(
    'RankMe medium', 'RankMe precedes rarely at medium', '25%', '', 0.1, 0.4,
    False,
  ),
  Claim(
    'phases', 'representations collapse, then recover, and only then does '
    'behaviour improve', '–', 'this order', 0.8, 1.0,
    'share of events that emerge with floor step < half-recovery step < '
    'emergence step', True,
  ),
  Claim(
    'probes first', 'linear probes find the answer before behaviour has it',
    '–', 'yes', 0.5, 1.0,
    'share of events that emerge whose probe of the answer (last layer) is '
    'halfway from its chance to 1 at an earlier checkpoint', True,
  ),
  _precursor('Fisher rank', 'the Fisher rank precedes', '62%', '', 0.5, 0.75),
  # What the paper calls LLC is the mean rise of the loss.
  _precursor(
    'loss elevation', 'the LLC, as loss elevation, does not precede', '0/24',
    '', 0.0, 0.1, False,
  ),
  Claim(
    'synchronous loss elevation', 'the LLC, as loss elevation, moves with '
    'behaviour', '23/24', '', 0.85, 1.0,
    'share of events that emerge with their largest correlation at lag 0',
  ),
  _precursor(
    'largest Hessian eigenvalue', 'the Hessian rarely precedes (the paper: '
    'Pythia)', '17%', '', 0.0, 0.3, False,
  ),
  _precursor(
    'gradient covariance rank', 'gradient covariance precedes half of the '
    'time (the paper: Pythia)', '50%', '', 0.35, 0.65,
  ),
  Claim(
    'only RankMe', 'only RankMe precedes reliably', '–', 'yes', 0.1, 1.0,
    'precursor rate of RankMe minus the largest of the other measures',
  ),
  Claim(
    'spearman', 'lower floors emerge first', '0.57–0.90', '', 0.5, 1.0,
    'rank correlation of floor and emergence over task × level, by seed',
  ),
  _concordance(
    'easy', 'within easy tasks the floor does not tell the order', '27%',
    '52%', 0.15, 0.6,
  ),
  _concordance(
    'hard', 'within hard tasks it tells it', '78%', '69%', 0.65, 0.9
  ),
  _concordance(
    'across', 'between easy and hard it tells it', '88%', '', 0.8, 1.0
  ),
  Claim(
    'swap', 'reversals between sizes are not predicted', '26%', '26%', 0.1,
    0.4, 'share of reversed pairs whose floors reverse too',
  ),
  Claim(
    'llc over fisher', 'at the end the LLC is half of the Fisher rank',
    'ratio ≈ 1', '', 0.8, 1.25,
    '2 · LLC / Fisher rank in the last row of both, median over tasks',
  ),
  Claim(
    'llc with fisher', 'over training the LLC hardly goes with the Fisher '
    'rank', 'rho 0.32', '', 0.1, 0.55,
    'rank correlation of both over checkpoints, mean over tasks',
  ),
)  # fmt: skip

ALGORITHMIC = Reference(
  title='arXiv:2602.15997, the eight algorithmic tasks',
  claims=CLAIMS,
  findings='emergence_jax.analysis.paper.findings:algorithmic',
  groups={'easy': EASY, 'hard': HARD},
  measures=(
    'RankMe', 'Fisher rank', 'gradient covariance rank',
    'largest Hessian eigenvalue', 'LLC', 'loss elevation',
    'probe of the answer',
  ),
  deviations=deviations,
  numbers=numbers,
)  # fmt: skip
