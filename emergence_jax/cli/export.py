"""Writes a run's timeseries as CSV, Parquet, for TensorBoard, or packed.

  python -m experiments.export --workdir=runs/2026-01-31-120000-modadd-31
  python -m experiments.export --workdir=runs/latest --format=packed

  python -m experiments.export --workdir=runs/latest --format=safetensors

writes the saved populations as releases in GPT-2's layout, a folder for each
seed and step, which every tool that reads GPT-2 reads.

Packed is one small file, without per-example flags and the history of every
update, in a folder that analyze and report read as they do a run's.
"""

from absl import flags

from emergence_jax.cli import apps

_WORKDIR = flags.DEFINE_string('workdir', None, 'Run directory.', required=True)
_FOLDER = flags.DEFINE_string(
  'folder', None, 'Where to write; a folder named after the format if absent.'
)
_FORMAT = flags.DEFINE_enum(
  'format',
  'csv',
  ['csv', 'parquet', 'tensorboard', 'packed', 'safetensors'],
  'What to write.',
)
_STEPS = flags.DEFINE_string(
  'steps', '', 'Of safetensors: FIRST:LAST, FIRST:LAST:EVERY, or one step.'
)


def main(argv):
  """Writes one file for each set of dimensions, and names them."""
  del argv
  with apps.errors():
    from emergence_jax.store import damage, export, packing

    workdir = apps.path('workdir', _WORKDIR.value)
    damage.root(workdir)  # raises if there is no run
    folder = workdir / _FORMAT.value
    if _FOLDER.value is not None:
      folder = apps.path('folder', _FOLDER.value)
    if _FORMAT.value == 'safetensors':
      from emergence_jax.running import exporting

      for path in exporting.to_safetensors(workdir, folder, _STEPS.value):
        apps.say(f'wrote {path}')
      return
    write = {
      'csv': export.to_csv,
      'parquet': export.to_parquet,
      'tensorboard': export.to_tensorboard,
      'packed': packing.pack,
    }[_FORMAT.value]
    for path in write(workdir, folder):
      apps.say(f'wrote {path}')


if __name__ == '__main__':
  apps.run(main)
