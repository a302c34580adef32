"""The page in a browser: every control, at two widths and in both modes."""

import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from emergence_jax.analysis import study
from emergence_jax.base.types import Status
from emergence_jax.report import page
from tests import pages, tiers
from tests.browsing import Opened, needs_browser
from tests.test_study import as_run, as_runs, made_up

pytestmark = needs_browser


@pytest.fixture(scope='module')
def report(tmp_path_factory):
  return pages.build(tmp_path_factory.mktemp('report'))


@pytest.mark.parametrize('width,scheme', tiers.some(
  [(1200, 'light'), (390, 'dark'), (1200, 'dark'), (390, 'light')], 0, 1
))  # fmt: skip
def test_opens_without_a_request(report, chromium, width, scheme):
  """The page forbids itself all requests (Content-Security-Policy)."""
  one = Opened(chromium, report[2], width=width, scheme=scheme)
  assert one.drawn() == 4
  assert one.page.evaluate('document.documentElement.scrollWidth') == width
  paper = 'getComputedStyle(document.body).backgroundColor'
  is_light = one.page.evaluate(paper) == 'rgb(255, 255, 255)'
  assert is_light == (scheme == 'light')
  assert not one.errors
  kept = [u for u in one.requests if not u.startswith(('data:', 'blob:'))]
  assert kept == [report[2].as_uri()]
  for image in one.page.locator('img').all():
    assert image.evaluate('one => one.naturalWidth') > 100


@pytest.mark.parametrize(
  'width,scheme', tiers.some([(1200, 'light'), (390, 'dark')], 1)
)
def test_every_control_does_something(report, chromium, width, scheme):
  one = Opened(chromium, report[2], width=width, scheme=scheme)
  before = one.picture()
  for name, value in (
    ('task', 'SORT'), ('seeds', 'all'), ('seeds', '2'), ('steps', 'log'),
    ('values', 'log'),
  ):  # fmt: skip
    assert one.choose(name, value) == 4
    assert one.view()[name] == [value]
    after = one.picture()
    assert after != before, f'{name}={value} changes nothing'
    before = after
  one.tick('[name=band]', False)
  assert one.picture() != before
  assert one.choose('panel', 'accuracy') == 1
  assert one.view()['run'] == ['nano', 'micro']
  assert 'nano, level 1' in one.legends() and 'micro, level 3' in one.legends()
  before = one.picture()
  one.choose('curves', 'level 2')
  assert 'level 1' not in one.legends() and one.picture() != before
  before = one.picture()
  one.slide('smooth', '0.9')
  assert one.picture() != before and one.view()['smooth'] == ['0.9']
  one.tick('[value=nano]', False)
  one.tick('[value=micro]', False)
  assert 'Nothing is chosen' in one.page.locator('#plots').inner_text()
  assert not one.errors


@pytest.mark.nightly
def test_the_last_of_quick_choices_is_shown(report, chromium):
  one = Opened(chromium, report[2])
  one.page.evaluate("""async () => {
    const form = document.getElementById('view');
    for (const value of ['SORT', 'ADD', 'MUL']) {
      form.task.value = value;
      form.dispatchEvent(new Event('change'));
    }
    form.panel.value = 'accuracy';
    form.dispatchEvent(new Event('change'));
  }""")
  one.wait("document.querySelectorAll('.panel').length == 1")
  one.page.locator('.plot').hover()
  assert '[' in one.legends()
  assert one.view()['task'] == ['MUL'] and not one.errors


@pytest.mark.nightly
def test_a_title_makes_its_panel_large(report, chromium):
  one = Opened(chromium, report[2])
  button = one.page.get_by_role('button', name='RankMe (dimensions)')
  small = button.locator('xpath=../..').bounding_box()
  button.click()
  one.wait("document.querySelectorAll('.panel').length == 1")
  large = button.locator('xpath=../..').bounding_box()
  assert large['width'] > 2 * small['width']
  assert large['height'] > 1.5 * small['height']
  button.click()
  one.wait("document.querySelectorAll('.panel').length == 4")
  assert not one.errors


def _drag(one: Opened, left: float, right: float) -> None:
  """Zooms by a drag over a part of the first panel."""
  box = one.page.locator('.plot').first.bounding_box()
  x = [box['x'] + box['width'] * part for part in (left, right)]
  y = box['y'] + box['height'] / 2
  one.page.mouse.move(x[0], y)
  one.page.mouse.down()
  one.page.mouse.move(x[1], y, steps=4)
  one.page.mouse.up()
  one.wait("location.hash.includes('from=')")


