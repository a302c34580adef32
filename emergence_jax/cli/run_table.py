"""Runs as a table on the terminal."""

from collections.abc import Sequence


def _age(seconds: float) -> str:
  """A time in its largest unit."""
  for unit, length in (('d', 86_400), ('h', 3600), ('min', 60)):
    if seconds >= length:
      return f'{seconds / length:.0f} {unit}'
  return f'{seconds:.0f} s'


def show(runs: Sequence) -> None:
  """Prints a line for each `listing.RunStatus`."""
  from rich import box, console, markup, table

  from emergence_jax.base import labels

  shown = table.Table(box=box.SIMPLE_HEAD)
  told = labels.within(
    [(run.task, run.size) for run in runs], [run.config for run in runs]
  )
  heads = ['run', 'task', 'size', 'seeds', 'step', 'state', 'age']
  for name in [*heads, 'differs in'] if any(told) else heads:
    right = name in ('seeds', 'step', 'age')
    shown.add_column(
      name, justify='right' if right else 'left', overflow='fold'
    )
  for run, differs in zip(runs, told):
    step = '–' if run.step is None else f'{run.step:,}'
    if run.step != run.steps and run.steps:
      step = f'{step} of {run.steps:,}'
    cells = [
      run.path.name, run.task, run.size, str(run.seeds), step, run.state,
      _age(run.age), differs,
    ]  # fmt: skip
    shown.add_row(*map(markup.escape, cells[: len(shown.columns)]))
  console.Console().print(shown)
