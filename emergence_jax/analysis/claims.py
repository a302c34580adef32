"""The paper's claims as data, and verdicts by a rule fixed beforehand.

A claim is a quantity and the range in which it has to lie. Ours is reproduced
if its whole 95% interval lies in that range, not reproduced if the whole
interval lies outside, and undecided otherwise: also with fewer than
`MIN_SEEDS` seeds, which have no interval worth the name, and where a run left
the paper's protocol or has not ended. Where a claim says that something comes
first, the tests of `precedence` have to say so as well (order and a tie,
p < 0.05, in every run): if they cannot, for lack of seeds or tasks, it is
undecided. Without data it is not measured.

Source: arXiv:2602.15997v1, and the abstracts of v3 and v4.
"""

from typing import NamedTuple

from emergence_jax.analysis.precedence import MAX_P
from emergence_jax.analysis.statistics import NOTHING, Estimate

MIN_SEEDS = 3
VERDICTS = ('reproduced', 'not reproduced', 'undecided', 'not measured')


class Claim(NamedTuple):
  """One claim.

  Attributes:
    key: under which `findings` has our value.
    text: what is claimed.
    v1: the number of the first version.
    later: of versions 3 and 4; empty where they give none.
    low: lower end of the range that reproduces the claim.
    high: upper end.
    how: how ours is computed.
    needs_test: whether the tests of what moves first must hold as well.
  """

  key: str
  text: str
  v1: str
  later: str
  low: float
  high: float
  how: str
  needs_test: bool = False


class Finding(NamedTuple):
  """Our side of a claim.

  Attributes:
    estimate: our value.
    p_value: largest over the runs of "it precedes"; nan without one.
    least_p: the smallest that these seeds and tasks could give.
    seeds: of the run that has fewest.
    caveat: why runs cannot decide on a claim about the paper's; or empty.
  """

  estimate: Estimate = NOTHING
  p_value: float = float('nan')
  least_p: float = float('nan')
  seeds: int = 0
  caveat: str = ''


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


def _pythia(key: str, text: str, v1: str, later: str = '') -> Claim:
  return Claim(
    f'pythia {key}', text, v1, later, float('nan'), float('nan'),
    'not computed: needs the checkpoints of Pythia',
  )  # fmt: skip


CLAIMS = (
  Claim(
    'emerged', 'all events emerge', '120/120', '119/120', 0.95, 1.0,
    "share of task × level × size × seed by the paper's rule",
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
  _precursor('LLC', 'the LLC does not precede', '0/24', '', 0.0, 0.1, False),
  Claim(
    'synchronous LLC', 'the LLC moves with behaviour', '23/24', '', 0.85, 1.0,
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
  _pythia('collapse', 'Pythia: RankMe collapses by steps 32–256', '−50–75%'),
  _pythia(
    'order', 'Pythia: order of final RankMe over seven probe sets',
    'pile > deduction > … > arithmetic',
  ),
  _pythia(
    'precursor', 'Pythia: no consistent precursor', 'none',
    'deduction, by 49K steps',
  ),
)  # fmt: skip


def verdict(claim: Claim, finding: Finding) -> tuple[str, str]:
  """One of `VERDICTS`, and why; see the module's head for the rule."""
  ours = finding.estimate
  if not ours.count:
    return 'not measured', ''
  if finding.caveat:
    return 'undecided', finding.caveat
  if finding.seeds < MIN_SEEDS or not ours.has_interval:
    return 'undecided', f'{finding.seeds} seeds; it takes {MIN_SEEDS}'
  if ours.high < claim.low or ours.low > claim.high:
    return 'not reproduced', 'the interval lies outside the range'
  if not (claim.low <= ours.low and ours.high <= claim.high):
    return 'undecided', 'the interval reaches over an end of the range'
  if claim.needs_test and not finding.p_value < MAX_P:
    if not finding.least_p < MAX_P:
      least = (
        f'{finding.least_p:.2g}' if finding.least_p == finding.least_p else '–'
      )
      return 'undecided', f'too few seeds or tasks: the least p is {least}'
    return 'not reproduced', 'within the range, but not by the tests'
  return 'reproduced', 'the interval lies in the range'


def number_verdict(
  ours: tuple[float, float], theirs: tuple[float, float], caveat: str = ''
) -> tuple[str, str]:
  """Verdict on one number of the paper, which has one seed.

  Args:
    ours: ends of our 95% prediction interval for one more seed.
    theirs: ends of what the paper's rounding or sampling leaves open.
    caveat: as in `Finding`.

  Returns:
    One of `VERDICTS`, and why.
  """
  if caveat:
    return 'undecided', caveat
  if any(x != x for x in ours):
    return 'undecided', 'no prediction interval: few seeds, or one never'
  if ours[1] < theirs[0] or ours[0] > theirs[1]:
    return 'not reproduced', 'a seed of ours would hardly give it'
  return 'reproduced', 'within the prediction interval for one more seed'
