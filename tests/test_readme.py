"""Every command that is written for people has an app that takes its flags."""

import functools
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

from tests import small

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [
  ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *ROOT.glob('docs/*.md'),
  *ROOT.glob('emergence_jax/config/presets/*.py'),
  *ROOT.glob('emergence_jax/cli/*.py'),
  *ROOT.glob('examples/*.py'),
  *ROOT.glob('experiments/bench/__main__.py'),
  ROOT / 'experiments/results/RESULTS.md',
]  # fmt: skip
# A command up to the end of its line, code or sentence.
_COMMAND = re.compile(
  r'(?:(?:python -m experiments\.)|(?:\bemergence ))'
  r"([a-z]+\b(?:(?: |\s*\\+\n\s*)(?:--?[^\s`'\"]+|[\w.:/]+))*)"
)
# Parses the words as the app does, and stops before it does anything.
_PARSE = """
import importlib, json, sys
from absl import flags
_, name, every = sys.argv
module = importlib.import_module(name)
takes_values = 'config' in flags.FLAGS
for words in json.loads(every):
  flags.FLAGS.unparse_flags()
  for flag in flags.FLAGS:
    flags.FLAGS[flag].unparse()
  sys.argv = [name, *words]  # the flags of a configuration are read from there
  _, *rest = flags.FLAGS(sys.argv, known_only=takes_values)
  if takes_values:
    from emergence_jax.cli import config_flag
    values = config_flag.overrides(rest)
    if flags.FLAGS['config'].present and flags.FLAGS.config != 'x':
      given = config_flag.load(flags.FLAGS.config)
      config_flag.apply(given, values)
"""


def _plain(words: list[str]) -> list[str]:
  """Words of a command: without what stands for a value, and shell marks."""
  kept = []
  for word in words:
    if word in ('|', '>', '\\', '&&') or not word.startswith('-'):
      break
    kept.append(word.rstrip('.,;:)…'))
  # `--workdir=…` and the like: any value will do.
  return [w if not w.endswith('=') else f'{w}x' for w in kept]


@functools.cache
def _apps() -> set[str]:
  return {p.stem for p in (ROOT / 'experiments').glob('*.py')} | {
    'bench', 'results',
  }  # fmt: skip


def commands() -> list[tuple[str, ...]]:
  """App and flags of every command, each once."""
  found = set()
  for page in PAGES:
    for match in _COMMAND.findall(page.read_text(encoding='utf-8')):
      app, *words = shlex.split(re.sub(r'\\+\n', ' ', match))
      flags = [w.replace('SIZE', '160m') for w in _plain(words)]
      if app in _apps() and flags:
        found.add((app, *flags))
  return sorted(found)


def test_lines_are_short():
  """At most 100 characters; but for tables, code and pictures."""
  for page in [*ROOT.glob('*.md'), *ROOT.glob('docs/*.md')]:
    prose = re.sub(r'```.*?```', '', page.read_text('utf-8'), flags=re.DOTALL)
    for line in re.sub(r'`[^`]*`', '', prose).splitlines():
      assert len(line) <= 100 or line.startswith(('|', '![')), (page, line)


def test_there_are_many():
  assert len(commands()) > 25
  assert {app for app, *_ in commands()} >= {
    'run', 'measure', 'report', 'analyze', 'export', 'merge', 'list', 'bench',
  }  # fmt: skip


@pytest.mark.parametrize('app', sorted({app for app, *_ in commands()}))
def test_its_flags_are_known(app):
  """All commands of an app in one process."""
  package = app in ('bench', 'results')
  module = (
    f'experiments.{app}.__main__' if package else f'emergence_jax.cli.{app}'
  )
  every = [words for name, *words in commands() if name == app]
  done = subprocess.run(
    [sys.executable, '-c', _PARSE, module, json.dumps(every)], cwd=ROOT,
    capture_output=True, text=True,
  )  # fmt: skip
  assert not done.returncode, done.stderr[-600:]


# What the loop in README has of PyTorch and of its author's own.
_IN_THE_PLACE_OF_TORCH = """
import types
import numpy as np
from scipy import special
import emergence_jax as ej
torch = types.SimpleNamespace(
  manual_seed=lambda seed: None, exp=np.exp, special=special,
  linalg=types.SimpleNamespace(
    svdvals=lambda x: np.linalg.svd(x, compute_uv=False)
  ),
)
build = lambda: ({'steps': 0}, None)
held_out = None
features = lambda model, data: np.eye(3)
accuracy = lambda model, data: float(model['steps'] > 2000)
def train_step(model, optimizer):
  model['steps'] += 1
"""


@pytest.mark.nightly
def test_the_readme_runs(tmp_path):
  """Its main job, made small, and then its Python, which reads that run."""
  text = (ROOT / 'README.md').read_text(encoding='utf-8')
  (job,) = re.findall(r'\.venv/bin/python (-m experiments\.run .*)\n', text)
  (tmp_path / 'configs').symlink_to(ROOT / 'configs')
  less = ['--config.train.steps=8', '--config.checkpoints.schedule=4',
          '--config.seeds.count=2', '--config.model.d_model=8',
          '--measures=behaviour,rank']  # fmt: skip
  paths = {'PYTHONPATH': str(ROOT), 'MPLBACKEND': 'agg'}
  env = os.environ | small.QUICK | paths

  def call(*words):
    done = subprocess.run(
      [sys.executable, *words], cwd=tmp_path, env=env, capture_output=True,
      text=True,
    )  # fmt: skip
    assert not done.returncode, done.stderr[-2000:]
    return done.stdout

  said = call(*shlex.split(job), *less)
  page = tmp_path / 'runs' / 'latest' / 'report' / 'report.html'
  assert 'Next: open ' in said and page.exists()
  own = """
import jax.numpy as jnp
def loss(params, batch):
  return jnp.mean((batch @ params) ** 2)
params, batch = jnp.ones(6), jnp.eye(6)
"""
  blocks = re.findall(r'```python\n(.*?)```', text, re.DOTALL)
  data, arrays, recorded, measure = blocks
  made_up = """
import numpy as np
steps = np.arange(20) * 10
accuracy = (steps >= np.arange(50, 130, 10)[:, None]).astype(float)
rank = np.roll(accuracy, -2, 1)
rank[:, -2:] = 1
arms, emergence = ['none', 'arm'], np.arange(16.0).reshape(2, 8)
"""
  said = call('-c', made_up + arrays)
  assert 'changed before accuracy in all 8 seeds' in said and 'arm ' in said
  call('-c', f'{_IN_THE_PLACE_OF_TORCH}\n{recorded}')
  assert (tmp_path / 'runs' / 'mine' / 'timeseries.zarr').exists()
  call('-c', data)
  before, _, last = measure.rstrip().rpartition('\n')
  code = f'{own}{before}\nprint({last}.eigenvalues)'
  assert call('-c', code).count('0.33') == 5
