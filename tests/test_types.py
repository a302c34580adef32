"""Type checkers know the public names, and the package passes its own."""

import importlib
import pathlib
import re
import subprocess
import sys

import pytest

import emergence_jax as ej

ROOT = pathlib.Path(__file__).parents[1]


def _mypy(tmp_path, *arguments) -> str:
  done = subprocess.run(
    [sys.executable, '-m', 'mypy', f'--cache-dir={tmp_path}', *arguments],
    cwd=ROOT, capture_output=True, text=True,
  )  # fmt: skip
  assert not done.stderr, done.stderr
  return done.stdout


@pytest.mark.nightly
def test_a_strangers_use_is_understood(tmp_path):
  said = _mypy(tmp_path, 'tests/typed_use.py')
  revealed = re.findall(r'Revealed type is "([^"]*)"', said)
  words = ('Array', 'Eigenvalues', 'Status', 'str', 'int', 'Dataset')
  assert len(revealed) == len(words), said
  for word, kind in zip(words, revealed, strict=True):
    assert word in kind
  errors = [line for line in said.splitlines() if ': error:' in line]
  assert len(errors) == 2, said
  assert 'Missing positional argument "key"' in errors[0]
  assert 'no_such_name' in errors[1]


def test_what_type_checkers_see_is_what_is_there():
  """Every line of the list of public names names an object by its own name."""
  lines = pathlib.Path(ej.__file__).with_suffix('.pyi').read_text()
  told = re.findall(r'^from \.(\S+) import (\w+) as (\w+)$', lines, re.M)
  assert sorted(name for _, name, _ in told) == sorted(ej.__all__)
  for module, name, again in told:
    own = importlib.import_module(f'emergence_jax.{module}')
    assert name == again and getattr(own, name) is getattr(ej, name)
