"""The curves of all runs, as the page's script draws them."""

import base64
import gzip
import json

import numpy as np
import xarray as xr
from matplotlib import colors

from emergence_jax.analysis.runs import Run, Runs
from emergence_jax.base import labels
from emergence_jax.base.arms import PLACEBO, SHAM, Arm
from emergence_jax.report import anatomy, style
from emergence_jax.store import files


def _numbers(values: np.ndarray) -> list:
  """JSON numbers of four digits; None for what is not finite."""
  return [float(f'{v:.4g}') if np.isfinite(v) else None for v in values]


def _curve(line: anatomy.Curve, colour) -> dict:
  flagged = zip(line.flagged.seed, line.flagged.step, line.flagged.value)
  return {
    'name': line.name,
    'colour': colors.to_hex(colour),
    'step': [int(s) for s in line.step],
    'mid': _numbers(line.mid),
    'low': _numbers(line.low),
    'high': _numbers(line.high),
    'seeds': [_numbers(value_C) for value_C in line.seeds_SxC],
    'flagged': [[int(i), int(s), float(f'{v:.4g}')] for i, s, v in flagged],
  }


def _panel(lines: list[anatomy.Curve], scale: str) -> dict:
  usable = sum(int(np.isfinite(line.seeds_SxC).sum()) for line in lines)
  colours = style.line_colours([line.name for line in lines])
  return {
    'scale': scale,
    'usable': usable,
    'of': usable + sum(line.flagged.step.size for line in lines),
    'curves': [_curve(line, c) for line, c in zip(lines, colours)],
  }


def _task(data: xr.Dataset, task: str, scales: dict[str, str]) -> dict:
  """Panels and marks of one task."""
  at = anatomy.marks(data, task)
  emergence = np.array(list(at.emergence.values()))
  return {
    'panels': {
      label: _panel(lines, scales.get(label, 'linear'))
      for label, lines in anatomy.curves(data, task).items()
    },
    'emergence': _numbers(emergence),
    'colours': [colors.to_hex(c) for c in style.task_colours(len(emergence))],
    'rank': _numbers(np.array([at.floor, at.recovered])),
  }


def _tokens(data: xr.Dataset) -> list | None:
  """Steps and the tokens seen until then; None if they are not known."""
  if 'tokens' not in data.coords:
    return None
  known = np.isfinite(data.tokens.values)
  if known.sum() < 2:
    return None
  steps, tokens = data.step.values[known], data.tokens.values[known]
  return [steps.tolist(), tokens.tolist()]


def _hours(run: Run) -> list | None:
  """Steps and the hours of computing until then; None if they are not known.

  At the ends of each session of a run, whose times lie beside its rows.
  """
  times = files.read_json(run.workdir / 'times.json') or {}
  steps: list[int] = []
  hours: list[float] = []
  spent = 0.0
  try:
    for session in times.get('sessions', ()):
      first, last = session['first_checkpoint'], session['last_checkpoint']
      ends = [first, last] if not steps else [last]
      at = [spent, spent + session['seconds'] / 3600][-len(ends) :]
      steps, hours, spent = [*steps, *ends], [*hours, *at], at[-1]
  except (TypeError, KeyError):  # of an older version, or damaged
    return None
  rises = len(steps) > 1 and all(np.diff(steps) > 0) and all(np.diff(hours) > 0)
  return [steps, hours] if rises else None


def _all_runs(runs: Runs) -> dict[str, Run]:
  """Runs, those with arms arm by arm."""
  every: dict[str, Run] = {}
  for name, run in runs.items():
    own = run.of_arms()
    several = len(runs) > 1 and run.arms
    every |= {f'{name}: {arm}' if several else arm: r for arm, r in own.items()}
  return every


def _config_of_arm(run: Run, arm: Arm) -> dict:
  """A run's configuration with what an arm changes."""
  flat = labels.flatten(run.config)
  flat |= arm.numbers
  if arm.intervention:
    flat[f'interventions.{arm.intervention}.strength'] = arm.strength
  if arm.control in (SHAM, PLACEBO):
    flat['arms.control'] = arm.control
  return flat


def _configs(runs: Runs) -> list[dict]:
  """Of each of `_all_runs`, with dotted keys."""
  configs = []
  for run in runs.values():
    if run.arms:
      configs += [_config_of_arm(run, arm) for arm in run.arms]
    else:
      configs.append(labels.flatten(run.config))
  return configs


def keys(runs: Runs) -> list[dict[str, str]]:
  """Of each of `_all_runs`: key → value, of those keys that differ."""
  configs = _configs(runs)
  # A key that says what the name says already would be a column twice.
  names = list(_all_runs(runs))
  rows = {
    key: row for key, row in labels.differing(configs).items() if row != names
  }
  words = labels.short(list(rows))
  return [
    {words[key]: row[i] for key, row in rows.items()}
    for i in range(len(configs))
  ]


def of(runs: Runs) -> dict:
  """Run → its seeds, and task → what is drawn of it."""
  payload = {}
  for (name, run), own in zip(_all_runs(runs).items(), keys(runs)):
    scales = anatomy.scales(run.data)
    axes = {'tokens': _tokens(run.data), 'hours': _hours(run)}
    payload[name] = {
      'seeds': [int(s) for s in run.data.seed.values],
      'keys': own,
      'axes': {axis: at for axis, at in axes.items() if at},
      'tasks': {task: _task(run.data, task, scales) for task in run.tasks},
    }
  return payload


def packed(runs: Runs) -> str:
  """The same as text of a script: JSON, gzip, base64."""
  words = json.dumps(of(runs), separators=(',', ':')).encode()
  return base64.b64encode(gzip.compress(words, 9, mtime=0)).decode()
