"""Everything that is computed from the timeseries of one or several runs."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from emergence_jax.analysis import (
  claims,
  emergence,
  groups,
  precedence,
  series,
  statistics,
)
from emergence_jax.analysis import tables as tables_lib
from emergence_jax.analysis.claims import Finding


@dataclasses.dataclass
class Study:
  """What was found.

  Attributes:
    tables: name → table, for people and for CSV.
    findings: key of a claim → our value.
    notes: what was left out, and why.
    leads: run → measure → `precedence.Precedence` (seed, task, level).
  """

  tables: dict[str, pd.DataFrame]
  findings: dict[str, Finding]
  notes: list[str]
  leads: dict[str, dict[str, precedence.Precedence]]

  def claims(self) -> pd.DataFrame:
    """Paper's numbers, ours, and verdicts."""
    rows = []
    for claim in claims.CLAIMS:
      finding = self.findings.get(claim.key, Finding())
      rows.append({
        'claim': claim.text, 'paper v1': claim.v1, 'v3/v4': claim.later,
        'ours [95%] (count)': finding.estimate.text(),
        'seeds': finding.seeds,
        'p against null': finding.p_value,
        'range': f'{claim.low:.3g} … {claim.high:.3g}',
        'verdict': claims.verdict(claim, finding), 'how': claim.how,
      })  # fmt: skip
    return pd.DataFrame(rows)


def _mean_over_runs(frame: pd.DataFrame, **where) -> statistics.Estimate:
  """The first matching row's estimate, or the mean over runs with its ends."""
  for column, value in where.items():
    frame = frame[frame[column] == value]
  frame = frame[np.isfinite(frame['value'])] if len(frame) else frame
  if not len(frame):
    return statistics.NOTHING
  return statistics.Estimate(
    frame['value'].mean(), frame['low'].mean(), frame['high'].mean(),
    int(frame['count'].min()),
  )  # fmt: skip


def _findings(runs, tables, leads) -> dict[str, Finding]:
  """Our value of every claim for which there are data."""
  found: dict[str, Finding] = {}
  eight = {
    n: d for n, d in runs.items() if set(groups.HARD) <= set(d.task.values)
  }
  if not eight:
    return found
  share = [
    np.isfinite(emergence.by_rule(d, tables_lib.RULE).values).mean((1, 2))
    for d in eight.values()
  ]
  found['emerged'] = Finding(statistics.bootstrap(np.concatenate(share)))
  floors = tables['collapse']
  for task in groups.HARD:
    if len(floors):
      last = floors[
        floors.layer == floors.groupby('run').layer.transform('max')
      ]
      found[f'floor {task}'] = Finding(
        _mean_over_runs(last, task=task, quantity='floor')
      )
  found['invariance MOD'] = Finding(_variation(eight, 'MOD'))
  top = tables['top_down']
  if len(top):
    found['depth gradient'] = Finding(_mean_over_runs(top, test='gradient'))
    found['time order'] = Finding(
      _mean_over_runs(top, test='last_before_first')
    )
  for name, key, group in (
    ('RankMe', 'precursor RankMe hard', 'hard'),
    ('Fisher rank', 'precursor Fisher rank', 'all'),
    ('LLC', 'precursor LLC', 'all'),
    (
      'largest Hessian eigenvalue',
      'precursor largest Hessian eigenvalue',
      'all',
    ),
    ('gradient covariance rank', 'precursor gradient covariance rank', 'all'),
  ):
    found[key] = _precursor(eight, leads, name, group)
  # That claim is of one size.
  nano = {n: d for n, d in eight.items() if n == 'nano'}
  found['precursor RankMe all'] = _precursor(nano, leads, 'RankMe', 'all')
  prediction = tables['prediction']
  if len(prediction):
    for key in (
      'spearman',
      'swap',
      *(f'concordance {n}' for n in tables_lib.PAIRS),
    ):
      found[key] = Finding(_mean_over_runs(prediction, quantity=key))
  ratios = [
    np.nanmedian(2 * d.llc.values[:, i] / d.fisher_rank.values[:, i], -1)
    for d in eight.values()
    if 'llc' in d and 'fisher_rank' in d
    for i in np.flatnonzero(
      np.isfinite(d.llc * d.fisher_rank).all(('seed', 'task')).values
    )[-1:]
  ]
  if ratios:
    found['llc over fisher'] = Finding(
      statistics.bootstrap(np.concatenate(ratios))
    )
  seeds = min(d.sizes['seed'] for d in eight.values())
  return {k: f._replace(seeds=seeds) for k, f in found.items()}


def _variation(runs, task: str) -> statistics.Estimate:
  """Coefficient of variation over runs, resampling the seeds of each."""
  floors = [
    tables_lib.floors_of(d)[:, list(d.task.values).index(task)]
    for d in runs.values()
    if 'rankme' in d
  ]
  if len(floors) < 2:
    return statistics.NOTHING
  rng = np.random.default_rng(0)

  def variation(groups):
    means = [g.mean() for g in groups]
    return np.std(means, ddof=1) / np.mean(means)

  draws = [
    variation([rng.choice(g, g.size) for g in floors]) for _ in range(1000)
  ]
  low, high = np.percentile(draws, [2.5, 97.5])
  seeds = min(g.size for g in floors)
  if seeds < 2:
    low = high = np.nan
  return statistics.Estimate(variation(floors), low, high, seeds)


def _precursor(runs, leads, name: str, group: str) -> Finding:
  """Rate over seeds of all runs, and the p-value of all their events."""
  peaks = [
    tables_lib.select(leads[run][name], data.task.values, group)
    for run, data in runs.items()
    if name in leads.get(run, {})
  ]
  if not peaks:
    return Finding()
  pooled = precedence.Precedence(
    *(np.concatenate([np.asarray(p[i]).reshape(-1, *np.shape(p[i])[3:])
                      for p in peaks]) for i in range(4))
  )  # fmt: skip
  per_seed = np.concatenate([tables_lib.per_seed(p) for p in peaks])
  return Finding(
    statistics.bootstrap(per_seed), precedence.rate(pooled).p_value
  )


def study(runs: Mapping[str, xr.Dataset], *, draws: int = 200) -> Study:
  """Analyses runs together.

  Args:
    runs: label (a size, for example) → timeseries, loaded.
    draws: shifts of the null.
  """
  notes = []
  for run, data in runs.items():
    done, wanted = int(data.step.values[-1]), data.attrs.get('train_steps')
    if wanted and done < wanted:
      notes.append(f'{run} is unfinished: up to step {done:,} of {wanted:,}.')
    if data.sizes['seed'] == 1:
      notes.append(f'{run} has one seed: no intervals, no verdicts.')
    missing = [n for n, (v, _) in series.SERIES.items() if v not in data]
    if missing:
      notes.append(f'{run} does not have: {", ".join(missing)}.')
  tables = tables_lib.emergence_tables(runs)
  found, leads = tables_lib.precedence_tables(runs, draws)
  tables |= found
  tables['collapse'] = tables_lib.collapse_table(runs)
  tables['top_down'] = tables_lib.top_down_table(runs)
  tables['invariance'] = tables_lib.invariance_table(runs)
  tables['prediction'] = tables_lib.prediction_table(runs)
  tables['events'] = tables_lib.events_table(runs, draws)
  result = Study(tables, _findings(runs, tables, leads), notes, leads)
  result.tables['claims'] = result.claims()
  return result
