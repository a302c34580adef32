"""One self-contained HTML page of a study, for a browser without a network."""

import base64
import html
import json
import pathlib
import re
from collections.abc import Collection

import numpy as np
import pandas as pd
import xarray as xr

from emergence_jax import files, progress
from emergence_jax.analysis import emergence
from emergence_jax.analysis import runs as runs_lib
from emergence_jax.analysis.runs import Run, Runs
from emergence_jax.analysis.study import Study
from emergence_jax.report import anatomy, text
from emergence_jax.types import BAD_ROWS, Status

_TEMPLATE = pathlib.Path(__file__).with_name('page.html')
# Sections that are left out where they have no figure.
_GROUPS = ('Emergence', 'Floors', 'Depth', 'Leads', 'Prediction')
_VERSIONS = ('jax', 'flax', 'optax', 'numpy', 'xarray')


def _numbers(values: np.ndarray) -> list:
  """JSON numbers of four digits; None for what is not finite."""
  return [float(f'{v:.4g}') if np.isfinite(v) else None for v in values]


def _curve(line: anatomy.Curve) -> dict:
  return {
    'name': line.name,
    'step': [int(s) for s in line.step],
    'mid': _numbers(line.mid),
    'low': _numbers(line.low),
    'high': _numbers(line.high),
    'flagged': [[int(s), float(f'{v:.4g}')] for s, v in zip(*line.flagged)],
  }


def _task(data: xr.Dataset, task: str) -> dict:
  """Panels and marks of one task, as the page's script draws them."""
  at = anatomy.marks(data, task)
  return {
    'panels': {
      label: [_curve(line) for line in lines]
      for label, lines in anatomy.curves(data, task).items()
    },
    'events': _numbers(np.array(list(at.emergence.values()))),
    'rank': _numbers(np.array([at.floor, at.recovered])),
  }


def _payload(runs: Runs) -> dict:
  """Run → task → what is drawn of it."""
  return {
    name: {task: _task(run.data, task) for task in run.tasks}
    for name, run in runs.items()
  }


def _html_table(frame: pd.DataFrame, none: str = 'Not measured.') -> str:
  """A table, or a sentence where it has no rows."""
  if not len(frame):
    return f'<p>{html.escape(none)}</p>'
  shown = frame.map(text.number)
  table = shown.to_html(index=False, border=0, escape=True)
  return f'<div class="scroll">{table}</div>'


def _folded(summary: str, frame: pd.DataFrame) -> str:
  """A table behind its title."""
  name = html.escape(summary)
  return f'<details><summary>{name}</summary>{_html_table(frame)}</details>'


def _claims(frame: pd.DataFrame) -> str:
  """The claims; folded where there is nothing to say on any."""
  if (frame.verdict == 'not measured').all():
    table = _folded("The study's numbers", frame)
    return f'<p>Nothing was measured that decides a claim.</p>{table}'
  return _html_table(frame)


def _timing(frame: pd.DataFrame) -> str:
  """Whether early geometry tells when a seed gets there; nothing if unknown."""
  if not len(frame):
    return ''
  said = [
    f'{window} {(one.verdict == "tells").sum()} of {len(one)}'
    for window, one in frame.groupby('window', sort=False)
  ]
  return (
    '<p class="note"><b>Timing within a task, over seeds.</b> Does the early '
    'geometry of a seed tell when that seed gets there? Rank correlation '
    "(Kendall's tau) of features of each measure with the step of emergence, "
    'seeds that never emerge being last; mean over the events of a run, tested '
    f'by permuting seeds. After correction for all hold: {", ".join(said)}. '
    '(By the median half of the seeds have emerged, so that what is found '
    'there alone may be emergence itself.)</p>'
    + _folded('Table: every feature of every measure', frame)
  )


def _image(path: pathlib.Path, title: str) -> str:
  data = base64.b64encode(path.read_bytes()).decode()
  name = html.escape(title)
  return (
    f'<figure><img alt="{name}" src="data:image/png;base64,{data}">'
    f'<figcaption>{name}</figcaption></figure>'
  )


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


def _what_was_run(runs: Runs) -> pd.DataFrame:
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


