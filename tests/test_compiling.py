"""Compiled programs are kept between processes, and counted."""

import os
import pathlib
import subprocess
import sys

import pytest

from emergence_jax import compiling
from tests import small

ROOT = pathlib.Path(__file__).parents[1]
CONFIG = """
from tests import small


def get_config():
  return small.modadd_config(steps=2)
"""


def run(folder, *flags, **environment):
  path = folder / 'small_config.py'
  path.write_text(CONFIG, encoding='utf-8')
  env = {**os.environ, **small.QUICK, **environment}
  env.pop('JAX_COMPILATION_CACHE_DIR')
  env['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0'
  done = subprocess.run(
    [sys.executable, '-m', 'experiments.run', f'--config={path}', *flags],
    cwd=ROOT, capture_output=True, text=True, env=env,
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  return next(x for x in done.stdout.splitlines() if x.startswith('compiled '))


@pytest.mark.slow
def test_the_second_process_compiles_next_to_nothing(tmp_path):
  cache = tmp_path / 'home'
  environment = dict(XDG_CACHE_HOME=str(cache))
  first = run(tmp_path, f'--workdir={tmp_path / "a"}', **environment)
  assert 'from the cache' not in first
  assert list((cache / 'emergence_jax' / 'compiled').iterdir())
  again = run(tmp_path, f'--workdir={tmp_path / "b"}', **environment)
  words = again.split()
  assert int(words[words.index('had') + 1]) > 10 > int(words[1])
  off = run(
    tmp_path, f'--workdir={tmp_path / "c"}', '--compile_cache=off',
    **environment,
  )  # fmt: skip
  assert 'from the cache' not in off
  one, two = (
    (tmp_path / name / 'timeseries.zarr/rankme/c/0/1/0/0').read_bytes()
    for name in 'ab'
  )
  assert one == two


def test_the_folder_is_of_this_kind_of_processor(monkeypatch, tmp_path):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  folder = compiling.default_folder()
  assert folder.parent == tmp_path / 'emergence_jax' / 'compiled'
  assert folder == compiling.default_folder()
