"""The runs in a folder: task, size, seeds, step, state and age.

python -m experiments.list
python -m experiments.list --folder=/data/runs
"""

from absl import flags

from emergence_jax.cli import apps, run_table

_FOLDER = flags.DEFINE_string('folder', 'runs', 'Folder that holds runs.')


def main(argv):
  """Prints a line for each run, the newest last."""
  del argv
  with apps.errors():
    from emergence_jax.store import listing

    folder = apps.path('folder', _FOLDER.value)
    found = listing.runs(folder)
    if not found:
      apps.say(f'{folder} holds no runs.')
      return
    run_table.show(found)


if __name__ == '__main__':
  apps.run(main)
