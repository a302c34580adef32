"""Damages the files of a run, one at a time, and sees what the commands do.

  python -m experiments.bench --trials=672 damage

Each trial takes a fresh copy of a run, damages one file, and calls one of
`load`, `export`, `analyze`, `measure` and `run` (of a finished run, and of one
that is to go on). It must end without an exception that is not a `UserError`,
and no number that can be read afterwards may differ from the run's own: it is
the same, or blank, or left out.
"""

import collections
import itertools
import pathlib
import random
import shutil
import tempfile
import warnings
from typing import NamedTuple

import jax
import numpy as np
import xarray as xr

from emergence_jax.analysis import runs
from emergence_jax.base.types import UserError
from emergence_jax.config import schema
from emergence_jax.running import loop, offline
from emergence_jax.store import (
  checkpoints,
  damage,
  export,
  files,
  layout,
  timeseries,
)
from experiments.bench import kills_config

ADDED = 'alignment'
# Kind of file → pattern within a run's directory.
KINDS = {
  'configuration': 'config.json',
  'environment': 'env.json',
  'times': 'times.json',
  'notes of measure': damage.NOTES,
  'summary': 'summary.txt',
  'group metadata': f'{layout.NAME}/zarr.json',
  'array metadata': f'{layout.NAME}/*/zarr.json',
  'coordinate': f'{layout.NAME}/*/c/0',
  'chance': f'{layout.NAME}/chance/c/*/*',
  'status': f'{layout.NAME}/status/c/*/*',
  'history': f'{layout.NAME}/train_loss/c/*/*',
  'values': f'{layout.NAME}/rankme/c/**/[0-9]*',
  'flags': f'{layout.NAME}/correct/c/**/[0-9]*',
  'added values': f'{layout.NAME}/task_grad_norm/c/**/[0-9]*',
  'checkpoint': f'{checkpoints.FOLDER}/**/*',
  'lock': files.LOCK,
}
HOWS = ('flip', 'truncate', 'empty', 'delete', 'garbage', 'other JSON', 'zeros')
COMMANDS = ('load', 'export', 'analyze', 'measure', 'run', 'go on')


class Trial(NamedTuple):
  """Attributes: what is damaged, how, and the command that follows."""

  kind: str
  how: str
  command: str


