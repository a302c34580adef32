"""No value of a configuration is accepted that makes no sense, or crashes."""

import json
import math
import os
import subprocess
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emergence_jax.base.types import UserError
from emergence_jax.cli import config_flag
from emergence_jax.config import schema
from emergence_jax.config.presets import algorithmic, modadd
from tests import tiers

NAN, INF = math.nan, math.inf
COUNTS = (0, -3, 2**31, 10**12, 1.5, NAN, INF, '8', True, None, [1], {})
NOT_NEGATIVE = (-1, 2**31, 10**12, 2.5, NAN, INF, 'x', True, None, [0])
# None is what is chosen automatically.
AT_ONCE = (0, -1, 2**31, 10**12, 2.5, NAN, INF, 'x', True, [0])
POSITIVE = (0.0, -1.0, NAN, INF, -INF, 1e300, 'x', True, None, [1.0], {})
REAL_FROM_0 = (-1e-9, NAN, INF, -INF, 1e39, 'x', True, None, [1.0])
BOOLS = (0, 1, 'yes', None, 0.0)
WORDS = ('', 'x', None, 3, 1.5, ['gelu'], {}, 'GELU ')
# Key → values that must be refused; base configuration: modular addition.
BAD = {
  'seeds.count': (*COUNTS, 10**9),
  'seeds.first': (*NOT_NEGATIVE, 2**32, 2**32 + 1, 2**31 - 2),
  'seeds.devices': (*AT_ONCE, 3, 4096),
  'seeds.at_once': (*AT_ONCE, 3),
  'train.steps': COUNTS,
  'optimizer.rate': REAL_FROM_0,
  'optimizer.warmup': (*NOT_NEGATIVE, 10**11),
  'optimizer.b1': (-0.5, 1.0, 1.5, NAN, INF, 'x', None),
  'optimizer.b2': (-0.5, 1.0, 1.5, NAN, INF, 'x', None),
  'optimizer.weight_decay': REAL_FROM_0,
  'optimizer.clip_norm': REAL_FROM_0,
  'optimizer.decay': WORDS,
  'model.num_layers': (*COUNTS, 10**8),
  'model.d_model': (*COUNTS, 10**8, 7),
  'model.num_heads': (*COUNTS, 3, 10**8),
  'model.d_ff': (*COUNTS, 10**9 * 2),
  'model.num_positions': (*COUNTS, 2),
  'model.init_std': POSITIVE,
  'model.activation': WORDS,
  'model.norm': BOOLS,
  'model.tied': BOOLS,
  'model.biases': BOOLS,
  'model.size': ('', 'x', 'Nano', 3, 1.5, [1]),
  'task.p': (*COUNTS, 2, 1001),
  'task.train_fraction': (0.0, 1.0, -1.0, NAN, INF, 1e-9, 0.9999999, 'x'),
  'task.batch_size': (*NOT_NEGATIVE, 10**6),
  'task.symmetric': BOOLS,
  'task.name': ('', 'x', None, 3, [1], {}),
  'checkpoints.save_every': COUNTS,
  'checkpoints.keep': NOT_NEGATIVE,
  'checkpoints.keep_period': NOT_NEGATIVE,
  'checkpoints.schedule': (
    '',
    ',',
    '0',
    '-2',
    'inf%',
    'nan%',
    '1_0',
    '1e3',
    '2:',
    ':2',
    '2:x',
    '2:9',
    '2:4,2:2',
    '0%',
    '3weeks',
    '2,2',
    None,
    [2],
    {},
    1.5,
    '٣',
  ),
  'measures.behaviour.examples': (*COUNTS, 10**9),
  'measures.behaviour.examples_at_once': COUNTS,
  'measures.rank.examples': (*COUNTS, 1),
  'measures.rank.every': COUNTS,
  'measures.rank.seeds_at_once': (*AT_ONCE, 3),
  'measures.rank.from_step': NOT_NEGATIVE,
  'measures.rank.on': BOOLS,
  'measures.fisher.examples': (*COUNTS, 1),
  'measures.fisher.examples_at_once': AT_ONCE,
  'measures.gradcov.batches': (*COUNTS, 1),
  'measures.gradcov.batch_size': COUNTS,
  'measures.gradcov.prefix': COUNTS,
  'measures.hessian.k': (*COUNTS, 10**6),
  'measures.hessian.num_matvecs': (*COUNTS, 2),
  'measures.hessian.trace_matvecs': (*COUNTS, 1),
  'measures.llc.step_size': POSITIVE,
  'measures.llc.localization': REAL_FROM_0,
  'measures.llc.nbeta': tuple(x for x in POSITIVE if x is not None),
  'measures.llc.num_draws': (*COUNTS, 7),
  'measures.llc.num_burnin': NOT_NEGATIVE,
  'measures.llc.num_chains': COUNTS,
  'measures.llc.batch_size': NOT_NEGATIVE,
  'measures.llc.descent': NOT_NEGATIVE,
  'measures.llc.sampler': WORDS,
  'measures.barrier.points': (*COUNTS, 2),
  'measures.probes.examples': (*COUNTS, 3),
  'measures.probes.penalty': REAL_FROM_0,
  'measures.probes.method': WORDS,
  'measures.rank': (3, 'x', True, [1]),
  'measures': (3, 'rank', [1], True),
  'seeds': (3, None, [1]),
  'model': (3, None, [1], {}),
  'task': (None, 3, {}),
  'measures.lcc': ({}, {'every': 2}, 3),
  'modle': ({}, None, 3),
  'seeds.cuont': (3, None),
}
CASES = [(key, value) for key, values in BAD.items() for value in values]


