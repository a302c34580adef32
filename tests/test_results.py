"""What is published of our runs is what their data give."""

import json
import pathlib
import re

import numpy as np
import pandas as pd
import pytest

from emergence_jax.base.types import UserError
from emergence_jax.store import layout
from experiments.results import cells, frames
from tests import apps

HERE = pathlib.Path(frames.__file__).parent
PAGE = (HERE / 'RESULTS.md').read_text(encoding='utf-8')


def _name(run):
  """A folder of a run, as RESULTS.md names it."""
  return run.relative_to(HERE).as_posix()


RUNS = sorted(path.parent for path in HERE.glob(f'**/{layout.PACKED}'))
_MEGABYTE = 2**20


@pytest.mark.nightly
def test_the_tables_are_those_of_the_data():
  done = apps.call('results', '--check')
  assert done.returncode == 0, done.stdout
  assert 'are those of its data' in done.stdout


@pytest.mark.nightly
def test_another_number_is_noticed(tmp_path, monkeypatch):
  """A table between marks is made again, whatever stands there."""
  from experiments.results import __main__ as app

  page = (
    '<!-- table runs nano -->\n| run |\n| --- |\n| by hand |\n<!-- end -->\n'
    'A text stays.\n'
  )
  after, beside = app.filled(page, app.Studies())
  assert not beside
  assert 'by hand' not in after and '| nano |' in after
  assert after.endswith('<!-- end -->\nA text stays.\n')
  assert app.filled(after, app.Studies()) == (after, {})
  page = '<!-- csv runs nano -->\n- by hand\n\nA text stays.\n'
  after, beside = app.filled(page, app.Studies())
  assert '(tables/runs_nano.csv)' in after and 'by hand' not in after
  assert beside['tables/runs_nano.csv'].startswith('run,parameters,')


def test_a_table_without_rows_is_refused():
  from experiments.results import __main__ as app

  page = '<!-- table precedence medium_long -->\n<!-- end -->\n'
  with pytest.raises(UserError, match="'precedence' of medium_long has no row"):
    app.filled(page, app.Studies())


def test_the_page_is_short():
  assert len(PAGE.splitlines()) <= 300


def test_every_figure_and_run_of_the_page_is_there():
  for image in re.findall(r'!\[[^\]]*\]\(([^)]+)\)', PAGE):
    assert (HERE / image).is_file(), image
  for table in re.findall(r'\]\((tables/[^)]+)\)', PAGE):
    assert (HERE / table).is_file(), table
  named = {
    folder
    for line in re.findall(r'<!-- (?:table|csv|figures) \S+ ([^>]+) -->', PAGE)
    for folder in line.split()
  }
  assert named == {_name(run) for run in RUNS}


@pytest.mark.parametrize('run', RUNS, ids=_name)
def test_a_run_is_small_and_names_no_machine(run):
  assert sum(p.stat().st_size for p in run.iterdir()) < 5 * _MEGABYTE
  env = json.loads((run / 'env.json').read_text())
  words = [*env['argv'], *env['flags'].values()]
  assert not [w for w in words if w.rpartition('=')[2].startswith('/')]


def test_all_of_it_is_small():
  whole = sum(p.stat().st_size for p in HERE.rglob('*') if p.is_file())
  assert whole < 25 * _MEGABYTE


def test_cells_say_what_is_not_there():
  frame = pd.DataFrame({
    'name': ['a'], 'unknown': [float('nan')], 'never': [float('inf')],
    'large': [1234.5], 'small': [0.01234], 'count': [1200],
  })  # fmt: skip
  assert cells.estimate(1.0, np.nan, np.nan) == '1 [–, –]'
  assert cells.estimate(30.0, 10.0, np.inf) == '30 [10, not yet]'
  assert cells.estimate(0.1, 1e-12, 0.6) == '0.1 [0, 0.6]'
  *_, row = cells.markdown(frame).splitlines()
  assert row == '| a | – | not yet | 1,234 | 0.0123 | 1,200 |'
