"""The runs in a folder."""

import pathlib
import shutil

import pytest

from emergence_jax.base.types import UserError
from emergence_jax.config import schema
from emergence_jax.running import loop, rundir
from emergence_jax.store import files, listing, rows
from tests import apps, small


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('runs')
  raw = small.modadd_config()
  loop.run(schema.from_mapping(raw), folder / 'done', lambda line: None)
  for name in ('part', 'new', 'bad'):
    shutil.copytree(folder / 'done', folder / name)
  rows.Writer(folder / 'part').drop_after(2)
  rows.Writer(folder / 'new').drop_after(-1)
  (folder / 'bad' / 'timeseries.zarr' / 'zarr.json').write_text('{')
  (folder / 'notes').mkdir()
  (folder / 'latest').symlink_to('done')
  return folder


def test_states_and_steps(folder):
  found = {one.path.name: one for one in listing.runs(folder)}
  assert found.keys() == {'done', 'part', 'new', 'bad'}
  assert {n: (one.step, one.state) for n, one in found.items()} == {
    'done': (6, 'finished'), 'part': (2, 'stopped'), 'new': (None, 'stopped'),
    'bad': (None, 'damaged'),
  }  # fmt: skip
  one = found['part']
  assert (one.task, one.size, one.seeds, one.steps) == ('modadd', '5', 2, 6)
  assert 0 <= one.age < 3600
  with files.Lock(folder / 'part'):
    assert listing.look(folder / 'part').state == 'running'
  assert not files.is_locked(folder / 'part')
  assert not files.is_locked(folder / 'nowhere')
  with pytest.raises(UserError, match='is no folder'):
    listing.runs(folder / 'nowhere')


def test_the_app(folder):
  done = apps.call('list', f'--folder={folder}')
  assert done.returncode == 0, done.stderr
  assert '2 of 6' in done.stdout and 'finished' in done.stdout
  assert all(len(line) <= 80 for line in done.stdout.splitlines())


@pytest.mark.nightly
def test_what_tells_runs_apart_is_listed(folder, tmp_path):
  for i, rate in enumerate((1e-3, 2e-3)):
    raw = small.modadd_config()
    raw['optimizer']['rate'] = rate
    loop.run(schema.from_mapping(raw), tmp_path / f'r{i}', lambda line: None)
  # A folder that no run can be read from does not end the list.
  (tmp_path / 'odd' / 'timeseries.zarr' / 'status' / 'c').mkdir(parents=True)
  done = apps.call('list', str(tmp_path))
  assert done.returncode == 0, done.stderr
  words = done.stdout.split()
  assert words.count('rate') == 2 and {'1e-3', '2e-3'} <= set(words)
  assert 'damaged' in words
  assert all(len(line) <= 80 for line in done.stdout.splitlines())


def test_the_latest_run_has_a_name(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  first = rundir.new_workdir('a')
  assert pathlib.Path('runs/latest').resolve() == first.resolve()
  second = rundir.new_workdir('b')
  assert pathlib.Path('runs/latest').resolve() == second.resolve()
  pathlib.Path('runs/latest').unlink()
  pathlib.Path('runs/latest').mkdir()
  rundir.new_workdir('c')
  assert not pathlib.Path('runs/latest').is_symlink()
