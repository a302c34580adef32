"""Verdicts on a reference's claims, by a rule fixed beforehand.

A claim is a quantity and the range in which it has to lie. Ours is reproduced
if its whole 95% interval lies in that range, not reproduced if the whole
interval lies outside, and undecided otherwise: also with fewer than
`MIN_SEEDS` seeds, which have no interval worth the name, and where a run left
the reference's protocol or has not ended. Where a claim says that something
comes first, the tests of `precedence` have to say so as well (order and a tie,
p < 0.05, in every run): if they cannot, for lack of seeds or tasks, it is
undecided. A range that holds the value without the effect that is claimed, too,
could hardly have failed: what lies in it is called too wide to test. Without
data it is not measured.
"""

from typing import NamedTuple

from emergence_jax.analysis.precedence import MAX_P
from emergence_jax.analysis.reference import Claim
from emergence_jax.analysis.statistics import NOTHING, Estimate

MIN_SEEDS = 3
TOO_WIDE = 'too wide to test'
VERDICTS = (
  'reproduced', 'not reproduced', TOO_WIDE, 'undecided', 'not measured'
)  # fmt: skip


class Finding(NamedTuple):
  """Our value of a claim.

  Attributes:
    estimate: our value.
    p_value: largest over the runs of "it precedes"; nan without one.
    least_p: the smallest that these seeds and tasks could give.
    seeds: of the run that has fewest.
    without: the value of the same runs if there were no such effect, where that
      is known.
    caveat: why runs cannot decide on a claim about the paper's; or empty.
  """

  estimate: Estimate = NOTHING
  p_value: float = float('nan')
  least_p: float = float('nan')
  seeds: int = 0
  caveat: str = ''
  without: Estimate = NOTHING


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
  without = finding.without
  ends = (without.low, without.high) if without.has_interval else (
    without.value, without.value
  )  # fmt: skip
  if claim.low <= ends[1] and ends[0] <= claim.high:
    return TOO_WIDE, (
      f'the range reaches {without.value:.3g}, the value without the effect'
    )
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
    return 'undecided', 'no prediction interval: few seeds, or one not yet'
  if ours[1] < theirs[0] or ours[0] > theirs[1]:
    return 'not reproduced', 'a seed of ours would hardly give it'
  return 'reproduced', 'within the prediction interval for one more seed'
