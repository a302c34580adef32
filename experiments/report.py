"""One HTML page, figures and tables of one or several runs.

  python -m experiments.report --workdir=runs/nano --workdir=runs/micro

The page opens from the disk and asks nothing of the network.
"""

import pathlib
import sys

from absl import app, flags

_WORKDIR = flags.DEFINE_multi_string(
  'workdir', None, 'Run directory; give the flag again for more.', required=True
)
_OUT = flags.DEFINE_string(
  'out', None, 'Folder to write to; report/ in the first run if absent.'
)
_DRAWS = flags.DEFINE_integer(
  'draws', 200, 'Shifts of the null.', lower_bound=20
)


def main(argv):
  """Writes the page and says where it is."""
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {argv[1:]}')
  from emergence_jax.report import write
  from emergence_jax.types import UserError

  out = pathlib.Path(_OUT.value or pathlib.Path(_WORKDIR.value[0]) / 'report')
  try:
    found = write.report(_WORKDIR.value, out, draws=_DRAWS.value)
  except UserError as error:
    print(f'error: {error}', file=sys.stderr)
    sys.exit(1)
  print(found.answer)
  print(f'wrote {found.page}')


if __name__ == '__main__':
  app.run(main)
