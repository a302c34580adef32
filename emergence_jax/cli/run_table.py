"""Runs as a table on the terminal."""

from collections.abc import Sequence


def _age(seconds: float) -> str:
  """A time in its largest unit."""
  for unit, length in (('d', 86_400), ('h', 3600), ('min', 60)):
    if seconds >= length:
      return f'{seconds / length:.0f} {unit}'
  return f'{seconds:.0f} s'


def show(found: Sequence) -> None:
  """Prints a line for each `listing.Listed`."""
  from rich import box, console, markup, table

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
