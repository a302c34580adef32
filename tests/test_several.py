"""Two sizes trained to their end, and read together by the apps."""

import functools
import json

import pandas as pd
import pytest

from emergence_jax.base import progress
from emergence_jax.config import schema
from emergence_jax.running import loop
from tests import apps
from tests.small import algorithmic_config


@pytest.fixture(scope='module')
def workdirs(tmp_path_factory):
  """Finished runs of one and of two layers, on other schedules."""
  folders = []
  for name, layers, schedule in (('shallow', 1, '1'), ('deep', 2, '2')):
    raw = algorithmic_config(steps=18)
    raw.model.num_layers = layers
    raw.checkpoints.schedule = schedule
    folders.append(tmp_path_factory.mktemp('runs') / name)
    outcome = loop.run(schema.from_mapping(raw), folders[-1])
    assert outcome is loop.Outcome.FINISHED
  return folders


# Tables have a width of their own.
call = functools.partial(apps.call, COLUMNS='150')


def flags(workdirs):
  return [f'--workdir={w}' for w in workdirs]


@pytest.mark.nightly
def test_analyze(workdirs, tmp_path):
  done = call(
    'analyze', *flags(workdirs), f'--out={tmp_path}', '--draws=50',
    '--interpolation=matern',
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  for words in (
    'shallow is not the protocol', 'different checkpoints',
    'What moves first', "study's claims",
  ):  # fmt: skip
    assert words in ' '.join(done.stdout.split()), words
  assert max(map(len, done.stdout.splitlines())) <= 150 or 'wrote' in (
    max(done.stdout.splitlines(), key=len)
  )
  # From small to large, whatever the order of the flags.
  table = pd.read_csv(tmp_path / 'emergence.csv')
  assert list(dict.fromkeys(table.run)) == ['shallow', 'deep']
  floors = pd.read_csv(tmp_path / 'invariance.csv')
  assert set(floors.checkpoints) == {'own', 'shared'}


@pytest.mark.nightly
def test_report(workdirs):
  done = call('report', *flags(reversed(workdirs)), '--draws=50')
  assert done.returncode == 0, done.stderr
  folder = workdirs[1].parent / 'report-deep-and-1-more'
  assert f'wrote {folder / "report.html"}' in done.stdout
  content = (folder / 'report.html').read_text()
  assert 'Configuration of shallow' in content and '<!--' not in content
  assert (folder / 'figures' / 'anatomy_deep_mod.svg').exists()
  spent = json.loads((workdirs[1] / 'times.json').read_text())['sessions']
  assert len(spent) == 1 and spent[0]['last_checkpoint'] == 18
  assert progress.duration(spent[0]['seconds']) in content


def test_a_folder_that_is_none(tmp_path):
  for app in ('analyze', 'report'):
    done = call(app, f'--workdir={tmp_path / "nothing"}')
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert done.stderr.startswith('error: ') and 'nothing' in done.stderr