def _configs(runs: Runs) -> str:
  """Each run's configuration, folded."""
  parts = []
  for run, one in runs.items():
    words = html.escape(json.dumps(one.config, indent=1))
    name = html.escape(run)
    parts.append(
      f'<details><summary>Configuration of {name}</summary><pre>{words}</pre>'
      '</details>'
    )
  return ''.join(parts)


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
      for s, one in enumerate(status):
        for value in np.unique(one[one > 0]):
          here = one == value
          rows.append({
            'run': run, 'seed': int(data.seed.values[s]),
            'what': f'{name}: {Status(int(value)).words}',
            'rows': int(here.sum()), 'of': int((one >= 0).sum()),
            'first step': int(data.step.values[here.any(1).argmax()]),
          })  # fmt: skip
  return pd.DataFrame(rows)


def _problems(frame: pd.DataFrame) -> str:
  """Problems by what they are, and behind that each seed's."""
  if not len(frame):
    return '<p>None.</p>'
  rows = [
    {
      'run': run, 'what': what, 'seeds': len(one),
      'rows that are not ok': int(one['rows'].sum()),
      'of': int(one['of'].sum()), 'first step': int(one['first step'].min()),
    }
    for (run, what), one in frame.groupby(['run', 'what'], sort=False)
  ]  # fmt: skip
  return _html_table(pd.DataFrame(rows)) + _folded('Table: by seed', frame)


def _without(template: str, sections: Collection[str]) -> str:
  """The page without some sections, and without the links to them."""
  for name in sections:
    template = re.sub(
      rf'<section id="{name}">.*?</section>\n|<a href="#{name}">[^<]*</a>\n?',
      '', template, flags=re.DOTALL,
    )  # fmt: skip
  return template


def build(
  found: Study,
  runs: Runs,
  figures: dict[str, pathlib.Path],
) -> str:
  """The page as one string of HTML.

  Args:
    found: the study.
    runs: label → run, from `analysis.runs.load`.
    figures: title → PNG file, from `panels.draw`.
  """
  notes = ''.join(f'<li>{html.escape(n)}</li>' for n in found.notes)
  tables = found.tables
  prediction = tables['prediction']
  if len(prediction):
    prediction = prediction[prediction['count'] > 0]
  fields = {
    'answer': html.escape(text.answer(found)),
    'rule': html.escape(emergence.WORDS[emergence.RULE_OF_EVENTS]),
    'notes': notes or '<li>None.</li>',
    'runs': _html_table(_what_was_run(runs)),
    'configs': _configs(runs),
    'claims': _claims(tables['claims'].drop(columns='how')),
    'numbers': _folded(
      'Table: every number that the paper gives for a size, beside ours',
      tables['numbers'],
    )
    if len(tables['numbers'])
    else '',
    'emergence': _folded(
      'Table: medians and 95% intervals over seeds',
      text.emergence_summary(found),
    ),
    'precedence': _folded(
      'Table: the tests of every measure', text.precedence_summary(found)
    ),
    'precursors': _folded(
      "Table: precursors, the paper's way", text.precursors_summary(found)
    ),
    'phases': _html_table(tables['phases'], ''),
    'published': _folded(
      'Table: leads over published accuracies, which are of one seed and are '
      'not tested',
      tables['published'],
    )
    if len(tables['published'])
    else '',
    'timing': _timing(tables['timing'])
    + ''.join(_image(figures[t], t) for t in figures if t.startswith('Timing')),
    'events': _folded('Table: the 13 event metrics', tables['events']),
    'prediction': _html_table(prediction, 'No pairs of events to order.'),
    'invariance': _html_table(tables['invariance'])
    + (
      _folded(
        "Table: every convention of RankMe beside the paper's numbers",
        tables['variants'],
      )
      if len(tables['variants'])
      else ''
    ),
    'top_down': _html_table(tables['top_down'], ''),
    'problems': _problems(problems(runs)),
  }
  # What has nothing to say is left out.
  empty = set() if len(tables['claims']) else {'claims'}
  for group in _GROUPS:
    chosen = [t for t in figures if t.startswith(group)]
    pictures = ''.join(_image(figures[t], t) for t in chosen)
    fields[f'figures_{group.lower()}'] = pictures
    if not pictures:
      empty.add(group.lower())
  template = _without(_TEMPLATE.read_text(encoding='utf-8'), empty)
  payload = json.dumps(_payload(runs), separators=(',', ':'))
  # No name can end the script, or begin a comment in it.
  fields['data'] = payload.replace('<', '\\u003c')
  # In one pass, so that what is put in is not looked at again.
  return re.sub(
    r'"<!--(data)-->"|<!--(\w+)-->',
    lambda found: fields[found[1] or found[2]],
    template,
  )
