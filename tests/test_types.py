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


@pytest.mark.slow
def test_the_package_passes(tmp_path):
  assert 'Success' in _mypy(tmp_path)


@pytest.mark.slow
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
  """The names of the two lists in the package's file are the same."""
  source = pathlib.Path(ej.__file__).read_text()
  told = dict(
    re.findall(r'^  ?  ?(?:from \S+ import )?(\w+) as (\w+)', source, re.M)
  )
  inline = re.findall(r'^  from \S+ import (\w+) as \1$', source, re.M)
  folded = re.findall(r'^    (\w+) as \1,$', source, re.M)
  assert sorted(inline + folded) == sorted(ej.__all__)
  assert all(name == other for name, other in told.items())
  for module, name in re.findall(
    r'^  from (\S+) import \(?\s*(\w+) as', source, re.M
  ):
    assert getattr(importlib.import_module(module), name) is getattr(ej, name)