@pytest.mark.nightly
def test_zoom_and_back_and_the_address(report, chromium):
  one = Opened(chromium, report[2])
  one.page.locator('#plots').scroll_into_view_if_needed()
  back = one.page.get_by_role('button', name='Zoom back')
  whole = one.picture()
  assert back.is_disabled()
  _drag(one, 0.5, 0.8)
  view = one.view()
  first, last = float(view['from'][0]), float(view['to'][0])
  assert 0 < first < last
  again = Opened(chromium, report[2], '#' + one.page.url.split('#')[1])
  assert again.view() == view, 'a link keeps the view'
  assert whole not in (one.picture(), again.picture())
  _drag(one, 0.6, 0.9)
  one.wait(f"!location.hash.includes('from={first:g}&')")
  assert float(one.view()['from'][0]) > first
  back.click()
  one.wait(f"location.hash.includes('from={first:g}&')")
  back.click()
  one.wait("!location.hash.includes('from=')")
  assert back.is_disabled()
  _drag(one, 0.5, 0.8)
  one.page.locator('.plot').first.dblclick()
  one.wait("!location.hash.includes('from=')")
  assert not one.errors + again.errors


@pytest.mark.nightly
def test_a_link_to_a_section_keeps_the_view(report, chromium):
  one = Opened(chromium, report[2])
  one.choose('task', 'SORT')
  one.page.get_by_role('link', name='Floors').click()
  assert one.view()['section'] == ['floors'] and one.view()['task'] == ['SORT']
  top = "document.getElementById('floors').getBoundingClientRect().top"
  one.wait(f'Math.abs({top}) < 100')
  for link in one.page.locator('.answer a').all():
    place = one.page.locator(link.get_attribute('href'))
    link.click()
    assert place.is_visible(), 'what is folded is opened'
  assert one.view()['task'] == ['SORT']


@pytest.mark.nightly
def test_crosshair_and_keys_read_values_in_all_panels(report, chromium):
  one = Opened(chromium, report[2])
  at = one.page.locator('#at')
  plain = one.legends()
  one.page.locator('.plot').nth(1).hover()
  assert at.inner_text().startswith('step ')
  for legend in one.page.locator('#plots ul').all_inner_texts():
    assert '[' in legend, 'every panel says its values at that step'
  one.page.mouse.move(1, 1)
  assert one.legends() == plain
  one.page.locator('#plots').focus()
  one.page.keyboard.press('ArrowRight')
  assert at.inner_text() == 'step 0'
  one.page.keyboard.press('ArrowRight')
  one.page.keyboard.press('ArrowRight')
  step = int(at.inner_text().removeprefix('step ').replace(',', ''))
  data = one.page.evaluate('document.getElementById("plots").ariaLabel')
  assert step > 0 and 'arrow keys' in data
  one.page.keyboard.press('Escape')
  assert one.legends() == plain
  labels = one.page.get_by_role('img').evaluate_all(
    'all => all.map(one => one.ariaLabel || one.alt)'
  )
  assert all(labels) and any('RankMe' in label for label in labels)
  for control in one.page.locator('#view select, #view input').all():
    assert control.evaluate('one => one.labels.length') == 1


def test_csv_has_what_is_shown(report, chromium):
  _, _, path = report
  one = Opened(
    chromium,
    path,
    '#run=nano&task=SORT&panel=accuracy&seeds=2&from=0&to=900',
  )
  with one.page.expect_download() as download:
    one.page.get_by_role('button', name='CSV').click()
  rows = pd.read_csv(download.value.path())
  assert set(rows.run) == {'nano'} and set(rows.task) == {'SORT'}
  assert set(rows.panel) == {'accuracy'} and rows.step.max() <= 900
  data = as_run('nano', made_up(seeds=6)).data
  seed = rows[(rows.what == 'seed 2') & (rows.curve == 'level 2')]
  wanted = data.accuracy.sel(seed=2, task='SORT', level='2')
  np.testing.assert_allclose(
    seed.value, wanted.sel(step=seed.step.values), rtol=1e-3
  )
  middle = rows[(rows.what == 'median') & (rows.curve == 'level 2')]
  wanted = data.accuracy.sel(task='SORT', level='2').median('seed')
  np.testing.assert_allclose(
    middle.value, wanted.sel(step=middle.step.values), rtol=1e-3
  )


