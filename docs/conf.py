"""Builds the documentation: `python -m sphinx -W docs docs/_build`."""

import importlib
import inspect
import os
import pathlib
import sys
import sysconfig

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))
# The notebook calls `emergence` of this environment, which need not be active.
os.environ['PATH'] = os.pathsep.join(
  [sysconfig.get_path('scripts'), os.environ.get('PATH', os.defpath)]
)

project = 'emergence_jax'
author = 'the authors of emergence_jax'
extensions = ['myst_nb', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']
html_theme = 'furo'
html_title = 'emergence_jax'
exclude_patterns = ['_build', '_generated']
# Our docstrings write code as Markdown does.
default_role = 'code'
autodoc_typehints = 'none'
autodoc_member_order = 'bysource'
napoleon_numpy_docstring = False
napoleon_use_rtype = False
nb_execution_mode = 'cache'
nb_merge_streams = True
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_execution_cache_path = str(HERE / '_build' / '.cache')
# Headings of an included page begin where they begin.
suppress_warnings = ['myst.header']
myst_heading_anchors = 3
myst_enable_extensions = ['colon_fence']


def _table(columns, rows) -> list[str]:
  """Lines of a table, whose cells may have bars of their own."""
  from experiments.bench.formatting import grid

  return grid(
    columns, [[str(c).replace('|', '&#124;') for c in row] for row in rows]
  )


def _variables() -> str:
  """Every variable of every measure, as its module says."""
  from emergence_jax.measures import MEASURES

  lines = []
  for name in MEASURES:
    module = importlib.import_module(f'emergence_jax.measures.{name}')
    first = inspect.getdoc(module).splitlines()[0]
    lines += ['', f'### `{name}`', '', first, '']
    lines += _table(
      ['variable', 'beside seed and step', 'units', 'what it is', 'source'],
      [
        (f'`{variable}`', ', '.join(field.dims) or '–', field.units or '1',
         field.description, field.source or '–')
        for variable, field in module.FIELDS.items()
      ],
    )  # fmt: skip
  return '\n'.join(lines) + '\n'


def _statuses() -> str:
  """Numbers and words of all statuses."""
  from emergence_jax.base.types import Status

  rows = [(int(s), f'`{s.name}`', s.words) for s in Status]
  return '\n'.join(_table(['number', 'name', 'in words'], rows)) + '\n'


def _claims() -> str:
  """The paper's claims, and how each is decided."""
  from emergence_jax.analysis.paper.algorithmic import ALGORITHMIC

  rows = [
    (claim.text, claim.v1 or claim.later, f'{claim.low:g} … {claim.high:g}',
     claim.how)
    for claim in ALGORITHMIC.claims
  ]  # fmt: skip
  columns = ['claim', 'the paper says', 'reproduced if it lies in', 'how']
  return '\n'.join(_table(columns, rows)) + '\n'


def _generate(app) -> None:
  """Writes what the pages include, from the package itself."""
  del app
  folder = HERE / '_generated'
  folder.mkdir(exist_ok=True)
  for name, make in (
    ('variables', _variables), ('statuses', _statuses), ('claims', _claims),
  ):  # fmt: skip
    (folder / f'{name}.md').write_text(make(), encoding='utf-8')


def _plain(app, what, name, obj, options, lines) -> None:
  """Keeps bars and stars of formulas from being read as marks."""
  del app, what, name, obj, options
  is_code = False
  for i, line in enumerate(lines):
    is_code = line.lstrip().startswith(('>>>', '...')) or (
      is_code and bool(line.strip())
    )
    if not is_code and '`' not in line:
      lines[i] = line.replace('|', r'\|').replace('*', r'\*')


def setup(app) -> None:
  """Called by Sphinx."""
  app.connect('builder-inited', _generate)
  app.connect('autodoc-process-docstring', _plain)
