"""Tables of a report on the runs themselves: what was run, and what failed."""

import numpy as np
import pandas as pd

from emergence_jax.analysis import runs as runs_lib
from emergence_jax.analysis.runs import Run, Runs
from emergence_jax.base import progress
from emergence_jax.base.types import BAD_ROWS, Status
from emergence_jax.store import files

_VERSIONS = ('jax', 'flax', 'optax', 'numpy', 'xarray')


def _json_of(run: Run, name: str) -> dict:
  """A file of the run's directory; empty if it is not there, or broken."""
  return files.read_json(run.workdir / name) or {}


def _time(run: Run) -> str:
  sessions = _json_of(run, 'times.json').get('sessions', [])
  try:
    spent = progress.duration(sum(s['seconds'] for s in sessions))
  except (TypeError, KeyError):  # of an older version, and damaged
    return '–'
  if not sessions:
    return '–'
  return spent if len(sessions) == 1 else f'{spent} in {len(sessions)} sessions'


def _devices(names: list[str]) -> str:
  if not isinstance(names, list):
    return ''
  return ', '.join(f'{names.count(n)} × {n}' for n in dict.fromkeys(names))


def what_was_run(runs: Runs) -> pd.DataFrame:
  """A row for each run: size, length, machine, versions and commit."""
  rows = []
  for name, run in runs.items():
    env, data = _json_of(run, 'env.json'), run.data
    versions = env.get('versions', {})
    versions = versions if isinstance(versions, dict) else {}
    done = f'{int(data.step.values[-1]):,}'
    rows.append({
      'run': name, 'parameters': f'{data.attrs.get("parameters", 0):,}',
      'set beside': run.reference.title if run.reference else '–',
      'seeds': data.sizes['seed'],
      'steps': f'{done} of {run.train_steps:,}' if run.is_unfinished else done,
      'checkpoints': data.sizes['step'],
      'time': _time(run),
      'devices': _devices(env.get('devices', [])) or '–',
      'versions': ', '.join(f'{n} {versions[n]}' for n in _VERSIONS
                            if versions.get(n)),
      'commit': str(env.get('git_commit') or '–')[:10],
      'directory': runs_lib.name_of(run.workdir),
    })  # fmt: skip
  return pd.DataFrame(rows)


def problems(runs: Runs) -> pd.DataFrame:
  """Rows whose status is not ok, and estimates that say they are not."""
  rows = []
  for run, one_run in runs.items():
    data = one_run.data
    for state in BAD_ROWS:
      bad = (data.status == state).values
      for s in np.flatnonzero(bad.any(1)):
        rows.append({
          'run': run, 'seed': int(data.seed.values[s]), 'what': state.words,
          'rows': int(bad[s].sum()), 'of': bad.shape[1], 'first step': int(
            data.step.values[bad[s].argmax()]),
        })  # fmt: skip
    names = sorted(str(n) for n in data.data_vars)
    for name in (n for n in names if n.endswith('_status')):
      status = data[name].transpose('seed', 'step', ...).values
      status = status.reshape(*status.shape[:2], -1)
      for i, status_C in enumerate(status):
        for value in np.unique(status_C[status_C > 0]):
          here = status_C == value
          rows.append({
            'run': run, 'seed': int(data.seed.values[i]),
            'what': f'{name}: {Status(int(value)).words}',
            'rows': int(here.sum()), 'of': int((status_C >= 0).sum()),
            'first step': int(data.step.values[here.any(1).argmax()]),
          })  # fmt: skip
  return pd.DataFrame(rows)


def problem_kinds(frame: pd.DataFrame) -> pd.DataFrame:
  """Problems by what they are, summed over seeds.

  Args:
    frame: of `problems`.
  """
  rows = [
    {
      'run': run, 'what': what, 'seeds': len(group),
      'rows that are not ok': int(group['rows'].sum()),
      'of': int(group['of'].sum()),
      'first step': int(group['first step'].min()),
    }
    for (run, what), group in (
      frame.groupby(['run', 'what'], sort=False) if len(frame) else ()
    )
  ]  # fmt: skip
  return pd.DataFrame(rows)
