"""Builds the documentation: `python -m sphinx -W docs docs/_build`."""

import os
import pathlib
import sys
import sysconfig

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(HERE)]
# The notebook calls `emergence` of this environment, which need not be active.
os.environ['PATH'] = os.pathsep.join(
  [sysconfig.get_path('scripts'), os.environ.get('PATH', os.defpath)]
)

import generated  # noqa: E402

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


def _generate(app) -> None:
  """Writes what the pages include, from the package itself."""
  del app
  folder = HERE / '_generated'
  folder.mkdir(exist_ok=True)
  for name, make in generated.PAGES.items():
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
