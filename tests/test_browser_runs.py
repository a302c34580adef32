"""The page of many runs in a browser: found, grouped, switched off, framed."""

import dataclasses
import html

import numpy as np
import pandas as pd
import pytest

from emergence_jax.analysis import study
from emergence_jax.report import page
from tests.browsing import Opened, needs_browser
from tests.test_study import as_run, made_up

pytestmark = needs_browser


@pytest.fixture(scope='module')
def many(tmp_path_factory):
  """A page of runs of three rates of a step, two runs of each."""
  folder = tmp_path_factory.mktemp('many')
  runs = {}
  for i, rate in enumerate((1e-3, 1e-3, 2e-3, 2e-3, 4e-3, 4e-3)):
    run = as_run('', made_up(seeds=2, lead=60 * i), workdir=folder)
    config = {'optimizer': {'rate': rate}, 'seeds': {'first': i}}
    name = f'run {i}'
    runs[name] = dataclasses.replace(run, label=name, config=config)
  path = folder / 'report.html'
  path.write_text(page.build(study.study(runs, draws=20), runs, {}))
  return path


def test_runs_are_grouped_by_a_key(many, chromium):
  one = Opened(chromium, many, '#panel=accuracy&curves=level+1')
  assert one.page.locator('#run-table tbody tr').count() == 6
  assert one.page.locator('.panel li').count() == 6
  one.choose('group', 'rate')
  names = [t.strip() for t in one.page.locator('.panel li').all_inner_texts()]
  assert names == [
    'rate 1e-3, level 1',
    'rate 2e-3, level 1',
    'rate 4e-3, level 1',
  ]
  assert one.view()['group'] == ['rate']
  # All four seeds of a rate are in it.
  one.choose('seeds', 'all')
  with one.page.expect_download() as download:
    one.page.get_by_role('button', name='CSV').click()
  rows = pd.read_csv(download.value.path())
  seeds = [what for what in rows.what.unique() if 'seed' in what]
  assert len(seeds) == 12
  of_rate = rows[rows.run == 'run 0, run 1']
  last = of_rate[of_rate.step == of_rate.step.max()].set_index('what').value
  of_seeds = last[last.index.str.contains('seed')]
  assert of_seeds.size == 4
  np.testing.assert_allclose(last['median'], of_seeds.median(), rtol=1e-3)
  assert not one.errors


def test_runs_are_asked_for_by_name_and_lines_switched_off(many, chromium):
  one = Opened(chromium, many, '#panel=accuracy&curves=level+1')
  one.page.locator('[name=find]').fill('rate=2e-3')
  rows = one.page.locator('#run-table tbody tr:visible')
  one.wait(
    "document.querySelectorAll('#run-table tbody tr:not([hidden])').length == 2"
  )
  assert rows.count() == 2
  one.page.evaluate('delete document.body.dataset.drawn')
  one.page.get_by_role('button', name='None').click()
  one.drawn()
  assert one.view()['run'] == ['run 0', 'run 1', 'run 4', 'run 5']
  before = one.picture()
  one.page.evaluate('delete document.body.dataset.drawn')
  one.page.get_by_role('button', name='run 0, level 1').click()
  one.drawn()
  assert one.picture() != before and one.view()['off'] == ['run 0, level 1']
  assert not one.errors


def test_works_within_another_page(many, chromium, tmp_path):
  """In a `srcdoc` frame, as notebooks and dashboards show pages."""
  outer = tmp_path / 'outer.html'
  inner = html.escape(many.read_text())
  outer.write_text(f'<iframe srcdoc="{inner}" width=1100 height=800></iframe>')
  page_ = chromium.new_page()
  errors = []
  page_.on('pageerror', lambda error: errors.append(str(error)))
  page_.goto(outer.as_uri())
  frame = page_.frame_locator('iframe')
  frame.locator('.panel').first.wait_for(timeout=60_000)
  frame.locator('[name=panel]').select_option('accuracy')
  frame.locator('#plots.large .panel').wait_for(timeout=60_000)
  assert frame.locator('.panel').count() == 1 and not errors


def test_marks_of_many_runs_are_left_out(many, chromium):
  """Of up to four: more lines than panels could bear."""
  counts = []
  for run in ('&run=run+4&run=run+5', ''):  # those that are not shown
    one = Opened(chromium, many, f'#panel=accuracy&curves=level+1{run}')
    counts.append(
      one.page.evaluate("""
      [...Bokeh.index.roots].flatMap(view => view.model.center ?? [])
        .filter(item => item?.type === 'Span').length""")
    )
    assert not one.errors
  # One span is the cross hair.
  assert counts[0] > 4 and counts[1] == 1, counts
