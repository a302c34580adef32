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
  'draws',
  1000,
  'Permutations of the tests, where not all can be tried.',
  lower_bound=20,
)
_INTERPOLATION = flags.DEFINE_enum(
  'interpolation', 'linear', ['linear', 'matern'],
  "Of the paper's lags in steps: by lines, or by a Gaussian process.",
)  # fmt: skip
_STATIONARY = flags.DEFINE_integer(
  'assume_stationary', 0,
  "Circular shifts beside which the paper's precursor rates are set as well. "
  'Such a null supposes that series are stationary, which those of training '
  'are not; it has no part in any verdict.', lower_bound=0,
)  # fmt: skip


def options() -> dict:
  """Keyword arguments of the analysis."""
  return {
    'draws': _DRAWS.value,
    'interpolation': _INTERPOLATION.value,
    'stationary_draws': _STATIONARY.value,
  }


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
