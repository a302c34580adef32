"""The rooms of the package, and which imports are allowed between them."""

import ast
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / 'emergence_jax'
# A file imports its own room and the rooms before it.
ROOMS = (
  'base', 'machine', 'store', 'numerics', 'tasks', 'models', 'interventions',
  'measures', 'analysis', 'config', 'running', 'report', 'cli',
)  # fmt: skip
# Rooms that read finished runs, also on machines without JAX.
WITHOUT_JAX = (['store'], ['analysis'], ['report'])
FILES = sorted(PACKAGE.rglob('*.py'))


def imports(path: pathlib.Path) -> set[str]:
  """Full names of what a file imports, anywhere in it."""
  names = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      names |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      names |= {f'{node.module}.{alias.name}' for alias in node.names}
  return names


def module(path: pathlib.Path) -> str:
  words = path.relative_to(ROOT).with_suffix('').parts
  return '.'.join(words).removesuffix('.__init__')


MODULES = {module(path): path for path in FILES}


def graph() -> dict[str, set[str]]:
  """Module → modules of the package that it imports."""
  arrows = {}
  for name, path in MODULES.items():
    found = imports(path)
    parents = {word.rpartition('.')[0] for word in found - MODULES.keys()}
    arrows[name] = (found | parents) & MODULES.keys() - {name}
  return arrows


def test_rooms():
  """Imports go to rooms further down, and no module imports itself."""
  assert {
    p.name for p in PACKAGE.iterdir() if (p / '__init__.py').exists()
  } == (set(ROOMS))
  arrows = graph()
  for name, targets in arrows.items():
    _, room, *_ = (*name.split('.'), '')
    tops = {word.split('.')[0] for word in imports(MODULES[name])}
    assert not tops & {'experiments', 'configs', 'tests'}, name
    for target in targets if room else ():
      _, other, *_ = (*target.split('.'), '')
      assert other and ROOMS.index(other) <= ROOMS.index(room), (name, target)

  done: set[str] = set()

  def visit(name: str, way: tuple[str, ...]) -> None:
    assert name not in way, f'a circle: {" → ".join((*way, name))}'
    for target in arrows[name] if name not in done else ():
      visit(target, (*way, name))
    done.add(name)

  for name in arrows:
    visit(name, ())


def test_a_run_is_read_without_jax():
  wanted = [name for name in MODULES if name.split('.')[1:2] in WITHOUT_JAX]
  wanted.remove('emergence_jax.store.checkpoints')  # the arrays of JAX
  code = 'import importlib, sys\n'
  code += f'for name in {wanted}: importlib.import_module(name)\n'
  code += 'print(sorted({"jax", "flax", "optax"} & sys.modules.keys()))'
  done = subprocess.run(
    [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True
  )
  assert done.stdout.strip() == '[]', done.stderr


def test_orbax_is_known_to_one_file():
  users = [p.name for p in FILES if any('orbax' in n for n in imports(p))]
  assert users == ['checkpoints.py']


def test_what_takes_long_to_import_is_for_analyses():
  """A second, before the first step of every run."""
  users = [p for p in FILES if 'from scipy import stats' in p.read_text()]
  assert {p.parent.name for p in users} <= {'analysis', 'paper', 'report'}


def test_files_stay_small():
  for path in [*FILES, *(ROOT / 'experiments').rglob('*.py')]:
    assert len(path.read_text().splitlines()) <= 400, path
    assert path.name not in ('utils.py', 'base.py'), path


if __name__ == '__main__':  # prints the drawing: room → rooms that it imports
  drawn = {room: set() for room in ROOMS}
  for source, targets in graph().items():
    for target in targets:
      a, b = (*source.split('.'), '')[1], (*target.split('.'), '')[1]
      if a and b and a != b:
        drawn[a].add(b)
  for room, below in drawn.items():
    print(f'{room:<10}→ {" ".join(sorted(below, key=ROOMS.index))}')
  print(sum(map(len, drawn.values())), 'arrows')
