"""Flags of the apps that read several runs together."""

import pathlib
import sys
from collections.abc import Callable

from absl import app, flags

_WORKDIR = flags.DEFINE_multi_string(
  'workdir', None, 'Run directory; give the flag again for more.', required=True
)
_OUT = flags.DEFINE_string(
  'out', None, 'Folder to write to; one in the first run if absent.'
)
_DRAWS = flags.DEFINE_integer(
  'draws', 1000, 'Shifts of the null.', lower_bound=20
)
_INTERPOLATION = flags.DEFINE_enum(
  'interpolation', 'linear', ['linear', 'matern'],
  'From checkpoints to even steps: by lines, or by a Gaussian process.',
)  # fmt: skip


def options() -> dict:
  """Keyword arguments of the analysis."""
  return {'draws': _DRAWS.value, 'interpolation': _INTERPOLATION.value}


def call(
  argv: list[str],
  folder: str,
  work: Callable[[list[str], pathlib.Path], None],
) -> None:
  """Calls `work` with the runs and where to write.

  A user's error ends in one message and exit code 1.

  Args:
    argv: what is left of the command line.
    folder: name of the folder in the first run, if none is given.
    work: takes run directories and a folder.
  """
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {argv[1:]}')
  from emergence_jax.types import UserError

  out = pathlib.Path(_OUT.value or pathlib.Path(_WORKDIR.value[0]) / folder)
  try:
    work(_WORKDIR.value, out)
  except UserError as error:
    print(f'error: {error}', file=sys.stderr)
    sys.exit(1)
