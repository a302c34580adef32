"""Writes a run's timeseries as tidy CSV or Parquet files, or for TensorBoard.

python -m experiments.export --workdir=runs/2026-01-31-120000-modadd-31
"""

import pathlib
import sys

from absl import app, flags

_WORKDIR = flags.DEFINE_string('workdir', None, 'Run directory.', required=True)
_FOLDER = flags.DEFINE_string(
  'folder', None, 'Where to write; a folder named after the format if absent.'
)
_FORMAT = flags.DEFINE_enum(
  'format', 'csv', ['csv', 'parquet', 'tensorboard'], 'What to write.'
)


def main(argv):
  """Writes one file for each set of dimensions, and names them."""
  del argv
  from emergence_jax import timeseries
  from emergence_jax.types import UserError

  folder = _FOLDER.value or pathlib.Path(_WORKDIR.value) / _FORMAT.value
  write = {
    'csv': timeseries.to_csv,
    'parquet': timeseries.to_parquet,
    'tensorboard': timeseries.to_tensorboard,
  }[_FORMAT.value]
  try:
    for path in write(_WORKDIR.value, folder):
      print(f'wrote {path}')
  except UserError as error:
    print(f'error: {error}', file=sys.stderr)
    sys.exit(1)


if __name__ == '__main__':
  app.run(main)