@pytest.mark.nightly
def test_what_is_not_ok_is_named(tmp_path, chromium):
  """Of so many values that they cannot be the arguments of a function."""
  found = study.study(as_runs(nano=made_up()), draws=20)
  data = made_up(seeds=60, layers=24)
  data['llc_status'] = xr.zeros_like(data.llc, np.int8)
  data.llc_status[dict(seed=slice(20))] = int(Status.NOT_MIXED)
  runs = {'nano': as_run('nano', data, workdir=tmp_path)}
  path = tmp_path / 'report.html'
  path.write_text(page.build(found, runs, {}))
  one = Opened(chromium, path, '#seeds=all')
  assert one.drawn() == 4 and not one.errors
  assert '4,000 of 6,000 usable' in one.legends()


@pytest.mark.nightly
def test_an_old_browser_is_told(report, chromium):
  context = chromium.new_context()
  context.add_init_script('delete window.DecompressionStream')
  page = context.new_page()
  page.goto(report[2].as_uri())
  page.get_by_text('too old for the panels').wait_for()


@pytest.mark.nightly
def test_print_shows_everything_once(report, chromium):
  one = Opened(chromium, report[2])
  folded = one.page.locator('details:not([open])')
  count = folded.count()
  assert count > 3
  one.page.evaluate("dispatchEvent(new Event('beforeprint'))")
  assert folded.count() == 0
  one.page.emulate_media(media='print')
  assert not one.page.locator('nav').is_visible()
  scrolled = one.page.locator('.scroll').evaluate_all(
    'all => all.filter(one => one.scrollHeight > one.clientHeight + 1).length'
  )
  assert scrolled == 0
  one.page.evaluate("dispatchEvent(new Event('afterprint'))")
  assert folded.count() == count


def test_hovering_reads_the_seed_that_is_chosen(report, chromium):
  """And not the median, where no median is drawn."""
  view = '#run=nano&task=SORT&panel=accuracy&seeds=2&band=off&steps=linear'
  one = Opened(chromium, report[2], view)
  one.page.locator('#plots').focus()
  for _ in range(30):
    one.page.keyboard.press('ArrowRight')
  step = int(one.page.locator('#at').inner_text().split()[1].replace(',', ''))
  data = as_run('nano', made_up(seeds=6)).data
  wanted = data.accuracy.sel(seed=2, task='SORT', step=step).values
  said = one.page.locator('#plots li').all_inner_texts()
  found = [float(text.partition('seed 2: ')[2]) for text in said]
  np.testing.assert_allclose(found, wanted, rtol=1e-3)
  assert not any('[' in text for text in said) and not one.errors


def test_a_tap_reads_values(report, chromium):
  """On a phone, where nothing hovers, and where the page was scrolled."""
  context = chromium.new_context(
    viewport={'width': 390, 'height': 844}, has_touch=True, is_mobile=True
  )
  page_ = context.new_page()
  page_.goto(report[2].as_uri() + '#run=nano')
  page_.locator('.panel canvas, .panel .bk-Figure').first.wait_for(
    state='attached', timeout=60_000
  )
  plot = page_.locator('.plot').nth(1)
  plot.scroll_into_view_if_needed()
  box = plot.bounding_box()
  page_.wait_for_function('document.body.dataset.drawn', timeout=60_000)
  page_.touchscreen.tap(box['x'] + 0.6 * box['width'], box['y'] + 60)
  readout = page_.locator('#at')
  assert re.match(r'step [\d,]+', readout.inner_text())
  assert 0 <= readout.bounding_box()['y'] < 844
  context.close()


@pytest.fixture(scope='module')
def with_tokens(tmp_path_factory):
  """A page of a run whose steps are known in tokens."""
  folder = tmp_path_factory.mktemp('tokens')
  data = made_up(seeds=3)
  values = 2000.0 * data.step.values
  data = data.assign_coords(tokens=('step', values))
  runs = {'nano': as_run('nano', data, workdir=folder)}
  found = study.study(runs, draws=20)
  path = folder / 'report.html'
  path.write_text(page.build(found, runs, {}))
  return path


@pytest.mark.nightly
def test_the_axis_may_be_of_tokens(report, with_tokens, chromium):
  one = Opened(chromium, with_tokens)
  before = one.picture()
  one.choose('axis', 'tokens')
  assert one.picture() != before and one.view()['axis'] == ['tokens']
  one.page.locator('#plots').focus()
  for _ in range(3):
    one.page.keyboard.press('ArrowRight')
  tokens = one.page.locator('#at').inner_text().removeprefix('tokens ')
  assert float(tokens.replace(',', '')) % 2000 == 0
  with one.page.expect_download() as download:
    one.page.get_by_role('button', name='CSV').click()
  rows = pd.read_csv(download.value.path())
  assert (rows.tokens % 2000 == 0).all() and rows.tokens.max() > 2000
  assert not one.errors
  other = Opened(chromium, report[2])
  assert not other.page.locator('#axis').is_visible()
