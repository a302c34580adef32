"""Finds the revisions and seeds of released checkpoints in folders."""

import dataclasses
import pathlib
import re
from collections.abc import Mapping
from typing import Protocol

from emergence_jax.base.types import UserError
from emergence_jax.config import schedule
from emergence_jax.models import released

_STEP = re.compile(r'(?:revision=)?step[-_]?(\d+)')
_SEED = re.compile(r'seed[-_]?(\d+)')
PATTERNS = 'step1000, step-1000, step_1000, revision=step1000'


class Place(Protocol):
  """Where a revision is; its text names it."""

  def describe(self) -> pathlib.Path:
    """A folder with the model's description and tokenizer, at least."""
    ...

  def fetch(self) -> pathlib.Path:
    """A folder with the weights, too."""
    ...

  def drop(self) -> None:
    """Called when the revision is measured."""
    ...

  def fingerprints(self) -> dict[str, str]:
    """Name of each file of weights → SHA-256 of its contents."""
    ...


@dataclasses.dataclass(frozen=True)
class Local:
  """A revision on the disk.

  Attributes:
    path: its folder.
  """

  path: pathlib.Path

  def __str__(self) -> str:
    return str(self.path)

  def describe(self) -> pathlib.Path:
    """The folder."""
    return self.path

  def fetch(self) -> pathlib.Path:
    """The folder."""
    return self.path

  def drop(self) -> None:
    """Keeps the folder."""

  def fingerprints(self) -> dict[str, str]:
    """Of the files in the folder."""
    return released.fingerprints(self.path)


# seed → step → where
Revisions = dict[int, dict[int, Place]]


def step_of(name: str) -> int | None:
  """The step that a revision's name says."""
  match = _STEP.fullmatch(name)
  return int(match[1]) if match else None


def seed_of(name: str) -> int:
  """The seed that a model's name says; 0 if none."""
  match = _SEED.search(name)
  return int(match[1]) if match else 0


def _steps(folder: pathlib.Path) -> dict[int, pathlib.Path]:
  """Step → folder of the revisions right in a folder."""
  by_step: dict[int, pathlib.Path] = {}
  for path in sorted(folder.iterdir()):
    step = step_of(path.name)
    if step is None or not path.is_dir():
      continue
    if step in by_step:
      raise UserError(
        f'{by_step[step]} and {path} are both of step {step:,}; keep one.'
      )
    by_step[step] = path
  return by_step


def _snapshots(folder: pathlib.Path) -> dict[int, pathlib.Path]:
  """The same in the layout of the hub's cache: refs name snapshots."""
  by_step = {}
  for ref in sorted((folder / 'refs').glob('*')):
    step = step_of(ref.name)
    if step is not None and ref.is_file():
      commit = ref.read_text(encoding='utf-8', errors='replace').strip()
      by_step[step] = folder / 'snapshots' / commit
  return by_step


def _of_one_seed(folder: pathlib.Path) -> dict[int, Place]:
  by_step = _steps(folder) or _snapshots(folder)
  return {step: Local(path) for step, path in by_step.items()}


def find(root: str | pathlib.Path) -> Revisions:
  """Revisions in a folder, or in one folder a seed.

  Args:
    root: holds revisions (`step1000`, …; or `refs` and `snapshots`, as the
      hub's cache does), or folders that do. The number behind `seed` in a
      folder's name is its seed; one without is seed 0.

  Raises:
    UserError: if there are none, or two of one step or seed.
  """
  root = pathlib.Path(root).expanduser()
  if not root.is_dir():
    raise UserError(f'{root} is no folder; give one of released checkpoints.')
  own = _of_one_seed(root)
  if own:
    return {0: own}
  by_seed: Revisions = {}
  names: dict[int, pathlib.Path] = {}
  for folder in sorted(p for p in root.iterdir() if p.is_dir()):
    steps = _of_one_seed(folder)
    if not steps:
      continue
    seed = seed_of(folder.name)
    if seed in by_seed:
      raise UserError(
        f'{names[seed]} and {folder} are both of seed {seed}; name them by '
        'their seeds, as in pythia-160m-seed3.'
      )
    by_seed[seed], names[seed] = steps, folder
  if not by_seed:
    raise UserError(
      f'{root} holds no checkpoints; their folders are named by their step '
      f'({PATTERNS}), and may lie in one folder a seed.'
    )
  return dict(sorted(by_seed.items()))


def select(revisions: Revisions, steps: str) -> Revisions:
  """Those within a range, see `schedule.within`.

  Raises:
    UserError: for another form, or if none is left.
  """
  kept = set(schedule.within(union(revisions), steps))
  return {
    seed: {step: place for step, place in by_step.items() if step in kept}
    for seed, by_step in revisions.items()
  }


def union(revisions: Mapping[int, Mapping[int, Place]]) -> list[int]:
  """All steps that any seed has, increasing."""
  return sorted({step for steps in revisions.values() for step in steps})


def repeated(
  shards: Mapping[int, Mapping[str, str]],
) -> dict[int, tuple[int, str]]:
  """Steps that share a file of weights with another one.

  Of those that share one, the last is believed, since it is the one that was
  released as the model; the others are named.

  Args:
    shards: step → file → fingerprint of its contents.

  Returns:
    Step → (the step that has the same, the file).
  """
  last: dict[tuple[str, str], int] = {}
  for step in sorted(shards):
    for name, mark in shards[step].items():
      last[name, mark] = step
  first_seen: dict[int, tuple[int, str]] = {}
  for step in sorted(shards):
    for name, mark in shards[step].items():
      if last[name, mark] != step:
        first_seen.setdefault(step, (last[name, mark], name))
  return first_seen
