"""The runs in a folder: task, size, seeds, step, state and age.

python -m experiments.list
python -m experiments.list --folder=/data/runs
"""

from absl import flags

from experiments import apps

_FOLDER = flags.DEFINE_string('folder', 'runs', 'Folder that holds runs.')


def _age(seconds: float) -> str:
  """A time in its largest unit."""
  for unit, length in (('d', 86_400), ('h', 3600), ('min', 60)):
    if seconds >= length:
      return f'{seconds / length:.0f} {unit}'
  return f'{seconds:.0f} s'


def main(argv):
  """Prints a line for each run, the newest last."""
  del argv
  with apps.errors():
    from rich import box, console, markup, table

    from emergence_jax import listing

    folder = apps.path('folder', _FOLDER.value)
    found = listing.runs(folder)
    if not found:
      apps.say(f'{folder} holds no runs.')
      return
    shown = table.Table(box=box.SIMPLE_HEAD)
    for name in ('run', 'task', 'size', 'seeds', 'step', 'state', 'age'):
      right = name in ('seeds', 'step', 'age')
      shown.add_column(
        name, justify='right' if right else 'left', overflow='fold'
      )
    for one in found:
      step = '–' if one.step is None else f'{one.step:,}'
      if one.step != one.steps and one.steps:
        step = f'{step} of {one.steps:,}'
      cells = (one.path.name, one.task, one.size, str(one.seeds), step,
               one.state, _age(one.age))  # fmt: skip
      shown.add_row(*map(markup.escape, cells))
    console.Console().print(shown)


if __name__ == '__main__':
  apps.run(main)
