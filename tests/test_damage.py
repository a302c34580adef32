"""Damaged files: mended, or named, and never read as other numbers."""

import json
import os
import pathlib
import random
import shutil
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from emergence_jax.analysis.runs import Run
from emergence_jax.base.types import Status, UserError
from emergence_jax.config import schema
from emergence_jax.report import run_tables
from emergence_jax.running import loop, offline, rundir
from emergence_jax.store import damage, files, layout, rows, timeseries
from experiments.bench import damage as trials
from tests import tiers

ROOT = pathlib.Path(__file__).parents[1]


def quiet(line):
  del line


@pytest.fixture(scope='module')
def subject(tmp_path_factory):
  return trials.subject(trials.small_config(), tmp_path_factory.mktemp('runs'))


@pytest.fixture
def copy(subject, tmp_path):
  shutil.copytree(subject.whole, tmp_path / 'run')
  return tmp_path / 'run'


QUICK = [t for t in trials.all_trials() if t.command in ('load', 'export')]


@pytest.mark.parametrize('kind', trials.KINDS)
def test_one_damage_of_each_kind_is_not_read_as_if_it_were_whole(subject, kind):
  rng = random.Random(kind)
  trial = rng.choice([t for t in QUICK if t.kind == kind])
  trials.run_trial(trial, subject, rng)


@pytest.mark.nightly
@pytest.mark.parametrize('kind', trials.KINDS)
def test_no_damage_is_read_as_if_it_were_whole(subject, kind):
  rng = random.Random(kind)
  for trial in [t for t in QUICK if t.kind == kind]:
    trials.run_trial(trial, subject, rng)


@pytest.mark.slow
@pytest.mark.parametrize(
  'command', tiers.some(['run', 'go on', 'measure', 'analyze'], 2)
)
def test_every_command_ends_well(subject, command):
  """A sample here, all of them in `experiments.bench damage`."""
  rng = random.Random(command)
  some = [t for t in trials.all_trials() if t.command == command]
  for trial in rng.sample(some, 10):
    trials.run_trial(trial, subject, rng)


def chunk(workdir, name, row):
  """The file of a row of a variable."""
  place = workdir / layout.NAME / name / 'c' / '0' / str(row)
  return next(p for p in [place, *place.rglob('*')] if p.is_file())


@pytest.mark.parametrize('how', ['flip', 'empty', 'delete'])
@pytest.mark.parametrize('name', ['rankme', 'status', 'correct'])
def test_a_damaged_row_is_marked_and_measured_again(subject, copy, name, how):
  trials.spoil(chunk(copy, name, 2), how, random.Random(0))
  with pytest.warns(timeseries.DamageWarning, match=f'{name}/c/0/2'):
    found = timeseries.load(copy).load()
  wanted = subject.data
  assert (found.status.isel(step=2) == Status.DAMAGED).all()
  assert (found.status.isel(step=[0, 1, 3, 4]) == Status.OK).all()
  if name == 'rankme':
    assert np.isnan(found.rankme.isel(step=2)).all()
  xr.testing.assert_equal(found.accuracy, wanted.accuracy)
  config = schema.from_mapping(subject.raw)
  lines = []
  assert loop.run(config, copy, lines.append) is loop.Outcome.FINISHED
  assert any(f'{name}/c/0/2' in line for line in lines)
  xr.testing.assert_identical(timeseries.load(copy).load(), wanted)
  assert loop.run(config, copy, quiet) is loop.Outcome.ALREADY_FINISHED


def test_a_row_whose_population_is_gone_stays_marked(subject, copy):
  trials.spoil(chunk(copy, 'rankme', 2), 'delete', random.Random(0))
  shutil.rmtree(copy / 'checkpoints' / '4')
  config = schema.from_mapping(subject.raw)
  for _ in range(2):
    loop.run(config, copy, quiet)
    found = timeseries.load(copy)  # whole now: it says no more
    assert found.status.values.tolist() == [[0, 0, 9, 0, 0]] * 2
  # It is said where a person looks, and the analysis goes on.
  problems = run_tables.problems({'run': Run('run', found)})
  assert problems.what.tolist() == ['damaged'] * 2
  assert problems['first step'].tolist() == [4, 4]


@pytest.mark.parametrize('name', ['task_grad_norm', 'grad_alignment'])
def test_what_measure_added_is_forgotten_and_measured_again(
  subject, copy, name
):
  trials.spoil(chunk(copy, name, 1), 'flip', random.Random(1))
  found = timeseries.load(copy, quiet)
  assert (found.status.isel(step=1) == Status.DAMAGED).all()
  lines = []
  done = offline.measure(copy, ['alignment'], lines.append)
  assert done == (1, []) and any('1 to measure' in line for line in lines)
  xr.testing.assert_identical(timeseries.load(copy).load(), subject.data)


def test_a_lost_timeseries_is_made_from_its_populations(subject, copy):
  shutil.rmtree(copy / layout.NAME)
  lines = []
  config = schema.from_mapping(subject.raw)
  assert loop.run(config, copy, lines.append) is loop.Outcome.FINISHED
  assert any('is gone' in line for line in lines)
  found, wanted = timeseries.load(copy, quiet).load(), subject.data
  xr.testing.assert_equal(found.rankme, wanted.rankme)
  # Its history went with it.
  assert np.isnan(found.train_loss).all()


