"""The report as a page: what it says. How it behaves: test_browser.py."""

import html
import re
import types

import numpy as np
import pytest

from emergence_jax.analysis import emergence, study
from emergence_jax.report import (
  anatomy,
  answers,
  glossary,
  leads,
  page,
  study_figures,
  style,
)
from tests import pages
from tests.test_study import as_run, as_runs, made_up


@pytest.fixture(scope='module')
def report(tmp_path_factory):
  return pages.build(tmp_path_factory.mktemp('report'))


def test_the_page_says_it_at_first_sight(report):
  found, _, path = report
  content = path.read_text()
  assert answers.answer(found).startswith(
    'nano: RankMe changed before accuracy in all 144 cases (a network and a '
  )
  assert 'nano: RankMe moved first in 144, ' in answers.answer(found)
  assert 'micro: RankMe moved first' in answers.answer(found)
  assert 'it precedes behaviour' in answers.answer(found)
  for one in answers.answers(found):
    for words in (one.plain, one.rank, *(clause.words for clause in one.more)):
      assert words in html.unescape(
        re.sub('<a class="word".*?>|</a>', '', content)
      )
  assert 'was compared; it is not shown to precede' in answers.answer(found)
  sections = re.findall(r'<section id="(\w+)">', content)
  nav = re.search('<nav.*?</nav>', content, re.DOTALL)[0]
  assert sections == re.findall(r'<a href="#(\w+)">', nav)
  assert sections[:2] == ['anatomy', 'leads'], 'of many runs panels are first'
  assert len(sections) == 10
  assert '<!--' not in content, 'every place is filled'
  assert 'non-finite' in content and 'not measured' in content
  markup = re.sub('<script.*?</script>', '', content, flags=re.DOTALL)
  assert not re.search(r'(src|href)="(https?:)?//', markup)
  assert path.stat().st_size < 5e6


def test_words_lead_to_their_meaning(report):
  content = report[2].read_text()
  links = set(re.findall(r'<a class="word" href="#([\w-]+)"', content))
  assert {'word-order', 'word-tie-over-seeds', 'word-rankme'} <= links
  assert links <= set(re.findall(r'<dt id="([\w-]+)">', content))
  # Column heads as well, and nothing that is not a word.
  assert re.search(r'<th><a class="word" href="#word-first"', content)
  said = str(glossary.explained('first-rate <b> and disorder, then first'))
  assert said.count('href') == 1 and '&lt;b&gt;' in said


def test_figures_come_as_png_and_svg(report):
  _, figures, _ = report
  assert {t.split(':')[0] for t in figures} == {
    'Emergence', 'Floors across sizes', 'Depth', 'Prediction', 'Leads',
    'Anatomy',
  }  # fmt: skip
  for path in (picture.path for picture in figures.values()):
    assert path.stat().st_size > 5000
    assert path.with_suffix('.svg').exists()


@pytest.mark.nightly
def test_the_largest_report_stays_small(tmp_path):
  """16 seeds × 24 task-levels × 200 checkpoints, every curve."""
  data = made_up(seeds=16, steps=200, layers=12)
  runs = as_runs(nano=data)
  found = study.study(runs, draws=20)
  folder = tmp_path / 'figures'
  makers = study_figures.makers(found, runs)
  figures = study_figures.draw(
    {t: d for t, d in makers.items() if d.section != 'anatomy'},
    folder,
  )
  assert len(page.build(found, runs, figures)) < 5e6


def test_a_run_by_itself_shows_its_seeds():
  runs = as_runs(nano=made_up())
  found = study.study(runs, draws=20)
  axis, right = study_figures.makers(found, runs)['Emergence'].make().axes
  rows = [label.get_text() for label in axis.get_yticklabels()]
  table = found.tables['emergence']
  table = table[table.rule == emergence.RULE_OF_EVENTS]
  assert rows == [f'{t} {level}' for t, level in zip(table.task, table.level)]
  counts = [label.get_text() for label in right.get_yticklabels()]
  assert counts == [f'{n}/{m}' for n, m in zip(table.emerged, table.seeds)]
  got = sum(len(x.get_xdata()) for x in axis.lines if x.get_marker() == 'o')
  missing = [len(x.get_xdata()) for x in axis.lines if x.get_marker() == '>']
  assert (got, got + sum(missing)) == (table.emerged.sum(), table.seeds.sum())
  medians = [x.get_xdata()[0] for x in axis.lines if x.get_lw() == 2]
  assert medians == table.value[np.isfinite(table.value)].tolist()


@pytest.mark.parametrize('emerges', [True, False])
def test_one_event_and_a_seed_of_one_task(tmp_path, emerges):
  data = made_up(layers=1).isel(task=[5], level=[0], seed=[0])
  if not emerges:
    data['accuracy'] = 0 * data.accuracy
  runs = {'mod 31': as_run('mod 31', data, reference=None, workdir=tmp_path)}
  found = study.study(runs, draws=20)
  figures = study_figures.draw(
    study_figures.makers(found, runs), tmp_path / 'figures'
  )
  assert len(figures) == 2 + emerges
  assert all(p.path.exists() for p in figures.values())
  content = page.build(found, runs, figures)
  # Of one size, one layer, one task, beside no study.
  kept = ['emergence', 'anatomy', 'what', 'words']
  kept = ['leads', *kept] if emerges else kept
  assert re.findall(r'<section id="(\w+)">', content) == kept
  nav = re.search('<nav.*?</nav>', content, re.DOTALL)[0]
  assert re.findall(r'<a href="#(\w+)">', nav) == kept


