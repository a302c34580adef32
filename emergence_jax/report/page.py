"""One self-contained HTML page of a study, for a browser without a network."""

import base64
import html
import json
import pathlib

import numpy as np
import pandas as pd
import xarray as xr

from emergence_jax import timeseries
from emergence_jax.analysis import series
from emergence_jax.analysis.study import Study
from emergence_jax.report import text
from emergence_jax.types import Status

_TEMPLATE = pathlib.Path(__file__).with_name('page.html')
_VERSIONS = ('jax', 'flax', 'optax', 'numpy', 'xarray')


def _numbers(values: np.ndarray) -> list:
  """JSON numbers of four digits; None for what is not finite."""
  return [float(f'{v:.4g}') if np.isfinite(v) else None for v in values]


def _curves(array: xr.DataArray) -> dict:
  """Steps, median and the range of the middle 95% of seeds."""
  array = array.transpose('seed', 'step')
  known = np.isfinite(array.values).any(0)
  values = array.values[:, known]
  low, middle, high = np.nanpercentile(values, [2.5, 50, 97.5], axis=0)
  return {
    'step': [int(s) for s in array.step.values[known]],
    'mid': _numbers(middle), 'low': _numbers(low), 'high': _numbers(high),
  }  # fmt: skip


def _task_curves(data: xr.Dataset, task: str) -> dict[str, list]:
  """Panel → curves of one task, each with its name."""
  one = data.sel(task=task)
  panels: dict[str, list] = {}
  for level in data.level.values:
    name = f'level {level}'
    for variable, label in (
      ('accuracy', 'accuracy'), ('log_prob', 'log-probability (nat)'),
    ):  # fmt: skip
      curve = _curves(one[variable].sel(level=level))
      panels.setdefault(label, []).append({'name': name, **curve})
  if 'rankme' in data:
    panels['RankMe (dimensions)'] = [
      {'name': f'layer {layer}', **_curves(one.rankme.sel(layer=layer))}
      for layer in data.layer.values
    ]
  for name, (variable, get) in series.SERIES.items():
    if name == 'RankMe' or variable not in data:
      continue
    array = get(data)
    if 'task' in array.dims:
      array = array.sel(task=task)
    if np.isfinite(array).any():
      panels[name] = [{'name': 'median', **_curves(array)}]
  return panels


def _payload(found: Study, runs: dict[str, xr.Dataset]) -> dict:
  """What the page's script draws: run → task → panels, and events."""
  steps = found.tables['emergence']
  steps = steps[(steps.rule == 'chance-corrected') & np.isfinite(steps.value)]
  events = {}
  for row in steps.itertuples():
    events.setdefault(row.run, {}).setdefault(row.task, []).append(
      {'level': row.level, 'step': int(row.value)}
    )
  curves = {
    run: {str(t): _task_curves(data, t) for t in data.task.values}
    for run, data in runs.items()
  }
  return {'curves': curves, 'events': events}


def _html_table(frame: pd.DataFrame) -> str:
  if not len(frame):
    return '<p>Not measured.</p>'
  shown = frame.map(text.number)
  return shown.to_html(index=False, border=0, escape=True)


def _image(path: pathlib.Path, title: str) -> str:
  data = base64.b64encode(path.read_bytes()).decode()
  name = html.escape(title)
  return (
    f'<figure><img alt="{name}" src="data:image/png;base64,{data}">'
    f'<figcaption>{name}</figcaption></figure>'
  )


def _what_was_run(runs: dict[str, xr.Dataset]) -> pd.DataFrame:
  rows = []
  for run, data in runs.items():
    path = pathlib.Path(data.attrs['workdir']) / 'env.json'
    env = json.loads(path.read_text()) if path.exists() else {}
    versions = env.get('versions', {})
    done, wanted = int(data.step.values[-1]), data.attrs.get('train_steps')
    rows.append({
      'run': run, 'parameters': f'{data.attrs.get("parameters", 0):,}',
      'seeds': data.sizes['seed'],
      'steps': f'{done:,}' if done == wanted else f'{done:,} of {wanted:,}',
      'checkpoints': data.sizes['step'],
      'devices': ', '.join(env.get('devices', [])) or '–',
      'versions': ', '.join(f'{n} {versions[n]}' for n in _VERSIONS
                            if versions.get(n)),
      'commit': (env.get('git_commit') or '–')[:10],
      'directory': data.attrs['workdir'],
    })  # fmt: skip
  return pd.DataFrame(rows)


def problems(runs: dict[str, xr.Dataset]) -> pd.DataFrame:
  """Rows whose status is not ok, and estimates that say they are not."""
  rows = []
  for run, data in runs.items():
    bad = (data.status == timeseries.NON_FINITE).values
    for s in np.flatnonzero(bad.any(1)):
      rows.append({
        'run': run, 'seed': int(data.seed.values[s]), 'what': 'non-finite',
        'rows': int(bad[s].sum()), 'first step': int(
          data.step.values[bad[s].argmax()]),
      })  # fmt: skip
    for name in ('hessian_status', 'llc_status'):
      if name not in data:
        continue
      status = data[name].transpose('seed', ...).values
      status = status.reshape(len(status), -1)
      for s, one in enumerate(status):
        for value in np.unique(one[one > 0]):
          rows.append({
            'run': run, 'seed': int(data.seed.values[s]),
            'what': f'{name}: {Status(int(value)).words}',
            'rows': f'{int((one == value).sum())} of {int((one >= 0).sum())}',
            'first step': '',
          })  # fmt: skip
  return pd.DataFrame(rows)


def build(
  found: Study,
  runs: dict[str, xr.Dataset],
  figures: dict[str, pathlib.Path],
) -> str:
  """The page as one string of HTML.

  Args:
    found: the study.
    runs: label → timeseries, from `analysis.runs.load`.
    figures: title → PNG file, from `panels.draw`.
  """
  notes = ''.join(f'<li>{html.escape(n)}</li>' for n in found.notes)
  bad = problems(runs)
  by_claim = found.tables['claims']
  fields = {
    'answer': html.escape(text.answer(found)),
    'notes': notes or '<li>None.</li>',
    'runs': _html_table(_what_was_run(runs)),
    'claims': _html_table(by_claim.drop(columns='how')),
    'emergence': _html_table(text.emergence_summary(found)),
    'precedence': _html_table(text.precedence_summary(found)),
    'events': _html_table(found.tables['events']),
    'prediction': _html_table(found.tables['prediction']),
    'invariance': _html_table(found.tables['invariance']),
    'top_down': _html_table(found.tables['top_down']),
    'problems': '<p>None.</p>' if bad.empty else _html_table(bad),
  }
  for group in ('Emergence', 'Floors', 'Depth', 'Prediction', 'Leads'):
    chosen = [t for t in figures if t.startswith(group)]
    pictures = ''.join(_image(figures[t], t) for t in chosen)
    fields[f'figures_{group.lower()}'] = pictures or '<p>Not measured.</p>'
  payload = json.dumps(_payload(found, runs), separators=(',', ':'))
  page = _TEMPLATE.read_text()
  for name, value in fields.items():
    page = page.replace(f'<!--{name}-->', value)
  return page.replace('"<!--data-->"', payload.replace('</', '<\\/'))