def test_a_changed_configuration_is_put_back(subject, copy):
  text = (copy / 'config.json').read_text(encoding='utf-8')
  (copy / 'config.json').write_text(
    text.replace('"examples": 10', '"examples": 11'), encoding='utf-8'
  )
  lines = []
  raw = rundir.read_config(copy, lines.append)
  assert raw['measures']['rank']['examples'] == 10 and 'config.json' in lines[0]
  loop.run(schema.from_mapping(subject.raw), copy, quiet)
  assert (copy / 'config.json').read_text(encoding='utf-8') == text


def test_another_environment_is_said_and_written_down(subject, copy):
  env = files.read_json(copy / 'env.json')
  env['versions']['jax'] = '0.0.1'
  env['settings']['jax_enable_x64'] = True
  files.write_json(copy / 'env.json', env)
  lines = []
  config = schema.from_mapping(subject.raw)
  loop.run(config, copy, lines.append)
  (line,) = [line for line in lines if 'environment' in line]
  assert "versions.jax was '0.0.1'" in line and 'jax_enable_x64' in line
  lines.clear()
  loop.run(config, copy, lines.append)
  assert not any('environment' in line for line in lines)
  assert len(files.read_json(copy / 'env.json')['later']) == 1


def test_populations_of_another_run_are_refused(subject, copy, tmp_path):
  other = dict(subject.raw, optimizer={**subject.raw['optimizer'], 'rate': 0.1})
  workdir = tmp_path / 'other'
  loop.run(schema.from_mapping(other), workdir, quiet)
  shutil.rmtree(copy / 'checkpoints')
  shutil.copytree(workdir / 'checkpoints', copy / 'checkpoints')
  rows.Writer(copy).drop_after(4)
  shutil.rmtree(copy / 'checkpoints' / '8')
  with pytest.raises(UserError, match='of a run of another configuration'):
    loop.run(schema.from_mapping(subject.raw), copy, quiet)


def test_rows_are_erased_when_told_to(subject, copy):
  shutil.rmtree(copy / 'checkpoints')
  rows.Writer(copy).drop_after(6)
  (copy / 'mine.txt').write_text('kept', encoding='utf-8')
  config = schema.from_mapping(subject.raw)
  with pytest.raises(UserError, match='--overwrite'):
    loop.run(config, copy, quiet)
  assert loop.run(config, copy, quiet, overwrite=True) is (
    loop.Outcome.FINISHED
  )
  assert 'task_grad_norm' not in timeseries.load(copy)
  assert (copy / 'mine.txt').exists()


HOLD = """
import sys, time
from emergence_jax.store import files
with files.Lock(sys.argv[1]):
  print('held', flush=True)
  time.sleep(600)
"""


def holder(workdir):
  process = subprocess.Popen(
    [sys.executable, '-c', HOLD, str(workdir)], cwd=ROOT,
    stdout=subprocess.PIPE, text=True,
  )  # fmt: skip
  assert process.stdout.readline() == 'held\n'
  return process


def test_two_processes_on_one_directory(subject, copy):
  """The second says who is first; a kill frees it; reading goes on."""
  process = holder(copy)
  for call in (
    lambda: loop.run(schema.from_mapping(subject.raw), copy, quiet),
    lambda: offline.measure(copy, ['alignment'], quiet),
  ):
    with pytest.raises(UserError, match=f'in use by process {process.pid}'):
      call()
  assert timeseries.load(copy).sizes['step'] == 5
  process.kill()
  process.wait()
  assert loop.run(schema.from_mapping(subject.raw), copy, quiet) is (
    loop.Outcome.ALREADY_FINISHED
  )


def test_measure_waits_when_told_to(copy):
  process = holder(copy)
  lines = []

  def free(line):
    lines.append(line)
    process.kill()

  with files.Lock(copy, free):
    process.wait()
  assert 'waiting for its end' in lines[0]


def test_default_folders_never_collide(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  made = {rundir.new_workdir('modadd') for _ in range(5)}
  assert len(made) == 5 and all(path.is_dir() for path in made)


@pytest.mark.parametrize('gone', [shutil.rmtree, lambda p: p.rename(f'{p}-2')])
def test_a_folder_that_goes_away_is_one_line(
  subject, tmp_path, monkeypatch, gone
):
  workdir = tmp_path / 'run'
  write_row = rows.Writer.write_row

  def going(self, step, values, status):
    write_row(self, step, values, status)
    if step == 4:
      gone(workdir)

  monkeypatch.setattr(rows.Writer, 'write_row', going)
  with pytest.raises(UserError, match='moved or deleted'):
    loop.run(schema.from_mapping(subject.raw), workdir, quiet)


@pytest.mark.parametrize('version, words', [(2, 'not read'), (4, 'newer')])
def test_a_store_of_another_format_is_refused(copy, version, words):
  path = copy / layout.NAME / 'zarr.json'
  document = json.loads(path.read_text('utf-8'))
  document['attributes']['format'] = version
  path.write_text(json.dumps(document), 'utf-8')
  layout._seal(copy / layout.NAME)
  with pytest.raises(UserError, match=words):
    timeseries.load(copy)


def test_checksums_see_every_bit(copy):
  """1,000 flips in chunks and metadata, all noticed."""
  rng = random.Random(0)
  paths = [
    p
    for p in (copy / layout.NAME).rglob('*')
    if p.is_file() and p.suffix != '.json'
  ]
  for _ in range(1000):
    path = rng.choice(paths)
    data = bytearray(path.read_bytes())
    assert files.has_crc32c(path)
    place, bit = rng.randrange(len(data)), 1 << rng.randrange(8)
    data[place] ^= bit
    path.write_bytes(data)
    assert not files.has_crc32c(path)
    data[place] ^= bit
    path.write_bytes(data)
  assert not damage.examine(copy).damage
  assert os.path.getsize(copy / 'config.json') > 100
