"""A file imports only what lies below it, and nothing lies about."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
# Within a floor, a file may import the ones before it.
FLOORS = [
  ['types', 'fields', 'compiling', 'older', 'flops', 'prng', 'names', 'limits',
   'schedule', 'stopping', 'processes', 'mesh', 'files', 'profiling', 'live'],
  ['numerics', 'tasks', 'models', 'optim', 'store', 'damage', 'timeseries',
   'rows', 'export', 'packing', 'checkpoints', 'progress'],
  ['objective', 'train', 'measures', 'reference', 'specs', 'config', 'rundir',
   'programs', 'loading'],
  ['sources', 'dry_run', 'extending', 'loop', 'offline', 'recording',
   'releases', 'merging', 'listing', 'analysis'],
  ['report'],
]  # fmt: skip
ORDER = [name for floor in FLOORS for name in floor]
FILES = sorted((ROOT / 'emergence_jax').rglob('*.py'))


def imports(path):
  """Full names of the modules that a file imports, anywhere in it."""
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      yield node.module
      yield from (f'{node.module}.{alias.name}' for alias in node.names)


def part(path):
  name = path.relative_to(ROOT / 'emergence_jax').parts[0]
  return name.removesuffix('.py')


@pytest.mark.parametrize('path', FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down(path):
  mine = part(path)
  if mine == '__init__':
    return
  rank = ORDER.index(mine)
  for name in imports(path):
    words = name.split('.')
    assert words[0] not in ('experiments', 'configs')
    if words[0] == 'emergence_jax' and len(words) > 1 and words[1] in ORDER:
      assert words[1] == mine or ORDER.index(words[1]) < rank, name
    if mine in ('analysis', 'report'):
      assert words[0] not in ('jax', 'flax', 'optax')


def test_configs_import_only_ml_collections():
  for path in (ROOT / 'configs').glob('*.py'):
    assert {n.split('.')[0] for n in imports(path)} <= {'ml_collections'}


def test_analysis_and_report_load_no_jax():
  code = (
    'import sys\n'
    'from emergence_jax.analysis import runs, study\n'
    'from emergence_jax.report import write\n'
    'print("jax" in sys.modules)\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True
  )
  assert done.stdout.strip() == 'False', done.stderr


def test_orbax_is_known_to_one_file():
  users = [p.name for p in FILES if any('orbax' in n for n in imports(p))]
  assert users == ['checkpoints.py']


def test_files_stay_small():
  for path in [*FILES, *(ROOT / 'experiments').rglob('*.py')]:
    assert len(path.read_text().splitlines()) <= 400, path
    assert path.name != 'utils.py'