def test_measures_that_meet_too_seldom_are_named():
  data = made_up()
  data['rankme'] = data.rankme.where(data.step.isin(data.step.values[::20]))
  answer = answers.answer(study.study(as_runs(nano=data), draws=20))
  count = int(np.isfinite(data.rankme).any(('seed', 'task', 'layer')).sum())
  assert f'too few checkpoints of RankMe ({count})' in answer


def test_answers_when_there_is_little_to_say():
  data = made_up().drop_vars('rankme')
  found = study.study(as_runs(nano=data), draws=20)
  assert 'cannot be said' in answers.answer(found)
  rng = np.random.default_rng(0)
  noise = made_up()
  noise['rankme'] = noise.rankme.copy(data=1 + rng.random(noise.rankme.shape))
  found = study.study(as_runs(nano=noise), draws=100)
  answer = answers.answer(found)
  assert 'it precedes behaviour' not in answer.replace('that it', '')
  assert 'One other measure, ' in answer
  assert 'was compared; it is not shown to precede.' in answer
  still = made_up()
  still['accuracy'] = still.accuracy * 0
  found = study.study(as_runs(nano=still), draws=20)
  why = 'halfway from chance to 1, for five checkpoints, in none of 96 cases'
  assert why in answers.answer(found)


@pytest.mark.parametrize('verdict,ending', [
  ('precedes', 'and networks in which it changed early learned early.'),
  ('not shown', 'but it is not shown that networks in which it changed early'),
  ('undecided', 'but so few networks cannot show'),
  ('depends', 'depends on what is called the change.'),
])  # fmt: skip
def test_a_plain_sentence(verdict, ending):
  row = types.SimpleNamespace(
    first=8, events=8, unclear=0, lead=783.2, verdict=verdict
  )
  said = answers.plain(row, 1)
  start = (
    'RankMe changed before accuracy in all 8 networks, by about 780 steps '
  )
  assert said.startswith(start) and ending in said
  few = types.SimpleNamespace(**{**vars(row), 'first': 2, 'lead': 20.0})
  assert 'in 2 of 8 networks; ' in answers.plain(few, 1)
  none = types.SimpleNamespace(**{**vars(row), 'first': 0, 'unclear': 6})
  assert answers.plain(none, 1) == (
    'RankMe changed before accuracy in none of 8 networks; in 6 no change of '
    'the two stands out.'
  )
  pair = types.SimpleNamespace(**{**vars(row), 'first': 2, 'events': 2})
  assert 'accuracy in both networks, by' in answers.plain(pair, 1)
  single = types.SimpleNamespace(**{**vars(row), 'first': 1, 'events': 1})
  assert 'accuracy in the only network, by' in answers.plain(single, 1)
  assert 'in the only case (a network and' in answers.plain(single, 2)


def test_runs_that_have_nothing_to_say_are_named():
  still = made_up()
  still['accuracy'] = still.accuracy * 0
  bare = made_up()[['accuracy', 'chance', 'status']]
  runs = as_runs(nano=made_up(), micro=still, small=still, medium=bare)
  said = answers.answer(study.study(runs, draws=20)).split('\n')
  assert said[0].startswith('nano: RankMe changed before accuracy in all')
  assert said[1].startswith('micro; small: Whether geometry moved first cannot')
  assert said[2].startswith('medium: Whether geometry moved first cannot')
  assert len(said) == 3


def test_an_interval_beyond_the_axis_has_a_mark():
  figure, axis = style.subplots(figsize=(3, 2))
  for row, ends in enumerate([(-1, 1), (-9, 1), (-9, 9)]):
    axis.plot(ends, [row, row], lw=leads._INTERVAL_WIDTH)
  axis.plot([-9, 9], [3, 3], lw=1)
  axis.set_xlim(-2, 2)
  leads._clipped(axis)
  marks = [
    (x.get_marker(), int(x.get_ydata()[0])) for x in axis.lines
    if x.get_marker() in ('<', '>')
  ]  # fmt: skip
  assert marks == [('<', 1), ('<', 2), ('>', 2)]


def test_a_capability_that_did_not_come_says_by_when():
  still = made_up()
  still['accuracy'] = still.accuracy * 0
  runs = as_runs(nano=made_up(), micro=still)
  found = study.study(runs, draws=20)
  figure = study_figures.makers(found, runs)['Emergence'].make()
  words = [text.get_text() for axis in figure.axes for text in axis.texts]
  end = int(still.step.values[-1])
  assert any(
    word.startswith('0/') and word.endswith(f'by {end:,}') for word in words
  )


def test_no_panel_of_a_figure_is_flat_at_zero():
  data = made_up()

  def titles():
    axes = anatomy.figure('nano', data, 'ADD').axes
    return [axis.get_title(loc='left') for axis in axes]

  before = titles()
  data['rankme'] = 0 * data.rankme
  assert anatomy.RANK in before and anatomy.RANK not in titles()
