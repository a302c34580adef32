"""The command `emergence`, from any folder."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

import emergence_jax
from emergence_jax.base.types import UserError
from emergence_jax.cli import command, config_flag, words
from emergence_jax.config import schema
from tests import small

ROOT = pathlib.Path(__file__).parents[1]


def call(cwd, *words):
  """As the installed script does it: without the current folder first."""
  code = (
    f'import sys; sys.path.insert(0, {str(ROOT)!r}); '
    'from emergence_jax.cli.command import main; main()'
  )
  return subprocess.run(
    [sys.executable, '-P', '-c', code, *words], cwd=cwd, capture_output=True,
    text=True, env={**os.environ, **small.QUICK},
  )  # fmt: skip


def test_help_names_every_app(tmp_path):
  done = call(tmp_path)
  assert done.returncode == 0 and done.stdout == command.usage() + '\n'
  thin = {p.stem for p in (ROOT / 'experiments').glob('*.py')}
  assert set(command.APPS) == thin - {'__init__'}
  version = call(tmp_path, '--version')
  assert version.stdout.strip() == emergence_jax.__version__
  wrong = call(tmp_path, 'rnu')
  assert wrong.returncode == 1 and "'rnu' is no app" in wrong.stderr


@pytest.mark.parametrize('app', command.APPS)
def test_every_app_has_its_help(tmp_path, app):
  done = call(tmp_path, app, '-h' if app == 'list' else '--help')
  assert done.returncode == 0
  example, _, described = done.stdout.partition('\nflags:\n')
  assert f'python -m experiments.{app}' in example
  folder = ROOT / 'emergence_jax' / 'cli'
  sources = [(folder / f'{app}.py').read_text()]
  imported = re.findall(
    r'^from emergence_jax.cli import (.+)$', sources[0], re.M
  )
  for name in set(', '.join(imported).split(', ')) - {'apps'}:
    sources.append((folder / f'{name}.py').read_text())
  names = re.findall(r"DEFINE_\w+\(\s*'(\w+)'", '\n'.join(sources))
  assert names
  for name in names:
    assert re.search(rf'^  --(\[no\])?{name}:', described, re.M), name


@pytest.mark.nightly
def test_folders_of_our_names_do_no_harm(tmp_path):
  for name in ('experiments', 'configs', 'emergence_jax'):
    (tmp_path / name).mkdir()
    (tmp_path / name / '__init__.py').write_text('raise SystemExit(9)')
  flags = (
    '--config.train.steps=4', '--config.seeds.count=1', '--measures=rank',
    '--config.checkpoints.schedule=2', '--config.model.d_model=8',
  )  # fmt: skip
  done = call(tmp_path, 'run', '--config=modadd:5', *flags)
  assert done.returncode == 0, done.stderr
  assert (tmp_path / 'runs' / 'latest' / 'summary.txt').exists()
  assert 'Next: open ' in done.stdout or 'Next: emergence ' in done.stdout
  assert 'python -m experiments' not in done.stdout
  done = call(tmp_path, 'list')
  assert 'finished' in done.stdout


@pytest.mark.parametrize(
  'text,p', [('modadd:7', 7), ('modadd', 31), ('configs/modadd.py:5', 5)]
)
def test_built_in_configurations_by_name(tmp_path, monkeypatch, text, p):
  monkeypatch.chdir(tmp_path)
  assert config_flag.load(text)['task']['p'] == p


def test_a_file_of_ones_own_comes_first(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'configs').mkdir()
  own = tmp_path / 'configs' / 'modadd.py'
  own.write_text('def get_config():\n  return {"mine": 1}\n')
  assert config_flag.load('configs/modadd.py') == {'mine': 1}
  with pytest.raises(UserError, match='algorithmic, causes, digits, modadd'):
    config_flag.load('modad')


@pytest.mark.parametrize('argument,key', [
  ('--seeds=4', 'seeds.count'), ('--lr=1e-3', 'optimizer.rate'),
  ('--steps', 'train.steps'),
])  # fmt: skip
def test_flags_that_people_try_name_the_key(argument, key):
  with pytest.raises(UserError, match=f'did you mean --config.{key}'):
    config_flag.overrides([argument])
  with pytest.raises(UserError, match='unknown argument .--nothing.; see'):
    config_flag.overrides(['--nothing'])


@pytest.mark.parametrize('key,meant', [('lr', 'rate'), ('wd', 'weight_decay')])
def test_keys_as_other_libraries_call_them(key, meant):
  given = config_flag.load('modadd')
  given['optimizer'][key] = 1.0
  with pytest.raises(UserError, match=f'did you mean {meant!r}'):
    schema.from_mapping(given)


@pytest.mark.parametrize('app,given,wanted', [
  ('run', ['modadd:31', '--dry_run'], ['--config=modadd:31', '--dry_run']),
  ('run', ['--config.seeds.count', '4', 'modadd'],
   ['--config.seeds.count', '4', '--config=modadd']),
  ('run', ['.'], ['--workdir=.']),
  ('run', ['--dry_run', 'modadd'], ['--dry_run', '--config=modadd']),
  ('report', ['a', '--out', 'b', 'c'],
   ['--workdir=a', '--out', 'b', '--workdir=c']),
  ('list', ['runs'], ['--folder=runs']),
  ('audit', ['EleutherAI/x'], ['EleutherAI/x']),
])  # fmt: skip
def test_words_without_a_flag(app, given, wanted):
  assert words.as_flags(app, given, ['out', 'config', 'workdir']) == wanted


def test_a_configuration_in_a_folder_with_colons(tmp_path):
  folder = tmp_path / '2026-11-29T10:30'
  folder.mkdir()
  (folder / 'mine.py').write_text('def get_config(x=""):\n  return {"x": x}\n')
  assert config_flag.load(f'{folder}/mine.py:a:b') == {'x': 'a:b'}
  assert config_flag.load(f'{folder}/mine.py') == {'x': ''}


def test_without_a_home_and_without_locks(tmp_path):
  """A numeric user in a container; Windows, which has no fcntl."""
  code = """
import os, pathlib, sys
sys.modules['fcntl'] = None
def nobody(): raise RuntimeError('Could not determine home directory.')
pathlib.Path.home = nobody
os.environ.pop('XDG_CACHE_HOME', None)
from emergence_jax.machine import compiling
from emergence_jax.store import files, timeseries
from emergence_jax.report import write
compiling.default_folder()
with files.Lock(pathlib.Path('.')):
  assert not files.is_locked('.')
"""
  done = subprocess.run(
    [sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True,
    check=False,
  )  # fmt: skip
  assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('flag,file,argument', [
  ('modadd:a/b.py', 'modadd', 'a/b.py'), ('mine.py:data/x:y', 'mine.py',
   'data/x:y'), ('some/mine:31', 'some/mine', '31'),
])  # fmt: skip
def test_an_argument_may_have_slashes(flag, file, argument):
  assert config_flag._parts(flag) == (file, ':', argument)
