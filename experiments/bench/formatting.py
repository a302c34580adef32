"""What benchmarks have in common: rows, and where they go.

A benchmark gives tables; each is shown on the terminal and written, with what
machine and versions it was measured on, as JSON and as Markdown.
"""

import dataclasses
import datetime
import os
import pathlib
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from typing import Any

from rich import box, console, markup, table

Cell = str | float | int | None


@dataclasses.dataclass(frozen=True)
class Table:
  """Rows of one piece of work.

  Attributes:
    title: what was measured.
    columns: names, with units.
    rows: a cell for each column; None is shown as a dash.
    notes: sentences below it: ratios, and what the limit is.
  """

  title: str
  columns: Sequence[str]
  rows: Sequence[Sequence[Cell]]
  notes: Sequence[str] = ()


def text(cell: Cell) -> str:
  """A cell as it is shown.

  >>> text(1234.5), text(0.6123), text(12.34), text(None), text(3)
  ('1,234', '0.612', '12.3', '–', '3')
  """
  if cell is None:
    return '–'
  if isinstance(cell, float):
    return f'{cell:,.0f}' if abs(cell) >= 1000 else f'{cell:.3g}'
  return f'{cell:,}' if isinstance(cell, int) else cell


def grid(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
  """Lines of a table in Markdown.

  >>> grid(['a', 'b'], [['x', '1']])
  ['| a | b |', '|---|---|', '| x | 1 |']
  """
  lines = [f'| {" | ".join(row)} |' for row in (columns, *rows)]
  return [lines[0], '|' + '---|' * len(columns), *lines[1:]]


def markdown(tables: Iterable[Table]) -> str:
  """Tables, one below the other.

  >>> print(markdown([Table('T', ['a', 'b'], [['x', 1.0]], ['n.'])]))
  **T**
  <BLANKLINE>
  | a | b |
  |---|---|
  | x | 1 |
  <BLANKLINE>
  n.
  <BLANKLINE>
  """
  lines = []
  for item in tables:
    lines += [f'**{item.title}**', '']
    lines += grid(item.columns, [list(map(text, row)) for row in item.rows])
    lines += ['', *(f'{note}\n' for note in item.notes)]
  return '\n'.join(lines)


def show(item: Table) -> None:
  """Prints a table on the terminal."""
  screen = console.Console()
  shown = table.Table(
    title=markup.escape(item.title), box=box.SIMPLE_HEAD, title_justify='left'
  )
  for place, name in enumerate(item.columns):
    shown.add_column(name, justify='right' if place else 'left')
  for row in item.rows:
    shown.add_row(*(markup.escape(text(cell)) for cell in row))
  screen.print(shown)
  for note in item.notes:
    screen.print(note, highlight=False, markup=False)


def _processor() -> str:
  """The processor's name, if the system says it."""
  try:
    lines = pathlib.Path('/proc/cpuinfo').read_text(encoding='utf-8')
    names = [x for x in lines.splitlines() if x.startswith('model name')]
    return names[0].partition(':')[2].strip()
  except (OSError, IndexError):
    return platform.processor() or platform.machine()


def machine() -> dict[str, Any]:
  """What the numbers depend on beside the code."""
  from emergence_jax.machine import mesh
  from emergence_jax.running import rundir

  facts = rundir.environment()
  packages = ('jax', 'jaxlib', 'flax', 'numpy', 'scipy')
  return {
    'processor': _processor(),
    'cores': mesh.available_cores(),
    'backend': facts['backend'],
    'devices': facts['devices'],
    'python': platform.python_version(),
    'versions': {name: metadata.version(name) for name in packages},
    'commit': facts['git_commit'],
    'dirty': facts['git_dirty'],
    'command': ' '.join(['python -m experiments.bench', *sys.argv[1:]]),
    'environment': {
      name: os.environ[name]
      for name in sorted(os.environ)
      if name.startswith(('XLA_', 'JAX_', 'OMP_', 'OPENBLAS_'))
    },
    'date': datetime.date.today().isoformat(),
  }


def write(
  folder: pathlib.Path,
  name: str,
  tables: Sequence[Table],
  on: Mapping[str, Any],
) -> list[pathlib.Path]:
  """Writes `NAME.json` and `NAME.md`; returns their paths."""
  from emergence_jax.store import files

  files.check_writable(folder, 'give another --out')
  rows = [
    {
      'title': item.title,
      'rows': [dict(zip(item.columns, row, strict=True)) for row in item.rows],
      'notes': list(item.notes),
    }
    for item in tables
  ]
  head = (
    f'# {name}\n\n`{on["command"]}`, {on["date"]}, commit '
    f'{str(on["commit"])[:12]}{" (changed)" if on["dirty"] else ""}; '
    f'{on["cores"]} cores of {on["processor"]}, {on["backend"]}; '
    + ', '.join(f'{k} {v}' for k, v in on['versions'].items())
    + '.\n\n'
  )
  paths = [folder / f'{name}.json', folder / f'{name}.md']
  files.write_json(paths[0], {'machine': on, 'tables': rows}, checked=False)
  files.write_text(paths[1], head + markdown(tables))
  return paths
