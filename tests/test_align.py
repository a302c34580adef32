"""Runs that differ: what is aligned, and what is said to be left out."""

import json

import numpy as np
import pytest

from emergence_jax.analysis import align, published, runs, study, tables
from emergence_jax.analysis.paper import algorithmic as paper
from emergence_jax.analysis.paper import prediction
from emergence_jax.config import schema
from emergence_jax.config.presets import algorithmic, modadd
from tests.test_study import as_run, as_runs, made_up


def test_runs_alike_need_no_notes():
  assert align.notes(as_runs(nano=made_up()))[1:] == []
  assert not align.schedules_differ(as_runs(nano=made_up(), micro=made_up()))
  # A longer run differs only behind the end of the shorter.
  both = as_runs(nano=made_up(), micro=made_up().isel(step=slice(60)))
  assert not align.schedules_differ(both)


def test_floors_at_shared_checkpoints():
  """A sparse schedule misses a floor, and the other is then read like it."""
  dense, sparse = made_up(noise=0), made_up(noise=0)
  # Lowest at one checkpoint that the sparse schedule does not have.
  for data in (dense, sparse):
    data['rankme'] = data.rankme.copy()
    data.rankme[:, 95] -= 1
  both = as_runs(nano=dense, micro=sparse.isel(step=slice(0, None, 2)))
  assert align.schedules_differ(both)
  assert align.shared_steps(both).size == 50
  table = tables.invariance_table(both).set_index(['checkpoints', 'task'])
  assert table.loc[('own', 'MUL'), 'variation'] > 0.05
  assert table.loc[('shared', 'MUL'), 'variation'] < 1e-9
  notes = align.notes(both)
  assert any('the 50 that all have' in n for n in notes)
  few = as_runs(nano=dense, micro=sparse.isel(step=slice(0, None, 20)))
  assert any('cannot be compared' in n for n in align.notes(few))
  assert set(tables.invariance_table(few).checkpoints) == {'own'}


def test_other_tasks_levels_and_seeds_are_named():
  one, other = made_up(), made_up(seeds=2)
  other = other.isel(task=slice(2, 8), level=slice(2))
  both = as_runs(nano=one, micro=other)
  notes = align.notes(both)
  assert any('nano' in n and 'task COPY, REV' in n for n in notes)
  assert any('nano' in n and 'level 3' in n for n in notes)
  assert any('4 (nano), 2 (micro) seeds' in n for n in notes)
  found = study.study(both, draws=20)
  assert found.tables['invariance'].set_index('task').runs['COPY'] == 1
  assert found.tables['invariance'].set_index('task').runs['MUL'] == 2


def test_floors_go_by_the_names_of_the_runs_that_have_one():
  blank = made_up()
  blank['rankme'] = blank.rankme.where(blank.task != 'MUL')
  runs = as_runs(nano=made_up(), micro=blank, small=made_up())
  table = tables.invariance_table(runs).set_index('task')
  named = table.floors.str.findall('nano|micro|small')
  assert named['MUL'] == ['nano', 'small'] and table.runs['MUL'] == 2
  assert named['ADD'] == ['nano', 'micro', 'small']
  found = study.study(runs, draws=20).findings
  assert np.isfinite(found['floor MUL'].estimate.value)


def test_two_runs_of_a_size_are_named():
  both = as_runs(nano=made_up())
  both['nano (more)'] = both['nano']
  assert any('are of one size (nano)' in n for n in align.notes(both))


def test_swaps_are_of_events_that_both_have():
  """Of two tasks one order reverses; a third is in one run only."""
  one, other = made_up(seeds=3, noise=0), made_up(seeds=2, noise=0)
  # MOD (before SORT in the made-up order) comes after it in the other.
  tasks = list(other.task.values)
  i, j = tasks.index('MOD'), tasks.index('SORT')
  order = list(range(8))
  order[i], order[j] = j, i
  swapped = other.isel(task=order).assign_coords(task=tasks)
  fewer = swapped.isel(task=[j, i])
  events = [prediction.predicted(as_run('nano', d)) for d in (one, fewer)]
  predicted, reversals = prediction.swaps_of(*events)
  assert len(reversals) == 2 and (reversals == 9).all()
  # Floors were swapped with the tasks.
  assert (predicted == 9).all()


