"""Pythia at its released checkpoints: the paper's protocol and claims.

Source: arXiv:2602.15997v1, section on Pythia, and the abstract of v4. The
paper's probe sets are not public; ours are of the same kinds and sizes, of our
own text.
"""

import functools
import pathlib
from collections.abc import Mapping
from typing import Any

from emergence_jax.analysis.reference import Claim, Curve, Reference

# Size → layers and width of the models that the paper looked at.
SHAPES = {'160m': (12, 768), '410m': (24, 1024), '2.8b': (32, 2560)}
# Sets by their final RankMe, the largest first; our name of each.
FINAL_ORDER = (
  'text', 'deduction', 'analogies', 'facts', 'agreement', 'patterns',
  'arithmetic',
)  # fmt: skip
# The steps by which RankMe is said to have collapsed.
COLLAPSED = (32, 256)
# The size and the set in which version 4 finds a lead, and the step by which
# the early collapse is over, whose change would be the largest.
LEAD_SIZE, LEAD_SET, LEAD_AFTER = '2.8b', 'logic', 1000
_EMBEDDING = 50_304
_ACCURACIES = pathlib.Path(__file__).with_name('pythia_accuracy.csv')
# Accuracy of the best constant answer; of wsc the share of the commoner label.
CHANCE = {
  'arc_challenge': 0.25, 'arc_easy': 0.25, 'lambada_openai': 0.0,
  'logiqa': 0.25, 'piqa': 0.5, 'sciq': 0.25, 'winogrande': 0.5, 'wsc': 0.635,
}  # fmt: skip


def num_parameters(size: str) -> int:
  """Parameters of a Pythia of a size, from its shape.

  >>> num_parameters('160m')
  162322944
  """
  layers, width = SHAPES[size]
  block = 12 * width**2 + 13 * width
  return 2 * _EMBEDDING * width + layers * block + 2 * width


def size_of(config: Mapping) -> str:
  """`160m`, for example, of a release that is named `pythia-160m…`."""
  name = str(config.get('model', {}).get('size', '')).lower()
  word = name.removeprefix('pythia-').split('-')[0]
  return word if name.startswith('pythia-') and word in SHAPES else ''


def deviations(config: Mapping) -> list[str]:
  """Where measurements of a release leave what the paper did.

  Args:
    config: as in the `config.json` of the measurements.
  """
  size = size_of(config)
  name = config.get('model', {}).get('size')
  if not size:
    return [f'the model is {name}, none of the paper']
  texts = []
  ours = config.get('model', {}).get('parameters')
  if ours != num_parameters(size):
    texts.append(
      f'{name} has {ours} parameters, and Pythia {num_parameters(size)}'
    )
  sets = [s for s in config.get('release', {}).get('sets', '').split(',') if s]
  if missing := set(FINAL_ORDER) - set(sets or FINAL_ORDER):
    texts.append(f'without the sets {", ".join(sorted(missing))}')
  return texts


@functools.cache
def accuracies() -> Any:
  """Published accuracies, a frame: model, step, task, value, stderr."""
  import pandas as pd

  return pd.read_csv(_ACCURACIES, comment='#')


def curves(config: Mapping) -> dict[str, Curve]:
  """Benchmark → published accuracy of a release that is a Pythia."""
  size = size_of(config)
  if not size:
    return {}
  table = accuracies()
  table = table[table.model == f'pythia-{size}'].sort_values('step')
  return {
    str(task): Curve(
      rows.step.values, rows.value.values, rows.stderr.values, CHANCE[str(task)]
    )
    for task, rows in table.groupby('task')
  }


CLAIMS = (
  Claim(
    'pythia collapse', 'RankMe collapses early in training', '−50–75%', '',
    0.5, 0.75,
    'fall of RankMe (last layer, last token) from the first revision to its '
    'floor, as a share of the first; mean over sets',
  ),
  Claim(
    'pythia collapse time', 'it has collapsed by steps 32–256', 'steps 32–256',
    '', 0.8, 1.0,
    'share of set × seed whose floor of RankMe is the lowest by step 256, and '
    'not before step 32',
  ),
  Claim(
    'pythia order', 'final RankMe orders the seven sets: general text, '
    'deduction, analogies, facts, agreement, in-context patterns, arithmetic',
    'this order', '', 0.7, 1.0,
    "rank correlation over the sets of our final RankMe with the paper's "
    'order, mean over seeds',
  ),
  Claim(
    'pythia precursor', 'no measure precedes consistently', 'none', '',
    0.0, 0.5,
    'the largest precursor rate of any measure: the share of the sets that '
    'emerge whose largest cross-correlation of changes exceeds 0.3 at a '
    'positive lag in revisions',
  ),
  Claim(
    'pythia lead', 'at 2.8B RankMe leads in logical deduction', '–',
    'by 49K steps', 20_000, 100_000,
    'steps from the largest change of RankMe to that of accuracy in the set '
    '"logic", both after step 1,000, mean over seeds; published revisions of '
    'pythia-2.8b are known to repeat (76 of 154 carry the final weights)', True,
  ),
)  # fmt: skip

PYTHIA = Reference(
  title='arXiv:2602.15997, Pythia',
  claims=CLAIMS,
  findings='emergence_jax.analysis.paper.findings_pythia:pythia',
  measures=(
    'RankMe', 'Fisher rank', 'gradient covariance rank',
    'largest Hessian eigenvalue', 'LLC', 'loss barrier',
  ),
  interpolation='matern',
  deviations=deviations,
  curves=curves,
)  # fmt: skip