def base():
  raw = modadd.get_config('5').to_dict()
  raw['seeds'] = dict(count=2, first=0, devices=None, at_once=None)
  raw['train'] = dict(steps=6)
  raw['checkpoints'] = dict(schedule='2', keep=3, keep_period=0)
  return raw


def check(raw):
  """What the app does with a configuration before it writes anything."""
  schema.start_devices(raw)
  config = schema.from_mapping(raw)
  schema.check_devices(config)
  return config


@pytest.mark.parametrize('key', BAD)
def test_bad_values_are_one_message(key):
  # The names of what the value is of: a message that lacks them does not help.
  *_, last = key.split('.')
  for value in BAD[key]:
    raw = base()
    if key.endswith('size') and key.startswith('model'):
      raw['model'] = {}
    config_flag.apply(raw, {key: value})
    with pytest.raises(UserError) as caught:
      check(raw)
      pytest.fail(f'{key}={value!r} was accepted')
    message = str(caught.value)
    assert last in message or key.split('.')[0] in message, message
    assert len(message) < 1000 and '\n' not in message, message


def test_there_are_many():
  assert len(CASES) > 400


def test_huge_values_that_fit_no_machine():
  for key, value in (
    ('task.batch_size', 10**9), ('seeds.count', 10**9),
    ('model.d_ff', 2**31 - 1), ('measures.rank.examples', 10**7),
    ('checkpoints.schedule', '1'),
  ):  # fmt: skip
    raw = algorithmic.get_config('nano').to_dict()
    config_flag.apply(raw, {key: value, 'train.steps': 10**8})
    with pytest.raises(UserError):
      check(raw)