def spoil(path: pathlib.Path, how: str, rng: random.Random) -> None:
  """Damages one file."""
  data = bytearray(path.read_bytes())
  if how == 'delete':
    path.unlink()
    return
  if how == 'flip' and data:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
  elif how == 'truncate':
    data = data[: len(data) // 2]
  elif how == 'empty':
    data = bytearray()
  elif how == 'garbage':
    data = bytearray(rng.randbytes(max(1, len(data))))
  elif how == 'other JSON':
    data = bytearray(rng.choice([b'[]', b'3', b'{}', b'null', b'{"a": 1}']))
  elif how == 'zeros':
    data = bytearray(len(data))
  path.write_bytes(data)


def _same_or_blank(name: str, new: np.ndarray, old: np.ndarray) -> None:
  if new.dtype.kind not in 'biuf':
    assert list(new) == list(old), f'{name} differs'
    return
  blank = np.isnan(new) if new.dtype.kind == 'f' else new == -1
  equal = (new == old) | blank
  if old.dtype.kind == 'f':
    equal |= np.isnan(old) & np.isnan(new)
  assert equal.all(), f'{name} has other numbers'


def compare(data: xr.Dataset, wanted: xr.Dataset) -> None:
  """Raises where a number is neither what it was nor blank."""
  for dim, size in data.sizes.items():
    assert size <= wanted.sizes[dim], f'{dim} is longer'
  for name, variable in data.variables.items():
    if name == 'status':
      continue
    old = wanted[name]
    if 'step' in variable.dims:
      assert set(data.step.values) <= set(wanted.step.values)
      old = old.sel(step=data.step.values)
    if 'train_step' in variable.dims:
      old = old.isel(train_step=slice(data.sizes['train_step']))
    _same_or_blank(str(name), variable.values, old.values)


def call(command: str, workdir: pathlib.Path, raw) -> None:
  """One command, as the apps call it."""
  if command == 'load':
    timeseries.load(workdir).load()
  elif command == 'export':
    export.to_csv(workdir, workdir.parent / 'csv')
  elif command == 'analyze':
    runs.load([workdir])
  elif command == 'measure':
    offline.measure(workdir, [ADDED], lambda line: None)
  else:
    loop.run(schema.from_mapping(raw), workdir, lambda line: None)


class Subject(NamedTuple):
  """A run to be damaged.

  Attributes:
    whole: directory of a finished run.
    half: of the same run, stopped half-way.
    raw: its configuration.
    data: its timeseries.
  """

  whole: pathlib.Path
  half: pathlib.Path
  raw: dict
  data: xr.Dataset


def subject(raw: dict, root: pathlib.Path) -> Subject:
  """Makes a run, finished and half finished."""
  whole, half = root / 'whole', root / 'half'
  config = schema.from_mapping(raw)
  loop.run(config, whole, lambda line: None)
  offline.measure(whole, [ADDED], lambda line: None)
  (whole / 'summary.txt').write_text('summary', encoding='utf-8')
  shutil.copytree(whole, half)
  steps = config.steps.tolist()
  middle = steps[len(steps) // 2]
  for path in (half / checkpoints.FOLDER).iterdir():
    if path.name.isdigit() and int(path.name) > middle:
      shutil.rmtree(path)
  return Subject(whole, half, raw, timeseries.load(whole).load())


def run_trial(trial: Trial, of: Subject, rng: random.Random) -> str:
  """Tries one kind of damage; returns how it ended, in a word.

  Raises:
    AssertionError: if a number differs; anything else: the command's own.
  """
  with tempfile.TemporaryDirectory() as folder:
    workdir = pathlib.Path(folder) / 'run'
    source = of.half if trial.command == 'go on' else of.whole
    shutil.copytree(source, workdir)
    paths = [p for p in workdir.glob(KINDS[trial.kind]) if p.is_file()]
    spoil(rng.choice(sorted(paths)), trial.how, rng)
    ended = 'went on'
    with warnings.catch_warnings(record=True) as said:
      warnings.simplefilter('always', timeseries.DamageWarning)
      try:
        call(trial.command, workdir, of.raw)
      except UserError as error:
        ended = 'refused'
        assert str(error), 'an error without words'
      if said and ended == 'went on':
        ended = 'left out'
      try:
        data = timeseries.load(workdir, lambda line: None).load()
      except UserError:
        return ended
    compare(data, of.data)
    return ended


def all_trials() -> list[Trial]:
  """Every kind of file × damage × command."""
  return [Trial(k, h, c) for k in KINDS for h in HOWS for c in COMMANDS]


def small_config() -> dict:
  """A run to be damaged: five rows and their populations."""
  config = kills_config.get_config()
  config.train.steps = 8
  config.measures = dict(
    behaviour=dict(), rank=dict(examples=10),
    alignment=dict(examples=6, on=False),
  )  # fmt: skip
  return config.to_dict()


def run(count: int, seed: int = 0) -> None:
  """Tries every kind, damage and command, over and over; prints a table."""
  rng = random.Random(seed)
  trials = all_trials()
  rng.shuffle(trials)
  ends: dict[str, collections.Counter] = collections.defaultdict(
    collections.Counter
  )
  with tempfile.TemporaryDirectory() as root:
    # The same programs, over and over.
    jax.config.update('jax_compilation_cache_dir', f'{root}/cache')
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.1)
    of = subject(small_config(), pathlib.Path(root))
    for trial in itertools.islice(itertools.cycle(trials), count):
      try:
        end = run_trial(trial, of, rng)
      except Exception as error:
        end = 'FAILED'
        print(f'{trial}: {type(error).__name__}: {error}', flush=True)
      ends[trial.kind][end] += 1
  heads = ('went on', 'left out', 'refused', 'FAILED')
  print(f'{"":20}' + ''.join(f'{head:>10}' for head in heads))
  for kind, counts in ends.items():
    print(f'{kind:20}' + ''.join(f'{counts[head]:10}' for head in heads))
