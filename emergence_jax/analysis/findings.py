"""Our side of the paper's claims, with seeds resampled over all runs."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from scipy import stats

from emergence_jax.analysis import (
  align,
  emergence,
  groups,
  precedence,
  rates,
  statistics,
  tables,
)
from emergence_jax.analysis.claims import Finding

Runs = Mapping[str, xr.Dataset]
# Layers from which the paper tests for top-down order.
_DEEP = 4
_OTHERS = (
  'Fisher rank', 'gradient covariance rank', 'largest Hessian eigenvalue',
  'LLC',
)  # fmt: skip


def _finding(estimate, runs: Runs, p_value: float = np.nan) -> Finding:
  """An estimate, with the seeds of the runs and what speaks against them."""
  if not estimate.count:
    return Finding()
  by_reason: dict[str, list[str]] = {}
  for run, data in runs.items():
    by_reason.setdefault(align.caveat(data), []).append(run)
  by_reason.pop('', None)
  caveat = '; '.join(f'{", ".join(n)}: {r}' for r, n in by_reason.items())
  seeds = min(d.sizes['seed'] for d in runs.values())
  return Finding(estimate, p_value, seeds, caveat)


def _with(runs: Runs, *variables: str) -> dict[str, xr.Dataset]:
  return {n: d for n, d in runs.items() if all(v in d for v in variables)}


def findings(
  runs: Runs, leads: Mapping[str, Mapping[str, object]]
) -> dict[str, Finding]:
  """Our value of every claim for which there are data.

  Args:
    runs: label → timeseries; those without the eight tasks' hard ones take no
      part.
    leads: run → measure → what `rates.leads_of` found.

  Returns:
    Key of a claim → our value.
  """
  eight = {
    n: d for n, d in runs.items() if set(groups.HARD) <= set(d.task.values)
  }
  if not eight:
    return {}
  found = {'emerged': _emerged(eight)}
  found |= _floors(eight) | _top_down(eight)
  found |= _precursors(eight, leads) | _prediction(eight)
  return found | _llc_and_fisher(_with(eight, 'llc', 'fisher_rank'))


def _emerged(runs: Runs) -> Finding:
  steps = [emergence.by_rule(d, tables.RULE).values for d in runs.values()]
  hits = [np.isfinite(s).sum((1, 2)) for s in steps]
  totals = [np.full(len(s), s[0].size) for s in steps]
  return _finding(statistics.shares(hits, totals), runs)


def _floors(runs: Runs) -> dict[str, Finding]:
  """Mean floor of each hard task over sizes, and its variation."""
  ranked = _with(runs, 'rankme')
  if not ranked:
    return {}

  def variation(*floors, axis):
    means = np.stack([x.mean(axis) for x in floors])
    return means.std(0, ddof=1) / means.mean(0)

  alike = ranked
  if align.schedules_differ(ranked):
    alike = align.at_shared_steps(ranked)
  own, shared = tables.floors_by_task(ranked), tables.floors_by_task(alike)
  found = {}
  for task in groups.HARD:
    found[f'floor {task}'] = _finding(
      statistics.over_runs(list(own[task].values())), ranked
    )
    if len(shared.get(task, ())) > 1:
      found[f'variation {task}'] = _finding(
        statistics.over_runs(list(shared[task].values()), variation), ranked
      )
  return found


def _top_down(runs: Runs) -> dict[str, Finding]:
  deep = {
    n: d for n, d in _with(runs, 'rankme').items() if d.sizes['layer'] >= _DEEP
  }
  found = {}
  for key, field in (
    ('depth gradient', 'gradient'),
    ('time order', 'last_before_first'),
  ):
    both = [
      tables.hits_of(getattr(tables.depth_of(d), field)) for d in deep.values()
    ]
    if both:
      found[key] = _finding(statistics.shares(*zip(*both)), deep)
  return found


def _peaks(runs: Runs, leads, measure: str, group: str):
  """Run → peaks of the events of a group that emerge."""
  found = {}
  for run, data in runs.items():
    one = leads.get(run, {}).get(measure)
    if isinstance(one, rates.Leads):
      inside = rates.in_group(data.task.values, group)[:, None]
      found[run] = rates.only(one.checkpoints, one.emerged & inside)
  return found


def _pooled(peaks: list[precedence.Precedence]) -> precedence.Precedence:
  """All events of several runs along one axis."""

  def flat(part, of):
    return part.reshape(-1, *part.shape[of.lag.ndim :])

  return precedence.Precedence(
    *(np.concatenate([flat(p[i], p) for p in peaks]) for i in range(4))
  )


def _rate(runs, leads, measure, group='all', kind=precedence.PRECURSOR):
  """Share of a class among emerging events; p-value for precursors."""
  peaks = _peaks(runs, leads, measure, group)
  if not peaks:
    return Finding()
  hits, totals = zip(*(rates.counts(p, kind=kind) for p in peaks.values()))
  p_value = np.nan
  if kind == precedence.PRECURSOR:
    p_value = precedence.rate(_pooled(list(peaks.values()))).p_value
  return _finding(
    statistics.shares(hits, totals), {n: runs[n] for n in peaks}, p_value
  )


def _precursors(runs: Runs, leads) -> dict[str, Finding]:
  found = {'precursor RankMe hard': _rate(runs, leads, 'RankMe', 'hard')}
  for size in ('nano', 'micro', 'small', 'medium'):
    # Those claims are of one size.
    one = {n: d for n, d in runs.items() if d.attrs.get('size', n) == size}
    if one:
      found[f'precursor RankMe {size}'] = _rate(one, leads, 'RankMe')
  for measure in _OTHERS:
    found[f'precursor {measure}'] = _rate(runs, leads, measure)
  found['synchronous LLC'] = _rate(
    runs, leads, 'LLC', kind=precedence.SYNCHRONOUS
  )
  found['only RankMe'] = _margin(runs, leads)
  return found


def _margin(runs: Runs, leads) -> Finding:
  """RankMe's precursor rate minus the largest of the other measures.

  Only runs with every measure that any of them has, so that all rates are of
  the same seeds.
  """
  by_measure = {m: _peaks(runs, leads, m, 'all') for m in ('RankMe', *_OTHERS)}
  by_measure = {m: p for m, p in by_measure.items() if p}
  if 'RankMe' not in by_measure or len(by_measure) < 2:
    return Finding()
  names = [n for n in runs if all(n in p for p in by_measure.values())]
  if not names:
    return Finding()
  counts = [[rates.counts(p[n]) for n in names] for p in by_measure.values()]

  def margin(*picked, axis):
    shares = []
    for of_runs in counts:
      hits, totals = (
        sum(c[k][i.astype(int)].sum(axis) for c, i in zip(of_runs, picked))
        for k in (0, 1)
      )
      shares.append(hits / np.maximum(totals, 1))
    return shares[0] - np.max(shares[1:], 0)

  if not sum(t.sum() for _, t in counts[0]):
    return Finding()
  seeds = [np.arange(runs[n].sizes['seed']) for n in names]
  return _finding(
    statistics.over_runs(seeds, margin), {n: runs[n] for n in names}
  )


def _prediction(runs: Runs) -> dict[str, Finding]:
  ranked = _with(runs, 'rankme')
  if not ranked:
    return {}
  events = [tables.predicted(d) for d in ranked.values()]
  found = {
    'spearman': _finding(
      statistics.over_runs([tables.spearman_of(e) for e in events]), ranked
    )
  }
  for name in tables.PAIRS:
    both = [tables.concordance_of(e, name)[:2] for e in events]
    found[f'concordance {name}'] = _finding(
      statistics.shares(*zip(*both)), ranked
    )
  if len(events) > 1:
    both = [tables.swaps_of(a, b) for a, b in zip(events, events[1:])]
    found['swap'] = _finding(statistics.shares(*zip(*both)), ranked)
  return found


def _llc_and_fisher(runs: Runs) -> dict[str, Finding]:
  """Their ratio at the end, and their rank correlation over training."""
  ratios, correlations = [], []
  for data in runs.values():
    dims = ('seed', 'task', 'step')
    llc = data.llc.transpose(*dims)
    fisher = data.fisher_rank.transpose(*dims)
    finite = np.isfinite(llc * fisher)
    known = finite.any(('seed', 'task'))
    # A seed that failed on the way has no part in it.
    whole = finite[..., known].all(('task', 'step'))
    if not (known.any() and whole.any()):
      continue
    llc, fisher = llc[whole][..., known], fisher[whole][..., known]
    ratios.append((2 * llc / fisher).isel(step=-1).median('task').values)
    if known.sum() > precedence.LEAST:
      ranks = (x.copy(data=stats.rankdata(x, axis=-1)) for x in (llc, fisher))
      correlations.append(xr.corr(*ranks, 'step').mean('task').values)
  found = {}
  if ratios:
    found['llc over fisher'] = _finding(statistics.over_runs(ratios), runs)
  if correlations:
    found['llc with fisher'] = _finding(
      statistics.over_runs(correlations), runs
    )
  return found