JUNK = st.one_of(
  st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9),
  st.lists(st.integers(), max_size=2),
  st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
)  # fmt: skip
KEYS = [
  *BAD, *(f'{key}.x' for key in BAD), 'measures.alignment.examples',
  'measures.barrier.examples', 'measures.llc.elevation_draws', 'x', 'raw',
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(key=st.sampled_from(KEYS), value=JUNK)
@example(key='task.train_fraction', value=5e-324)
@example(key='seeds.first', value=2**64)
def test_anything_is_taken_or_refused_in_words(key, value):
  raw = base()
  raw['measures'] = {}
  try:
    config_flag.apply(raw, {key: value})
    config = check(raw)
  except UserError:
    return
  assert json.loads(json.dumps(config.raw)) == config.raw


FILES = {
  'raises.py': 'raise RuntimeError("no")',
  'syntax.py': 'def get_config(:',
  'nothing.py': 'x = 3',
  'no_callable.py': 'get_config = 3',
  'none.py': 'def get_config(): return None',
  'number.py': 'def get_config(): return 3',
  'exits.py': 'def get_config(): return {"task": object()}',
  'text.txt': 'hello',
  'with_argument.py': 'def get_config(): return {}',
}
FLAGS = [
  *(f'{name}' for name in FILES), 'missing.py', '.', '', 'with_argument.py:x',
  'configs/modadd.py:abc', 'configs/algorithmic.py:nanno', '\0', '~nobody/x.py',
]  # fmt: skip


@pytest.mark.parametrize('flag', FLAGS)
def test_configuration_files(flag, tmp_path, monkeypatch):
  for name, text in FILES.items():
    (tmp_path / name).write_text(text, encoding='utf-8')
  (tmp_path / 'configs').symlink_to(os.path.abspath('configs'))
  monkeypatch.chdir(tmp_path)
  with pytest.raises(UserError) as caught:
    check(config_flag.load(flag))
  assert 'config' in str(caught.value)


@pytest.mark.parametrize(
  'arguments,words',
  tiers.some(
    [
      (['--config.seeds.cuont=3'], ['config.seeds.cuont=3', "'count'"]),
      (['--config.seeds'], ['no value']),
      (['--wrokdir=x'], ['--wrokdir']),
      (['--config.seeds.count=1_0'], ["count='1_0'", 'int']),
      (['--config.optimizer.b2=nan'], ['b2=nan', 'finite']),
      (['--config.seeds.first', '4294967296'], ['first=4294967296']),
      (['--config.model.size.x=3'], ['config.model.size']),
      (['--config.seeds.count.x=3'], ['config.seeds.count.x=3']),
      (['--measures='], ['--measures is empty', 'barrier']),
      (['--workdir='], ["--workdir=''"]),
      (['stray'], ['stray']),
    ],
    0,
    2,
    9,
  ),
)
def test_flags(arguments, words, tmp_path):
  done = subprocess.run(
    [sys.executable, '-m', 'experiments.run', '--config=configs/modadd.py:5',
     f'--workdir={tmp_path / "new"}', *arguments],
    capture_output=True, text=True,
  )  # fmt: skip
  assert done.returncode == 1, done.stderr
  assert 'Traceback' not in done.stderr
  assert len(done.stderr.strip().splitlines()) == 1, done.stderr
  for word in words:
    assert word in done.stderr
  assert not (tmp_path / 'new').exists()


@pytest.mark.parametrize(
  'app,arguments,words',
  [
    ('run', [], '--config'),
    ('run', ['--config=configs/modadd.py', '--dry_run=maybe'], 'maybe'),
    ('measure', [], '--workdir'),
    ('measure', ['--workdir=nowhere', '--measures=llc'], 'nowhere'),
    ('measure', ['--workdir=x', '--config=configs/pythia.py'], '--checkpoints'),
    ('analyze', [], '--workdir'),
    ('analyze', ['--workdir=nowhere', '--drws=3'], 'drws'),
    ('report', ['--workdir=nowhere', '--draws=3'], '--draws=3'),
    ('export', ['--workdir=nowhere'], 'nowhere'),
    ('export', ['--workdir=nowhere', '--format=xls'], 'xls'),
    ('export', ['stray'], 'stray holds no timeseries'),
  ],
)
def test_wrong_flags_of_every_app(app, arguments, words):
  done = subprocess.run(
    [sys.executable, '-m', f'experiments.{app}', *arguments],
    capture_output=True, text=True,
  )  # fmt: skip
  assert done.returncode == 1 and not done.stdout
  assert done.stderr.startswith('error: ') and words in done.stderr
  assert len(done.stderr.strip().splitlines()) == 1


def test_keys_that_the_file_does_not_have():
  raw = base()
  raw['model'] = dict(num_positions=3)
  given_ = config_flag.overrides(
    ['--config.model.size=nano', '--config.measures.rank.every', '2']
  )
  config_flag.apply(raw, given_)
  config = check(raw)
  assert config.model.d_model == 128 and config.measures['rank'].every == 2