@pytest.mark.parametrize('size', [*paper.SIZES, 'xlarge'])
def test_the_configs_are_the_protocol(size):
  assert paper.deviations(algorithmic.get_config(size).to_dict()) == []


def test_what_a_config_leaves_out_has_its_default():
  short = {'task': {'name': 'algorithmic'}, 'model': {'size': 'nano'}}
  assert paper.deviations(short) == []
  built = schema.from_mapping(short)
  assert (
    built.optimizer
    == schema.from_mapping(algorithmic.get_config('nano')).optimizer
  )
  assert built.train.steps == 100_000 and built.task.batch_size == 64
  short['model']['size'] = 'medium'
  assert len(paper.deviations(short)) == 2  # steps and rate


def test_deviations_are_named():
  smoke = paper.deviations(algorithmic.get_config('smoke').to_dict())
  assert 'train.steps is 240, not 100,000' in smoke
  assert 'none of the paper' in paper.deviations(modadd.get_config())[0]
  run = as_run('nano', made_up(), deviations=smoke)
  found = study.study({'nano': run}, draws=20)
  assert set(found.tables['claims'].verdict) <= {'undecided', 'not measured'}
  assert set(found.tables['numbers'].verdict) == {'undecided'}
  assert any('train.steps is 240' in n for n in found.notes)


def test_labels_of_runs(tmp_path, monkeypatch):
  """Two runs of a size, also from folders of one name, stay two."""

  def load(workdir):
    data = made_up()
    size = 'micro' if 'big' in str(workdir) else 'nano'
    parameters = {'nano': 1, 'micro': 2}[size]
    config = {'model': {'size': size}, 'train': {'steps': 1980}}
    data.attrs = {'config': json.dumps(config), 'parameters': parameters}
    return data

  monkeypatch.setattr(runs.timeseries, 'load', load)
  folders = [tmp_path / n / 'run' for n in ('big', 'a', 'b', 'c')]
  loaded = runs.load(folders)
  # From small to large; labels are unique.
  assert list(loaded) == [
    'nano (run)', 'nano (run) 2', 'nano (run) 3', 'micro',
  ]  # fmt: skip
  assert [run.size for run in loaded.values()] == ['nano'] * 3 + ['micro']
  assert loaded['micro'].workdir == folders[0]


def test_numbers_of_the_paper_beside_ours():
  """Six seeds about the paper's floor of MOD at micro; ADD far from it."""
  rng = np.random.default_rng(0)
  data = made_up(seeds=6, noise=0)
  data['rankme'] = data.rankme.copy()
  for task, floor in (('MOD', 1.88), ('ADD', 9.0)):
    k = list(data.task.values).index(task)
    seeds = floor * np.exp(0.05 * rng.normal(size=6))
    data.rankme[:, 1:, k] = seeds[:, None, None]
  table = published.numbers_table(as_runs(micro=data, other=made_up()))
  assert set(table.run) == {'micro'}
  floors = table[table.quantity == 'floor of RankMe'].set_index('task')
  assert floors.loc['MOD', 'paper'] == 1.88
  assert floors.loc['MOD', 'verdict'] == 'reproduced'
  assert floors.loc['ADD', 'verdict'] == 'not reproduced'
  emergence = table[table.quantity == 'emergence']
  assert len(emergence) == 24
  late = emergence[(emergence.task == 'MUL') & (emergence.level == '3')]
  assert late.paper.item() == 56_000
  assert late.verdict.item() == 'not reproduced'
