"""Our values of the paper's claims about Pythia."""

from collections.abc import Mapping

import numpy as np

from emergence_jax.analysis import (
  collapse,
  order,
  precedence,
  series,
  statistics,
)
from emergence_jax.analysis.claims import Finding
from emergence_jax.analysis.events import Events
from emergence_jax.analysis.paper import concordance, rates
from emergence_jax.analysis.paper import pythia as paper
from emergence_jax.analysis.paper.findings import finding, having
from emergence_jax.analysis.runs import Run, Runs


def pythia(
  runs: Runs,
  changes: order.Changes,
  precursors: Mapping[str, Mapping[str, rates.Precursors]],
  *,
  draws: int = precedence.DRAWS,
) -> dict[str, Finding]:
  """Our value of every claim about Pythia for which there are data.

  Args:
    runs: label → measurements of released checkpoints.
    changes: run → measure → what `order.events_of` found.
    precursors: run → measure → what `rates.precursors_of` found.
    draws: permutations and flips of the tests.

  Returns:
    Key of a claim → our value.
  """
  del changes  # those of all steps are those of the early collapse
  ranked = having(runs, 'rankme')
  findings: dict[str, Finding] = {}
  if ranked:
    findings |= _collapse(ranked) | _order(ranked)
  return findings | _precursor(runs, precursors) | _lead(runs, draws)


def _rank(run: Run) -> tuple[np.ndarray, np.ndarray]:
  """RankMe of the last layer [S, K, C] in the paper's sets, and steps [C]."""
  sets = [t for t in paper.FINAL_ORDER if t in run.tasks]
  rank = run.data.rankme.isel(layer=-1).sel(task=sets)
  rank = rank.transpose('seed', 'task', 'step').values
  known = np.isfinite(rank).any((0, 1))
  return rank[..., known], run.data.step.values[known].astype(float)


def _collapse(runs: Runs) -> dict[str, Finding]:
  """Depth and time of the collapse of RankMe."""
  falls, hits, totals = [], [], []
  for run in runs.values():
    rank, step = _rank(run)
    if not rank.size:
      continue
    collapsed = collapse.collapse(step, rank)
    falls.append(np.nanmean(1 - collapsed.floor / collapsed.initial, 1))
    when = np.full(rank.shape[:2], np.nan)
    for place in np.ndindex(*when.shape):
      known = np.isfinite(rank[place])
      if known.any():
        low = collapse.floor_index(rank[place][known])
        when[place] = step[known][low]
    first, last = paper.COLLAPSED
    hits.append(((when >= first) & (when <= last)).sum(1))
    totals.append(np.isfinite(when).sum(1))
  if not falls:
    return {}
  return {
    'pythia collapse': finding(
      statistics.over_runs(falls, bounds=(0, 1)), runs
    ),
    'pythia collapse time': finding(statistics.shares(hits, totals), runs),
  }


def _order(runs: Runs) -> dict[str, Finding]:
  """Rank correlation of our final RankMe with the paper's order of sets."""
  each = []
  for run in runs.values():
    rank, _ = _rank(run)
    if rank.size and rank.shape[1] > 2:
      wanted = -np.arange(rank.shape[1], dtype=float)
      last = [_last(rank_SxC) for rank_SxC in rank]
      each.append(np.array([concordance.spearman(x, wanted) for x in last]))
  if not each:
    return {}
  return {
    'pythia order': finding(statistics.over_runs(each, bounds=(-1, 1)), runs)
  }


def _last(rank_KC: np.ndarray) -> np.ndarray:
  """The last known value of each set, [K]."""
  known = [row[np.isfinite(row)] for row in rank_KC]
  return np.array([row[-1] if row.size else np.nan for row in known])


def _precursor(runs: Runs, precursors) -> dict[str, Finding]:
  """The largest precursor rate of any measure."""
  names = [n for n in runs if precursors.get(n)]
  common = [set(precursors[n]) for n in names]
  measures = sorted(set.intersection(*common)) if common else []
  if not measures:
    return {}

  def counts(name, measure):
    result = precursors[name][measure]
    return rates.counts(rates.only(result.checkpoints, result.emerged))

  every = [[counts(n, m) for n in names] for m in measures]
  if not sum(totals.sum() for of_runs in every for _, totals in of_runs):
    return {}

  def largest(picked):
    return max(rates.share_of(of_runs, picked) for of_runs in every)

  seeds = [np.arange(runs[n].data.sizes['seed']) for n in names]
  estimate = statistics.over_runs(seeds, largest, bounds=(0, 1))
  return {'pythia precursor': finding(estimate, {n: runs[n] for n in names})}


def _lead(runs: Runs, draws: int) -> dict[str, Finding]:
  """By how many steps RankMe leads in logical deduction, at 2.8B."""
  leads, tests, used = [], [], {}
  for name, run in runs.items():
    if paper.size_of(run.config) != paper.LEAD_SIZE:
      continue
    late = run.data.sel(step=run.data.step > paper.LEAD_AFTER)
    rank = series.of(late).get('RankMe')
    events = None
    if rank is not None:
      events = order.among(run, order.events_of(late, rank))
    if not isinstance(events, Events):
      continue
    inside = np.array([task == paper.LEAD_SET for task in run.tasks])
    lead = precedence.seed_means(events.of_tasks(inside).lead_SKL)
    if np.isfinite(lead).any():
      leads.append(lead)
      tests.append(precedence.test_events(events.of_tasks(inside), draws=draws))
      used[name] = run
  if not leads:
    return {}
  estimate = statistics.over_runs(leads)
  return {'pythia lead': finding(estimate, used, tests)}
