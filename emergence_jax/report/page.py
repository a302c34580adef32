"""One self-contained HTML page of a study, for a browser without a network."""

import base64
import json
import pathlib
from collections.abc import Mapping

import jinja2
import pandas as pd
from markupsafe import Markup

from emergence_jax.analysis import emergence
from emergence_jax.analysis.runs import Runs
from emergence_jax.analysis.study import Study
from emergence_jax.analysis.timing import ADDS, BASELINE, MEASURE
from emergence_jax.report import (
  answers,
  glossary,
  moved,
  payload,
  run_tables,
  style,
  text,
)
from emergence_jax.report.study_figures import Picture

_HERE = pathlib.Path(__file__).parent
_SCRIPTS = 'scales.js', 'panels.js', 'runs.js', 'reading.js', 'page.js'
# Sections in their order; those of the first row are left out if they have no
# figure, the others if they have no table.
_WITH_FIGURES = 'moved', 'leads', 'emergence', 'depth', 'floors', 'prediction'
# More answers are folded.
_MOST_ANSWERS = 3
_SECTIONS = {
  'moved': 'What moves it', 'leads': 'Precedence', 'emergence': 'Emergence',
  'anatomy': 'Curves', 'depth': 'Depth', 'floors': 'Floors',
  'prediction': 'Prediction', 'claims': 'Claims', 'what': 'Runs',
  'problems': 'Problems', 'words': 'Words',
}  # fmt: skip


def _table(frame: pd.DataFrame) -> Markup:
  """A table of which wide ones scroll."""
  shown = frame.map(text.number).rename(columns=text.heading)
  table = shown.to_html(index=False, border=0, escape=True)
  # An order of events is no test of order.
  for name in set(shown.columns) & set(glossary.WORDS) - {'order'}:
    table = table.replace(
      f'<th>{name}</th>', f'<th>{glossary.explained(name)}</th>', 1
    )
  return Markup(f'<div class="scroll" tabindex="0">{table}</div>')


def _read(name: str) -> Markup:
  """A part of the page as it is."""
  return Markup((_HERE / name).read_text(encoding='utf-8'))


def _library() -> list[Markup]:
  """The plotting library's own script, to be written into the page."""
  from bokeh.resources import Resources  # a third of a second

  scripts = Resources(
    mode='inline', components=['bokeh', 'bokeh-api'], log_level='warn'
  ).js_raw
  return [Markup(script) for script in scripts]


def _figures(pictures: Mapping[str, Picture]) -> list[dict]:
  """Title, section, run and image of every figure."""
  return [
    {
      'title': title,
      'section': picture.section,
      'run': picture.run,
      'id': f'figure-{picture.path.stem}',
      'source': 'data:image/png;base64,'
      + base64.b64encode(picture.path.read_bytes()).decode(),
    }
    for title, picture in pictures.items()
    if picture.section != 'anatomy'  # the page draws them itself
  ]


def _told(timing: pd.DataFrame) -> str:
  """How many features tell when a seed gets there, by window."""
  if not len(timing):
    return ''
  said = []
  for window, rows in timing.groupby('window', sort=False):
    measures = rows[rows.kind == MEASURE]
    baselines = rows[rows.kind == BASELINE]
    said.append(
      f'{window} {(measures.verdict == "tells").sum()} of {len(measures)} '
      f'features of measures tell, {(measures.beyond == ADDS).sum()} of them '
      f'beyond the baselines, and {(baselines.verdict == "tells").sum()} of '
      f'{len(baselines)} features of baselines'
    )
  return '; '.join(said)


def _template(name: str) -> jinja2.Template:
  """A template of this folder, in which every value is escaped."""
  environment = jinja2.Environment(
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    loader=jinja2.FileSystemLoader(_HERE),
  )
  environment.filters['table'] = _table
  environment.filters['explained'] = glossary.explained
  return environment.get_template(name)


def _parts(runs: Runs) -> dict:
  """What the panels take: data, look and scripts."""
  return {
    'data': payload.packed(runs),
    'rule': emergence.WORDS[emergence.RULE_OF_EVENTS],
    'colours': style.task_colours(8),
    'css': _read('page.css'),
    'library': _library(),
    'script': Markup('\n').join(_read(name) for name in _SCRIPTS),
  }


def live(runs: Runs, *, watched: bool = False) -> str:
  """The page of runs that go on: their curves, and no tests of them.

  Args:
    runs: label → run, from `analysis.runs.load`.
    watched: whether it asks the server that it comes from for newer data.
  """
  return _template('live.html').render(
    **_parts(runs), title='emergence_jax run', state=state(runs),
    watched=watched,
  )  # fmt: skip


def state(runs: Runs) -> str:
  """How far runs have come, in a sentence."""
  said = []
  for name, run in runs.items():
    step = int(run.data.step.values[-1])
    of = f' of {run.train_steps:,}' if run.is_unfinished else ''
    said.append(f'{name}: {run.data.sizes["seed"]} seeds at step {step:,}{of}')
  goes_on = any(run.is_unfinished for run in runs.values())
  end = 'What moved first is tested at the end' if goes_on else (
    'All is there; the report tests what moved first'
  )  # fmt: skip
  return f'{"; ".join(said)}. {end}.'


def _order(shown: set[str], panels_first: bool) -> list[tuple[str, str]]:
  """Sections that are there, with their names, in their order."""
  ids = sorted(_SECTIONS, key=lambda i: not (panels_first and i == 'anatomy'))
  return [(id_, _SECTIONS[id_]) for id_ in ids if id_ in shown]


def build(
  results: Study,
  runs: Runs,
  pictures: Mapping[str, Picture],
) -> str:
  """The page as one string of HTML.

  Args:
    results: the study.
    runs: label → run, from `analysis.runs.load`.
    pictures: title → picture, from `study_figures.draw`.
  """
  tables = results.tables
  prediction, claims = tables['prediction'], tables['claims']
  if len(prediction):
    prediction = prediction[prediction['count'] > 0]
  figures = _figures(pictures)
  problems = run_tables.problems(runs)
  shown = {figure['section'] for figure in figures} & set(_WITH_FIGURES)
  shown |= {'anatomy', 'what', 'words'}
  panels_first = len(runs) > 1
  shown |= {'claims'} if len(claims) else set()
  shown |= {'problems'} if len(problems) else set()
  return _template('page.html').render(
    **_parts(runs),
    answers=answers.answers(results),
    leads={
      figure['run']: figure['id'] for figure in figures
      if figure['section'] == 'leads' and figure['run']
    },
    sections=_order(shown, panels_first),
    words=[(glossary.anchor(w), w, say) for w, say in glossary.WORDS.items()],
    panels_first=panels_first,
    most_answers=_MOST_ANSWERS,
    shown=shown,
    figures=figures,
    tables=tables,
    moved=moved.sentences(results),
    precedence=text.precedence_summary(results),
    cadences=text.cadences_summary(results),
    precursors=text.precursors_summary(results),
    emergence=text.emergence_summary(results),
    timing=_told(tables['timing']),
    prediction=prediction,
    claims=claims.drop(columns='how') if len(claims) else claims,
    decided=len(claims) and (claims.verdict != 'not measured').any(),
    what_was_run=run_tables.what_was_run(runs),
    configs=[(n, json.dumps(run.config, indent=1)) for n, run in runs.items()],
    notes=results.notes,
    problems=problems,
    problem_kinds=run_tables.problem_kinds(problems),
  )  # fmt: skip
