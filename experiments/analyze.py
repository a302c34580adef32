"""Analyses one or several runs together: tables on the screen and as CSV.

  python -m experiments.analyze --workdir=runs/nano --workdir=runs/micro

For the page that shows the same, see `python -m experiments.report`.
"""

import pathlib
import sys

from absl import app, flags

_WORKDIR = flags.DEFINE_multi_string(
  'workdir', None, 'Run directory; give the flag again for more.', required=True
)
_OUT = flags.DEFINE_string(
  'out', None, 'Folder of the CSV files; analysis/ in the first run if absent.'
)
_DRAWS = flags.DEFINE_integer(
  'draws', 200, 'Shifts of the null.', lower_bound=20
)


def main(argv):
  """Prints what was found and writes every table."""
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {argv[1:]}')
  from emergence_jax.analysis import runs, study
  from emergence_jax.report import text
  from emergence_jax.types import UserError

  try:
    found = study.study(runs.load(_WORKDIR.value), draws=_DRAWS.value)
  except UserError as error:
    print(f'error: {error}', file=sys.stderr)
    sys.exit(1)
  print(text.study(found))
  out = pathlib.Path(_OUT.value or pathlib.Path(_WORKDIR.value[0]) / 'analysis')
  for path in text.write_tables(found, out):
    print(f'wrote {path}')


if __name__ == '__main__':
  app.run(main)
