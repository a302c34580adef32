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
    runs = listing.runs(folder)
    if not runs:
      apps.say(f'{folder} holds no runs.')
      return
    run_table.show(runs)


if __name__ == '__main__':
  apps.run(main)
