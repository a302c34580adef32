"""Compiled programs are kept between processes, and counted."""

import os
import pathlib
import subprocess
import sys
import warnings

import jax
import pytest

from emergence_jax.machine import compiling

ROOT = pathlib.Path(__file__).parents[1]
# Some programs, compiled as the apps do it.
CODE = """
import sys
import jax, jax.numpy as jnp
from emergence_jax.machine import compiling
compiling.keep(sys.argv[1] or None)
compiles = compiling.Compiles()
x = jnp.ones((30, 30))
for power in range(2, 7):
  jax.jit(lambda x: jnp.linalg.matrix_power(x, power))(x).block_until_ready()
print(compiles.text())
"""


def run(folder: str = '', **environment) -> str:
  env = {**os.environ, **environment}
  if 'JAX_COMPILATION_CACHE_DIR' not in environment:
    del env['JAX_COMPILATION_CACHE_DIR']
  env['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0'
  done = subprocess.run(
    [sys.executable, '-c', CODE, folder], cwd=ROOT, capture_output=True,
    text=True, env=env,
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  return done.stdout.strip()


@pytest.mark.nightly
def test_the_second_process_compiles_nothing(tmp_path):
  home = dict(XDG_CACHE_HOME=str(tmp_path))
  first = run(**home)
  assert first.startswith('compiled ') and 'from the cache' not in first
  count = int(first.split()[1])
  assert count >= 5
  assert list((tmp_path / 'emergence_jax' / 'compiled').iterdir())
  again = f'compiled 0 programs, and read {count} from the cache'
  assert run(**home).startswith(again)
  assert 'from the cache' not in run('off', **home)
  # Of one's own, by the flag or by JAX's own setting.
  for folder, environment in (
    (str(tmp_path / 'own'), home),
    ('', dict(JAX_COMPILATION_CACHE_DIR=str(tmp_path / 'jax'), **home)),
  ):
    assert 'from the cache' not in run(folder, **environment)
    assert run(folder, **environment).startswith(again)


def test_the_folder_is_of_this_kind_of_processor(monkeypatch, tmp_path):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  folder = compiling.default_folder()
  assert folder.parent == tmp_path / 'emergence_jax' / 'compiled'
  assert folder == compiling.default_folder()


@pytest.mark.parametrize('why, shown', [('MemoryError', 0), ('OSError', 1)])
def test_a_program_that_cannot_be_stored_is_no_news(why, shown):
  """But that the folder cannot be written to is."""
  with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter('always')
    compiling.keep(jax.config.jax_compilation_cache_dir)  # as it is
    warnings.warn(
      "Error writing persistent compilation cache entry for 'jit_segment': "
      f'{why}: it says why',
      stacklevel=2,
    )
  assert len(seen) == shown
