"""An analysis on a terminal of 80 columns: nothing is cut off."""

import pytest

from emergence_jax.analysis import study
from emergence_jax.report import terminal
from tests import test_moved
from tests.test_study import as_runs, made_up


@pytest.fixture(scope='module')
def several():
  """Two runs of a study, with measures and names of any length."""
  runs = as_runs(nano=made_up(), rather_a_long_name_of_a_run=made_up(lead=60))
  return study.study(runs, draws=50)


def _tables(text: str) -> dict[str, list[str]]:
  """Title → its lines, heads first."""
  blocks = [block.splitlines() for block in text.split('\n\n')[1:]]
  return {lines[0].strip(): lines[1:] for lines in blocks}


def test_every_column_fits(several):
  shown = terminal.study(several)
  assert max(map(len, shown.splitlines())) <= 80
  assert '…' not in shown
  tables = _tables(shown)
  title = 'What moves first: largest changes of measures and of accuracy'
  heads = ' '.join(tables[title][:2]).split()
  for word in ('run', 'measure', 'first', 'after', 'lead', 'Holm', 'verdict'):
    assert word in heads
  body = ' '.join(tables[title])
  assert all(
    word in body for v in several.tables['precedence'].verdict
    for word in v.split()
  )  # fmt: skip
  # Words of measures are whole.
  measures = several.tables['precedence'].measure
  assert all(word in body for name in measures for word in name.split())


def test_a_wide_terminal_is_not_filled(several):
  assert max(map(len, terminal.study(several, 150).splitlines())) <= 150
  narrow = terminal.study(several, 40)
  assert max(map(len, narrow.splitlines())) <= 80


def test_arms_fit():
  results = study.study({'mod 31': test_moved.made_up()}, draws=100)
  shown = terminal.study(results)
  assert max(map(len, shown.splitlines())) <= 80
  (title,) = [t for t in _tables(shown) if t.startswith('What moved it')]
  lines = _tables(shown)[title]
  for word in ('arm', 'seeds', 'beside', 'Holm', 'learned', 'verdict'):
    assert word in lines[0]
  row = next(line for line in lines if line.startswith('decay'))
  assert '12/12' in row and row.rstrip().endswith('moves it')
  later = lines[lines.index(row) + 1]
  assert later.strip().startswith('[-3')
  several = study.study({'many': test_moved.several()}, draws=50)
  rows = [
    line for line in terminal.study(several).splitlines()
    if line.startswith('decay')
  ]  # fmt: skip
  assert len(rows) == 1  # half of the capabilities; each is in the CSV
