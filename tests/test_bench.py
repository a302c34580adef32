"""Benchmarks run, and say what they measured and where."""

import json

import pytest

from experiments.bench import (
  accelerator,
  analysis,
  formatting,
  precision,
  scaling,
)
from tests import apps

TINY = ('tests.bench_config', 'algorithmic')


@pytest.mark.nightly
def test_the_script_for_accelerators_runs_to_its_end():
  """Here on a CPU, with a tiny model in the place of nano and large."""
  found = accelerator.run(
    None, 2, with_peers=False, nano=TINY, large=TINY, counts=(2,), steps=2,
    side=64, precisions=('bfloat16',),
  )  # fmt: skip
  seeds, peak, measures = found
  assert [row[:3] for row in seeds.rows] == [
    [2, 'vmap', 'bfloat16'], [2, 'map', 'bfloat16'],
  ]  # fmt: skip
  assert [row[0] for row in peak.rows] == ['bfloat16']
  assert [row[0] for row in measures.rows] == ['behaviour', 'rank', 'all']


def test_what_does_not_fit_into_the_time_is_left_out():
  clock = accelerator._Clock(0.0)
  assert accelerator._peak(clock, TINY, 64, 1, ['float32']).rows == []
  assert clock.left_out == ['large, float32']


@pytest.mark.nightly
def test_processes_are_timed_together():
  assert scaling._together(2, 2, TINY) > 0


def test_precisions_are_compared_in_units_of_the_spread():
  whole = analysis.made_up(5)
  fewer = whole.copy(deep=True)
  fewer['rankme'] = whole.rankme + 2 * whole.rankme.std('seed')
  rows = {
    row[0]: row[1:] for row in precision.compared(whole, fewer, [0, 19_900])
  }
  for name, row in rows.items():
    if row[0] is not None and 'RankMe' not in name:
      assert row[2] == pytest.approx(0), name
  assert any(row[2] and row[2] > 1 for row in rows.values())


def test_tables_are_written_for_programs_and_for_people(tmp_path):
  one = formatting.Table(
    'work', ['a', 'b'], [['x', 1.5], ['y', None]], ['note.']
  )
  on = {
    'command': 'c', 'date': 'd', 'commit': 'e' * 40, 'dirty': True, 'cores': 2,
    'processor': 'p', 'backend': 'cpu', 'versions': {'jax': '1'},
  }  # fmt: skip
  data, text = formatting.write(tmp_path, 'name', [one], on)
  found = json.loads(data.read_text())
  assert found['machine']['cores'] == 2
  assert found['tables'] == [{
    'title': 'work', 'rows': [{'a': 'x', 'b': 1.5}, {'a': 'y', 'b': None}],
    'notes': ['note.'],
  }]  # fmt: skip
  words = text.read_text()
  assert '| x | 1.5 |' in words and '| y | – |' in words
  assert 'eeeeeeeeeeee (changed)' in words and '`c`' in words


@pytest.mark.nightly
def test_a_benchmark_is_called_by_its_name(tmp_path):
  done = apps.call('bench', 'analysis', '--ours', '--seeds=2',
                   f'--out={tmp_path}')  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert 'the whole study, nine measures' in done.stdout
  assert (tmp_path / 'analysis.md').exists()
  unknown = apps.call('bench', 'speed')
  assert unknown.returncode != 0
  assert 'name one benchmark of: train' in unknown.stdout + unknown.stderr
