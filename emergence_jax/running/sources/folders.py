"""Finds the revisions of released checkpoints in folders."""

import pathlib
from collections.abc import Iterator

from emergence_jax.base.types import UserError
from emergence_jax.running.sources import grammar, suites
from emergence_jax.running.sources.places import Local
from emergence_jax.running.sources.suites import Entry, Suite


def _revisions(folder: pathlib.Path, owner: str) -> Iterator[Entry]:
  """Folders right in a folder, and what refs of the hub's cache name."""
  for path in sorted(p for p in folder.iterdir() if p.is_dir()):
    if (path / 'config.json').is_file() or grammar.read(path.name):
      yield Entry(owner, path.name, Local(path))
  refs = folder / 'refs'
  for ref in sorted(p for p in refs.rglob('*') if p.is_file()):
    commit = ref.read_text(encoding='utf-8', errors='replace').strip()
    name = str(ref.relative_to(refs))
    yield Entry(owner, name, Local(folder / 'snapshots' / commit))


def _owner(folder: pathlib.Path) -> str:
  """A model's name: that of its folder, or of the hub's cache."""
  return folder.resolve().name.removeprefix('models--').rpartition('--')[2]


def find(
  root: str | pathlib.Path, *, pattern: str = '', stage: str = ''
) -> Suite:
  """Revisions in a folder, or in one folder a seed.

  Args:
    root: holds revisions (`step1000`, …; or `refs` and `snapshots`, as the
      hub's cache does), or folders that do. Seeds are told apart by the
      folders' names, and by what revisions say of them.
    pattern: a regular expression in place of `grammar`.
    stage: of training; the first if empty.

  Raises:
    UserError: if there are none, or two of one step and seed.
  """
  root = pathlib.Path(root).expanduser()
  if not root.is_dir():
    raise UserError(f'{root} is no folder; give one of released checkpoints.')

  read_name = grammar.reader(pattern)
  entries = list(_revisions(root, _owner(root)))
  if not any(read_name(entry.name) for entry in entries):
    entries = [
      entry
      for folder in sorted(p for p in root.iterdir() if p.is_dir())
      for entry in _revisions(folder, _owner(folder))
    ]
  suite = suites.arrange(entries, pattern=pattern, stage=stage)
  if not suite.revisions:
    raise UserError(
      f'{root} holds no checkpoints; their folders are named by their step '
      f'({grammar.PATTERNS}), or as config.release.pattern= says, and may lie '
      'in one folder a seed.'
    )
  return suite
