"""Our values of the paper's claims, with intervals over all seeds."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import xarray as xr
from scipy import stats

from emergence_jax.analysis import (
  align,
  emergence,
  order,
  precedence,
  series,
  statistics,
  tables,
)
from emergence_jax.analysis.changes import LEAST
from emergence_jax.analysis.claims import Finding
from emergence_jax.analysis.paper import peaks, phases, prediction, rates
from emergence_jax.analysis.paper.algorithmic import HARD
from emergence_jax.analysis.runs import Run, Runs

# Layers from which the paper tests for top-down order.
_DEEP = 4
_OTHERS = (
  'Fisher rank', 'gradient covariance rank', 'largest Hessian eigenvalue',
  'loss elevation',
)  # fmt: skip


def finding(
  estimate,
  runs: Runs,
  tests: Sequence[precedence.Tests] = (),
  is_final: Callable[[Run], bool] = lambda run: False,
) -> Finding:
  """An estimate, with the seeds of the runs and what speaks against them.

  Args:
    estimate: our value.
    runs: label → timeseries it is of.
    tests: of "it precedes", one a run.
    is_final: run → whether more training would change nothing about it.
  """
  if not estimate.count:
    return Finding()
  by_reason: dict[str, list[str]] = {}
  for name, run in runs.items():
    reason = align.caveat(run, run.is_unfinished and is_final(run))
    by_reason.setdefault(reason, []).append(name)
  by_reason.pop('', None)
  caveat = '; '.join(f'{", ".join(n)}: {r}' for r, n in by_reason.items())
  seeds = min(run.data.sizes['seed'] for run in runs.values())
  # It has to hold in every run: the largest counts, and nan is the largest.
  p_value, least = (
    float(np.max([of(test) for test in tests])) if tests else np.nan
    for of in (precedence.p_precedes, precedence.least_p)
  )
  return Finding(estimate, p_value, least, seeds, caveat)


def _collapsed(*tasks: str) -> Callable[[Run], bool]:
  """Whether the collapse of some tasks is over, or of all, in every seed."""
  return lambda run: tables.have_ended(run.data, tasks or run.tasks)


def _ordered(run: Run) -> bool:
  """Whether every event has emerged, and every floor is what it will be."""
  return tables.have_emerged(run.data) and _collapsed()(run)


def having(runs: Runs, *variables: str) -> dict[str, Run]:
  """The runs that have all of these variables."""
  return {n: r for n, r in runs.items() if all(v in r.data for v in variables)}


def algorithmic(
  runs: Runs,
  changes: order.Changes,
  precursors: Mapping[str, Mapping[str, rates.Precursors]],
  *,
  draws: int = precedence.DRAWS,
) -> dict[str, Finding]:
  """Our value of every claim for which there are data.

  Args:
    runs: label → timeseries; those without the eight tasks' hard ones take no
      part.
    changes: run → measure → what `order.events_of` found.
    precursors: run → measure → what `rates.precursors_of` found.
    draws: permutations and flips of the tests.

  Returns:
    Key of a claim → our value.
  """
  eight = {n: run for n, run in runs.items() if set(HARD) <= set(run.tasks)}
  if not eight:
    return {}
  findings = _emerged(eight)
  findings |= _floors(eight) | _top_down(eight)
  ours = _Precursors(eight, changes, precursors, draws)
  findings |= ours.findings() | _prediction(eight) | _phases(eight, draws)
  return findings | _llc_and_fisher(having(eight, 'llc', 'fisher_rank'))


def _emerged(runs: Runs) -> dict[str, Finding]:
  """Of all events, and of those that a constant answer does not pass."""
  findings = {}
  for key, of_all in (('emerged', True), ('emerged beyond chance', False)):
    hits, totals = [], []
    for run in runs.values():
      steps = emergence.by_rule(run.data, emergence.RULE_OF_CLAIMS).values
      counted_KL = of_all | ~emergence.passed_by_chance(run.data)
      hits.append((np.isfinite(steps) & counted_KL).sum((1, 2)))
      totals.append(np.full(len(steps), counted_KL.sum()))
    findings[key] = finding(
      statistics.shares(hits, totals), runs,
      is_final=lambda run: tables.have_emerged(run.data),
    )  # fmt: skip
  return findings


def _floors(runs: Runs) -> dict[str, Finding]:
  """Mean floor of each hard task over sizes, and its variation."""
  ranked = having(runs, 'rankme')
  if not ranked:
    return {}

  def variation(floors):
    means = np.array([x.mean() for x in floors])
    return means.std(ddof=1) / means.mean()

  alike = ranked
  if align.schedules_differ(ranked):
    alike = align.at_shared_steps(ranked)
  own, shared = tables.floors_by_task(ranked), tables.floors_by_task(alike)
  first = tables.floors_by_task(ranked, 'initial')
  findings = {}
  for task in HARD:
    findings[f'floor {task}'] = finding(
      statistics.over_runs(list(own.get(task, {}).values())), ranked,
      is_final=_collapsed(task),
    )._replace(
      without=statistics.over_runs(list(first.get(task, {}).values()))
    )  # fmt: skip
    if len(shared.get(task, ())) > 1:
      findings[f'variation {task}'] = finding(
        statistics.over_runs(list(shared[task].values()), variation), ranked,
        is_final=_collapsed(task),
      )  # fmt: skip
  return findings


def _top_down(runs: Runs) -> dict[str, Finding]:
  deep = {
    n: run
    for n, run in having(runs, 'rankme').items()
    if run.data.sizes['layer'] >= _DEEP
  }
  findings = {}
  for key, field in (
    ('depth gradient', 'gradient'),
    ('time order', 'last_before_first'),
  ):
    both = [
      tables.hits_of(getattr(tables.depth_of(run.data), field))
      for run in deep.values()
    ]
    if both:
      findings[key] = finding(
        statistics.shares(*zip(*both)), deep, is_final=_collapsed()
      )
  return findings


@dataclasses.dataclass
class _Precursors:
  """The claims on precursors, of runs with the eight tasks.

  Attributes are the arguments of `findings`.
  """

  runs: Runs
  changes: order.Changes
  precursors: Mapping[str, Mapping[str, rates.Precursors]]
  draws: int

  def findings(self) -> dict[str, Finding]:
    """All of them."""
    results = {'precursor RankMe hard': self._rate(self.runs, 'RankMe', 'hard')}
    for size in ('nano', 'micro', 'small', 'medium'):
      # Those claims are of one size.
      of_size = {n: run for n, run in self.runs.items() if run.size == size}
      if of_size:
        results[f'precursor RankMe {size}'] = self._rate(of_size, 'RankMe')
    for measure in _OTHERS:
      results[f'precursor {measure}'] = self._rate(self.runs, measure)
    results['synchronous loss elevation'] = self._rate(
      self.runs, 'loss elevation', kind=peaks.SYNCHRONOUS
    )
    results['only RankMe'] = self._margin()
    return results

  def _peaks(self, runs: Runs, measure: str, group: str):
    """Run → peaks of the events of a group that emerge."""
    by_run = {}
    for label, run in runs.items():
      precursors = self.precursors.get(label, {}).get(measure)
      if precursors is not None:
        inside = order.in_group(run, group)[:, None]
        by_run[label] = rates.only(
          precursors.checkpoints, precursors.emerged & inside
        )
    return by_run

  def _tests(self, run: str, measure: str, group: str) -> precedence.Tests:
    inside = order.in_group(self.runs[run], group)
    events = self.changes[run][measure].of_tasks(inside)
    return precedence.test_events(events, draws=self.draws)

  def _rate(self, runs, measure, group='all', kind=peaks.PRECURSOR) -> Finding:
    """Share of a class among emerging events, with the tests of the runs."""
    by_run = self._peaks(runs, measure, group)
    if not by_run:
      return Finding()
    hits, totals = zip(*(rates.counts(p, kind=kind) for p in by_run.values()))
    tests = [self._tests(run, measure, group) for run in by_run]
    return finding(
      statistics.shares(hits, totals), {n: runs[n] for n in by_run}, tests
    )

  def _margin(self) -> Finding:
    """RankMe's precursor rate minus the largest of the other measures.

    Only runs with every measure that any of them has, and tasks likewise, so
    that all rates are of the same seeds and tasks.
    """
    by_measure = {
      m: self._peaks(self.runs, m, 'all') for m in ('RankMe', *_OTHERS)
    }
    by_measure = {m: p for m, p in by_measure.items() if p}
    if 'RankMe' not in by_measure or len(by_measure) < 2:
      return Finding()
    names = [n for n in self.runs if all(n in p for p in by_measure.values())]
    if not names:
      return Finding()
    shared = {
      n: np.all([_has(p[n]) for p in by_measure.values()], 0)[:, None]
      for n in names
    }
    counts = [
      [rates.counts(rates.only(p[n], shared[n])) for n in names]
      for p in by_measure.values()
    ]

    def margin(picked):
      shares = [rates.share_of(of_runs, picked) for of_runs in counts]
      return shares[0] - max(shares[1:])

    if not sum(t.sum() for _, t in counts[0]):
      return Finding()
    seeds = [np.arange(self.runs[n].data.sizes['seed']) for n in names]
    return finding(
      statistics.over_runs(seeds, margin, bounds=(-1, 1)),
      {n: self.runs[n] for n in names},
    )


def _has(result: peaks.Peaks) -> np.ndarray:
  """Tasks [K] of which any event has a peak."""
  return np.isfinite(result.correlation).any((0, 2))


def _phases(runs: Runs, draws: int) -> dict[str, Finding]:
  """The two claims of version 4 on what comes before behaviour."""
  findings = {}
  for key, shares_of in (
    ('phases', phases.in_order),
    ('probes first', phases.probes_first),
  ):
    each = {n: shares_of(run.data) for n, run in runs.items()}
    each = {n: shares for n, shares in each.items() if shares is not None}
    if each:
      tests = [
        precedence.test_events(order.among(runs[n], shares.events), draws=draws)
        for n, shares in each.items()
      ]
      findings[key] = finding(
        statistics.shares(
          [shares.hits_S for shares in each.values()],
          [shares.totals_S for shares in each.values()],
        ),
        {n: runs[n] for n in each}, tests,
      )  # fmt: skip
  return findings


def _prediction(runs: Runs) -> dict[str, Finding]:
  ranked = having(runs, 'rankme')
  if not ranked:
    return {}
  events = [prediction.predicted(run) for run in ranked.values()]
  findings = {
    'spearman': finding(
      statistics.over_runs(
        [prediction.spearman_of(e) for e in events], bounds=(-1, 1)
      ),
      ranked,
      is_final=_ordered,
    )
  }
  for name in prediction.PAIRS:
    both = [prediction.concordance_of(e, name)[:2] for e in events]
    findings[f'concordance {name}'] = finding(
      statistics.shares_of_seeds(*zip(*both)), ranked, is_final=_ordered
    )
  if len(events) > 1:
    both = [prediction.swaps_of(a, b) for a, b in zip(events, events[1:])]
    findings['swap'] = finding(
      statistics.shares_of_seeds(*zip(*both)), ranked, is_final=_ordered
    )
  return findings


def _llc_and_fisher(runs: Runs) -> dict[str, Finding]:
  """Their ratio at the end, and their rank correlation over training."""
  ratios, correlations = [], []
  for run in runs.values():
    data, dims = run.data, ('seed', 'task', 'step')
    finite = np.isfinite(data.llc * data.fisher_rank).transpose(*dims)
    # Of the tasks that have both; others may have been left out.
    has_both = finite.any(('seed', 'step')).values
    data, finite = data.isel(task=has_both), finite.isel(task=has_both)
    known = finite.any(('seed', 'task'))
    # A seed that failed on the way has no part in it; one with estimates that
    # are not ok has its others.
    whole = finite[..., known].all(('task', 'step'))
    if not (known.any() and whole.any()):
      continue
    llc, fisher = (
      series.usable(data, series.of(data)[name]).transpose(*dims)[whole][
        ..., known
      ]
      for name in ('LLC', 'Fisher rank')
    )
    ratios.append((2 * llc / fisher).isel(step=-1).median('task').values)
    both = np.isfinite(llc * fisher)
    llc_rank, fisher_rank = (
      x.copy(data=stats.rankdata(x.where(both), axis=-1, nan_policy='omit'))
      for x in (llc, fisher)
    )
    rho = xr.corr(llc_rank, fisher_rank, 'step').where(
      both.sum('step') >= LEAST
    )
    correlations.append(rho.mean('task').values)
  findings = {}
  if ratios:
    findings['llc over fisher'] = finding(statistics.over_runs(ratios), runs)
  if correlations:
    findings['llc with fisher'] = finding(
      statistics.over_runs(correlations, bounds=(-1, 1)), runs
    )
  return findings
