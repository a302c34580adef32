"""The report as a page: its content, and how it behaves in a browser."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from emergence_jax.analysis import study
from emergence_jax.report import page, panels, text
from emergence_jax.types import Status
from tests.test_study import as_run, as_runs, made_up

BROWSER = shutil.which('chromium') or shutil.which('chromium-browser')
# Run behind the page's own script: switches, and leaves what it saw.
DRIVER = """
<script>
const seen = {errors, all: document.querySelectorAll('#plots svg').length};
pick('task').value = 'SORT'; pick('task').onchange();
seen.task = pick('task').value;
seen.measures = pick('measure').options.length;
pick('measure').value = 'RankMe (dimensions)'; pick('measure').onchange();
seen.one = document.querySelectorAll('#plots svg').length;
seen.lines = document.querySelectorAll('#plots polyline').length;
pick('run').value = 'micro'; pick('run').onchange();
seen.run = pick('run').value;
seen.requests = performance.getEntriesByType('resource').map(e => e.name)
  .filter(name => !name.startsWith('data:'));
document.body.dataset.seen = JSON.stringify(seen);
</script></body>
"""


@pytest.fixture(scope='module')
def report(tmp_path_factory):
  folder = tmp_path_factory.mktemp('report')
  runs = {
    'nano': as_run('nano', made_up(seeds=6), workdir=folder),
    'micro': as_run('micro', made_up(6, lead=60), workdir=folder),
  }
  runs['micro'].data.status[1, 50:] = Status.NON_FINITE
  found = study.study(runs, draws=400)
  makers = panels.makers(found, runs)
  # One anatomy of sixteen: they take a second each.
  drawn = {
    title: make
    for title, make in makers.items()
    if not title.startswith('Anatomy') or title == 'Anatomy: micro: SORT'
  }
  assert len(makers) - len(drawn) == 15
  figures = panels.draw(drawn, folder / 'figures')
  path = folder / 'report.html'
  path.write_text(page.build(found, runs, figures))
  return found, figures, path


def test_the_page_says_it_at_first_sight(report):
  found, _, path = report
  content = path.read_text()
  assert text.answer(found).startswith('nano: RankMe moved first in 144, ')
  assert 'micro: RankMe moved first' in text.answer(found)
  assert 'it precedes behaviour' in text.answer(found)
  assert html.escape(text.answer(found)) in content
  assert 'None of 1 other measures is shown' in text.answer(found)
  sections = re.findall(r'<section id="(\w+)">', content)
  assert sections == re.findall(r'<a href="#(\w+)">', content)[:9]
  assert sections[0] == 'leads', 'the figure that shows the answer is first'
  assert len(sections) == 9
  assert '<!--' not in content, 'every place is filled'
  assert 'non-finite' in content and 'not measured' in content
  assert not re.search(r'(src|href)="(https?:)?//', content)
  assert path.stat().st_size < 5e6


def test_figures_come_as_png_and_svg(report):
  _, figures, _ = report
  assert {t.split(':')[0] for t in figures} == {
    'Emergence', 'Floors across sizes', 'Depth', 'Prediction', 'Leads',
    'Anatomy',
  }  # fmt: skip
  for path in figures.values():
    assert path.stat().st_size > 5000
    assert path.with_suffix('.svg').exists()


def test_the_largest_report_stays_small():
  """16 seeds × 24 task-levels × 200 checkpoints, every curve."""
  data = made_up(seeds=16, steps=200, layers=12)
  payload = json.dumps(page._payload(as_runs(nano=data)))
  assert len(payload) < 2e6


@pytest.mark.parametrize('emerges', [True, False])
def test_one_event_and_a_seed_of_one_task(tmp_path, emerges):
  data = made_up(layers=1).isel(task=[5], level=[0], seed=[0])
  if not emerges:
    data['accuracy'] = 0 * data.accuracy
  runs = {'mod 31': as_run('mod 31', data, reference=None, workdir=tmp_path)}
  found = study.study(runs, draws=20)
  figures = panels.draw(panels.makers(found, runs), tmp_path / 'figures')
  assert len(figures) == 3 and all(p.exists() for p in figures.values())
  content = page.build(found, runs, figures)
  # Of one size, one layer, one task, beside no study.
  kept = ['leads', 'emergence', 'anatomy', 'runs', 'problems']
  assert re.findall(r'<section id="(\w+)">', content) == kept
  assert re.findall(r'<a href="#(\w+)">', content)[: len(kept)] == kept


@pytest.mark.skipif(not BROWSER, reason='no chromium on this machine')
def test_in_a_browser(report, tmp_path):
  """Switches task and measure: no console error, no request leaves.

  The page forbids itself all requests (Content-Security-Policy), so that one
  would be an error too.
  """
  content = report[2].read_text()
  watch = (
    '<script>const errors = []; onerror = m => errors.push(String(m)); '
    'const log = console.error; console.error = (...a) => '
    "{ errors.push(a.join(' ')); log(...a); }; "
    "document.addEventListener('securitypolicyviolation', "
    'e => errors.push(e.blockedURI));</script></head>'
  )
  driven = content.replace('</head>', watch, 1)
  driven = DRIVER.join(driven.rsplit('</body>', 1))
  path = tmp_path / 'driven.html'
  path.write_text(driven)
  done = subprocess.run(
    [
      BROWSER, '--headless', '--no-sandbox', '--disable-gpu',
      '--disable-dev-shm-usage', '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync', '--no-first-run',
      f'--user-data-dir={tmp_path / "profile"}',
      '--enable-logging=stderr', '--dump-dom', path.as_uri(),
    ],
    capture_output=True, text=True, timeout=120,
  )  # fmt: skip
  match = re.search(r'data-seen="([^"]*)"', done.stdout)
  assert match, done.stderr[-2000:]
  seen = json.loads(match[1].replace('&quot;', '"'))
  assert seen['errors'] == []
  assert seen['all'] == 4 and seen['task'] == 'SORT' and seen['one'] == 1
  assert seen['lines'] == 2 and seen['measures'] == 5 and seen['run'] == 'micro'
  assert 'CONSOLE' not in done.stderr
  assert seen['requests'] == []


def test_answers_when_there_is_little_to_say():
  data = made_up().drop_vars('rankme')
  found = study.study(as_runs(nano=data), draws=20)
  assert 'cannot be said' in text.answer(found)
  rng = np.random.default_rng(0)
  noise = made_up()
  noise['rankme'] = noise.rankme.copy(data=1 + rng.random(noise.rankme.shape))
  found = study.study(as_runs(nano=noise), draws=100)
  answer = text.answer(found)
  assert 'it precedes behaviour' not in answer.replace('that it', '')
  assert 'None of 1 other measures is shown to precede.' in answer
  still = made_up()
  still['accuracy'] = still.accuracy * 0
  found = study.study(as_runs(nano=still), draws=20)
  assert 'no capability emerged in 96 events' in text.answer(found)
