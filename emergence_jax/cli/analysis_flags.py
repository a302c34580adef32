"""Flags of the apps that read several runs together."""

import pathlib
from collections.abc import Callable

from absl import flags

from emergence_jax.cli import apps

_WORKDIR = flags.DEFINE_multi_string(
  'workdir', None, 'Run directory; give the flag again for more.', required=True
)
_OUT = flags.DEFINE_string(
  'out',
  None,
  'Folder to write to; one in the run if absent, and of several '
  'beside the first.',
)
_DRAWS = flags.DEFINE_integer(
  'draws',
  1000,
  'Permutations of the tests, where not all can be tried.',
  lower_bound=20,
)
_INTERPOLATION = flags.DEFINE_enum(
  'interpolation', None, ['linear', 'matern'],
  "Of the paper's lags in steps: by lines, or by a Gaussian process; as in the "
  'study that a run is set beside, if absent.',
)  # fmt: skip


def options() -> dict:
  """Keyword arguments of the analysis."""
  return {
    'draws': _DRAWS.value,
    'interpolation': _INTERPOLATION.value or '',
  }


def default_folder(workdirs: list[pathlib.Path], folder: str) -> pathlib.Path:
  """In the run; of several beside the first, in a folder of its own.

  >>> default_folder([pathlib.Path('runs/a'), pathlib.Path('runs/b')], 'report')
  PosixPath('runs/report-a-and-1-more')
  """
  first, *others = dict.fromkeys(workdirs)
  if not others:
    return first / folder
  return first.parent / f'{folder}-{first.name}-and-{len(others)}-more'


def call(folder: str, work: Callable[[list, pathlib.Path], None]) -> None:
  """Calls `work` with the runs and where to write.

  A user's error ends in one message and exit code 1.

  Args:
    folder: name of the folder, if none is given; see `default_folder`.
    work: takes run directories and a folder that can be written to.
  """
  with apps.errors():
    from emergence_jax.store import damage, files

    workdirs = [apps.path('workdir', w) for w in _WORKDIR.value]
    damage.root(workdirs[0])  # raises if there is no run
    if _OUT.value is None:
      out = default_folder(workdirs, folder)
    else:
      out = apps.path('out', _OUT.value)
    work(workdirs, files.check_writable(out, 'give another folder by --out'))
