"""Names, bytes, encodings and settings that a user's machine may have."""

import base64
import dataclasses
import gzip
import html.parser
import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from emergence_jax.analysis import runs as runs_lib
from emergence_jax.base.types import UserError
from emergence_jax.cli import apps
from emergence_jax.config import schema
from emergence_jax.report import study_figures, write
from emergence_jax.running import loop
from tests import small, tiers

ROOT = pathlib.Path(__file__).parents[1]
NAMES = [
  '$^$', '[v2]', '<!--<script>', 'lr-1', 'lr+1', 'ü' * 100, 'a' * 240,
  b'od\xffd'.decode('utf-8', 'surrogateescape'), '</script>', '"<!--data-->"',
  '%s{x}', '<!--answer-->', 'a b', "it's", '$\\frac$',
]  # fmt: skip


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('run') / 'run'
  raw = small.modadd_config(steps=12)
  loop.run(schema.from_mapping(raw), workdir, lambda line: None)
  return workdir


def rename_task(run: runs_lib.Run, name: str) -> runs_lib.Run:
  data = run.data.assign_coords(task=np.array([name], object))
  return dataclasses.replace(run, data=data, label=name)


@pytest.fixture(scope='module')
def reported(finished, tmp_path_factory):
  """One report of runs and tasks that have all of these names."""
  root = tmp_path_factory.mktemp('names')
  for name in NAMES:
    path = root / name.replace('/', '∕')
    path.symlink_to(finished, target_is_directory=True)
  run = runs_lib.load([finished])['mod 5']
  given = {}
  for name in NAMES:
    label = os.fsencode(name).decode('utf-8', 'replace')
    given[label] = rename_task(run, label)
  original = write.runs_lib.load
  write.runs_lib.load = lambda workdirs: given
  try:
    found = write.report([finished], root / 'out', draws=20)
  finally:
    write.runs_lib.load = original
  return given, root / 'out', found


@pytest.mark.nightly
def test_every_figure_has_a_file_of_its_own(reported):
  given, out, _ = reported
  # Emergence; and of each run its anatomy.
  assert len(list((out / 'figures').glob('*.png'))) >= len(given) + 1
  titles = [f'Depth: {name}' for name in NAMES]
  names = study_figures.file_names(titles)
  assert len(set(names.values())) == len(NAMES)
  assert all(re.fullmatch(r'[a-z0-9._-]{1,110}', n) for n in names.values())


class Tags(html.parser.HTMLParser):
  """Elements of a page, and those that are not closed."""

  SINGLE = {'meta', 'link', 'img', 'br', 'input', 'option'}

  def __init__(self):
    super().__init__()
    self.seen, self.open = [], []

  def handle_starttag(self, tag, attrs):
    self.seen.append(tag)
    if tag not in self.SINGLE:
      self.open.append(tag)

  def handle_endtag(self, tag):
    if tag not in self.SINGLE:
      assert self.open.pop() == tag


@pytest.mark.nightly
def test_the_page_is_whole(reported):
  given, out, found = reported
  content = found.page.read_text(encoding='utf-8')
  (packed,) = re.findall(r'id="data">([\w+/=]*)</script>', content)
  payload = gzip.decompress(base64.b64decode(packed))
  assert set(json.loads(payload)) == set(given)
  # The data, the library in three parts, the page's own; no name is a tag.
  tags = Tags()
  tags.feed(content)
  tags.close()
  assert tags.seen.count('script') == 5 and not tags.open
  assert tags.seen.count('body') == tags.seen.count('main') == 1
  assert '<!--' not in content
  assert 'Whether geometry moved' in content


@pytest.mark.nightly
def test_no_formula_is_left_in_a_figure(reported):
  """Names are no formulas, and so the ticks must not be any."""
  _, out, _ = reported
  for path in (out / 'figures').glob('*.svg'):
    content = path.read_text(encoding='utf-8')
    assert 'mathdefault' not in content, path.name


@pytest.mark.nightly
def test_the_same_folder_is_one_run(finished, tmp_path):
  link = tmp_path / 'link'
  link.symlink_to(finished)
  assert len(runs_lib.load([finished, finished, link])) == 1


def call(app, *flags, **environment):
  return subprocess.run(
    [sys.executable, '-m', f'experiments.{app}', *map(str, flags)], cwd=ROOT,
    capture_output=True, env={**os.environ, **small.QUICK, **environment},
  )  # fmt: skip


@pytest.mark.nightly
@pytest.mark.parametrize(
  'environment',
  tiers.some(
    [
      dict(PYTHONIOENCODING='ascii'),
      dict(PYTHONIOENCODING='latin-1'),
      dict(LC_ALL='C', PYTHONUTF8='0', PYTHONCOERCECLOCALE='0'),
      dict(MPLBACKEND='module://matplotlib_inline.backend_inline'),
      dict(MPLBACKEND='nonsense'),
    ]
  ),
  ids=lambda e: '-'.join(e.values())[:30],
)
def test_any_locale_and_backend(finished, tmp_path, environment):
  for app in ('analyze', 'report'):
    done = call(
      app, f'--workdir={finished}', f'--out={tmp_path / app}', '--draws=20',
      **environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode(errors='replace')
  assert (tmp_path / 'report' / 'report.html').exists()
  assert (tmp_path / 'analyze' / 'claims.csv').exists()


@pytest.mark.nightly
def test_a_run_under_ascii_and_debug_nans(tmp_path):
  """Its own progress line has letters that ASCII lacks; its history had nan."""
  done = call(
    'run', '--config=tests/kill_config.py', '--config.train.steps=6',
    f'--workdir={tmp_path / "run"}', PYTHONIOENCODING='ascii',
    LC_ALL='C', PYTHONUTF8='0', MPLBACKEND='nonsense', JAX_DEBUG_NANS='1',
  )  # fmt: skip
  assert done.returncode == 0, done.stderr.decode()
  assert (tmp_path / 'run' / 'summary.txt').exists()
  assert 'seed-steps/s' not in done.stderr.decode()


@pytest.mark.parametrize('app', tiers.some(['export', 'analyze', 'report']))
def test_where_nothing_can_be_written(finished, tmp_path, app):
  """A file where a folder should be; said before the work is done."""
  (tmp_path / 'file').write_text('x', encoding='utf-8')
  flag = '--folder' if app == 'export' else '--out'
  done = call(app, f'--workdir={finished}', f'{flag}={tmp_path / "file" / "x"}')
  assert done.returncode == 1
  message = done.stderr.decode()
  assert message.startswith('error: cannot write to') and flag in message
  assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
  'where', tiers.some(['file', 'file/below', '/proc/none'])
)
def test_workdirs_that_cannot_be(tmp_path, where):
  (tmp_path / 'file').write_text('x', encoding='utf-8')
  workdir = where if where[0] == '/' else tmp_path / where
  done = call('run', '--config=tests/kill_config.py', f'--workdir={workdir}')
  assert done.returncode == 1
  message = done.stderr.decode()
  assert message.startswith('error: ') and len(message.splitlines()) == 1


@pytest.mark.parametrize('value', ['', ' ', 'a\0b', '~nobody-of-this-name/x'])
def test_values_that_are_no_paths(value):
  with pytest.raises(UserError, match='--workdir='):
    apps.path('workdir', value)


def test_home_after_an_equals_sign(finished, tmp_path):
  (tmp_path / 'mine').symlink_to(finished)
  done = call(
    'export', '--workdir=~/mine', '--folder=~/csv', HOME=str(tmp_path)
  )
  assert done.returncode == 0, done.stderr.decode()
  assert list((tmp_path / 'csv').glob('*.csv'))
