"""The seeds of a run in parts, which are runs of their own, then joined.

For populations that are larger than the memory: all arms of a seed are in one
part, so that the parts together are the run as it would have been.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from emergence_jax.cli import apps, sweep
from emergence_jax.machine import stopping

# In the run's directory.
FOLDER = 'parts'


def ranges(first: int, count: int, parts: int) -> list[tuple[int, int]]:
  """First seed and number of seeds of each part, as even as can be.

  >>> ranges(8, 7, 3)
  [(8, 3), (11, 2), (13, 2)]
  """
  ends = [first + -(-count * i // parts) for i in range(parts + 1)]
  return [(a, b - a) for a, b in zip(ends, ends[1:])]


def pieces(given: Mapping[str, Any], parts: int) -> list[tuple[int, int]]:
  """First seed and number of seeds of each part of a configuration.

  Raises:
    UserError: for more parts than seeds.
  """
  from emergence_jax.base import checks
  from emergence_jax.config import building
  from emergence_jax.config.groups import SeedsConfig

  own = building.build('config.seeds', SeedsConfig, given.get('seeds') or {})
  checks.in_range('--parts', parts, 1, own.count)
  return ranges(own.first, own.count, parts)


def _name(first: int, count: int) -> str:
  """The folder of a part, for example `seeds_8_to_15`."""
  return f'seeds_{first}_to_{first + count - 1}'


def _check(workdir: pathlib.Path, parts: int, names: Sequence[str]) -> None:
  """Raises a UserError where the parts would not be those that are there."""
  from emergence_jax.base.types import UserError

  there = sorted(p.name for p in (workdir / FOLDER).glob('seeds_*'))
  if others := [name for name in there if name not in names]:
    raise UserError(
      f'{workdir} has the part {others[0]}, which --parts={parts} does not '
      f'make; give as many parts as it was begun with, or another --workdir.'
    )


def run(
  given: Mapping[str, Any],
  parts: int,
  workdir: pathlib.Path,
  flags: Sequence[str],
) -> int:
  """Runs each part in a process of its own, and joins them.

  Args:
    given: the configuration.
    parts: how many.
    workdir: where the joined run will lie, and the parts in `parts/`.
    flags: of `emergence run`, the same for all.

  Returns:
    The exit code of the part that did not come to its end; 0 if all have.

  Raises:
    UserError: for more parts than seeds, or others than were begun.
  """
  from emergence_jax.running import merging
  from emergence_jax.store import files

  made = pieces(given, parts)
  names = [_name(*piece) for piece in made]
  _check(workdir, parts, names)
  files.check_writable(workdir / FOLDER, 'give another --workdir')
  folders = [workdir / FOLDER / name for name in names]
  for place, ((first, count), folder) in enumerate(zip(made, folders), 1):
    apps.say(f'— part {place} of {parts}: {folder.name}')
    code = sweep.call([
      *apps.command('run'), *flags, f'--config.seeds.first={first}',
      f'--config.seeds.count={count}', f'--workdir={folder}',
    ])  # fmt: skip
    if code == stopping.TRY_AGAIN:
      apps.say(f'the same command with --workdir={workdir} goes on.')
    if code:
      return code
  merging.merge(folders, workdir, apps.say)
  apps.say(
    f'joined in {workdir}; the parts, from whose populations more can be '
    f'measured, stay in {workdir / FOLDER}.'
  )
  return 0
