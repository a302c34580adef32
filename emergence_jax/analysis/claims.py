"""The paper's claims as data, and verdicts by a rule fixed beforehand.

A claim is a quantity and the range in which it has to lie. Ours is reproduced
if its whole 95% interval lies in that range, not reproduced if the whole
interval lies outside, and undecided otherwise: also with fewer than
`MIN_SEEDS` seeds, which have no interval worth the name. A rate of precursors
must beat its null as well (p < 0.05). Without data it is not measured.

Source: arXiv:2602.15997v1, and the abstracts of v3 and v4.
"""

from typing import NamedTuple

from emergence_jax.analysis.statistics import NOTHING, Estimate

MIN_SEEDS = 3
MAX_P = 0.05
VERDICTS = ('reproduced', 'not reproduced', 'undecided', 'not measured')


class Claim(NamedTuple):
  """One claim.

  Attributes:
    key: under which `study` puts our value.
    text: what is claimed.
    v1: the number of the first version.
    later: of versions 3 and 4; empty where they give none.
    low: lower end of the range that reproduces the claim.
    high: upper end.
    how: how ours is computed.
    needs_null: whether the quantity is a rate that must beat its null.
  """

  key: str
  text: str
  v1: str
  later: str
  low: float
  high: float
  how: str
  needs_null: bool = False


class Finding(NamedTuple):
  """Our side of a claim.

  Attributes:
    estimate: our value.
    p_value: against the null; nan without one.
    seeds: of the run that has fewest.
  """

  estimate: Estimate = NOTHING
  p_value: float = float('nan')
  seeds: int = 0


def _floor(task: str, mean: float, std: float) -> Claim:
  return Claim(
    f'floor {task}', f'RankMe of {task} falls to a floor', f'{mean} ± {std}',
    '', mean - 2 * std, mean + 2 * std,
    'mean over sizes of the minimum of the last layer, pooled levels; the '
    'range is two of the standard deviations given',
  )  # fmt: skip


def _precursor(key, text, v1, later, low, high) -> Claim:
  return Claim(
    key, text, v1, later, low, high,
    'share of events whose largest cross-correlation of changes exceeds 0.3 '
    'at a positive lag in checkpoints', needs_null=True,
  )  # fmt: skip


CLAIMS = (
  Claim(
    'emerged', 'all events emerge', '120/120', '119/120', 0.95, 1.0,
    "share of task × level × size by the paper's rule",
  ),
  _floor('MOD', 2.12, 0.17),
  _floor('ADD', 3.93, 0.70),
  _floor('SORT', 6.16, 3.01),
  _floor('MUL', 5.25, 2.18),
  Claim(
    'invariance MOD', 'the floor of MOD does not depend on size',
    'variation 8%', '', 0.0, 0.15,
    'coefficient of variation of the floors over sizes',
  ),
  Claim(
    'depth gradient', 'at the collapse the last layer has less rank than the '
    'first', '32/32', '28/32', 0.8, 1.0,
    'share of task × size, at least two layers, at the minimum of the last',
  ),
  Claim(
    'time order', 'the collapse goes from the top down', 'from the gradient',
    '', 0.8, 1.0,
    'share of tasks whose last layer halves its rank before the first does',
  ),
  _precursor(
    'precursor RankMe hard', 'RankMe precedes behaviour in hard tasks',
    '75–100%', '100%', 0.75, 1.0,
  ),
  _precursor(
    'precursor RankMe all', 'RankMe precedes behaviour, at nano, in all tasks',
    '86%', '', 0.7, 1.0,
  ),
  _precursor(
    'precursor Fisher rank', 'the Fisher rank precedes', '62%', '', 0.5, 0.75
  ),
  Claim(
    'precursor LLC', 'the LLC does not precede', '0/24', '', 0.0, 0.1,
    'share of events that are precursors, as for RankMe',
  ),
  Claim(
    'precursor largest Hessian eigenvalue', 'the Hessian rarely precedes',
    '17%', '', 0.0, 0.3, 'as for RankMe (the paper: Pythia only)',
  ),
  _precursor(
    'precursor gradient covariance rank', 'gradient covariance precedes half '
    'of the time', '50%', '', 0.35, 0.65,
  ),
  Claim(
    'spearman', 'lower floors emerge first', '0.57–0.90', '', 0.5, 1.0,
    'rank correlation of floor and emergence over task × level, by seed',
  ),
  Claim(
    'concordance easy', 'within easy tasks the floor does not tell the order',
    '27%', '52%', 0.15, 0.6, 'share of pairs of events that are not tied',
  ),
  Claim(
    'concordance hard', 'within hard tasks it does', '78%', '69%', 0.65, 0.9,
    'share of pairs of events that are not tied',
  ),
  Claim(
    'concordance across', 'between easy and hard it does', '88%', '', 0.8, 1.0,
    'share of pairs of events that are not tied',
  ),
  Claim(
    'swap', 'reversals between sizes are not predicted', '26%', '26%', 0.1,
    0.4, 'share of reversed pairs whose floors reverse too',
  ),
  Claim(
    'llc over fisher', 'at the end the LLC is half of the Fisher rank',
    'ratio ≈ 1', '', 0.8, 1.25, '2 · LLC / Fisher rank, last row, by task',
  ),
  Claim(
    'pythia order', 'order of final RankMe over seven probe sets of Pythia',
    'pile > deduction > … > arithmetic', '', 1.0, 1.0,
    'not computed: needs the checkpoints of Pythia',
  ),
)  # fmt: skip


def verdict(claim: Claim, finding: Finding) -> str:
  """One of `VERDICTS`; see the module's head for the rule."""
  ours = finding.estimate
  if not ours.count:
    return 'not measured'
  if finding.seeds < MIN_SEEDS or not ours.has_interval:
    return 'undecided'
  inside = claim.low <= ours.low and ours.high <= claim.high
  outside = ours.high < claim.low or ours.low > claim.high
  if outside:
    return 'not reproduced'
  if not inside:
    return 'undecided'
  if claim.needs_null and not finding.p_value < MAX_P:
    return 'not reproduced'
  return 'reproduced'
