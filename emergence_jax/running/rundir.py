"""Configuration, environment and resume checks of a run directory."""

import datetime
import errno
import itertools
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata

import jax

from emergence_jax.base.types import UserError
from emergence_jax.config import older, schema
from emergence_jax.store import damage, files, outputs
from emergence_jax.store import layout as store_layout

_PACKAGES = (
  'emergence_jax', 'jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint',
  'numpy', 'scipy', 'xarray', 'zarr',
)  # fmt: skip
# Settings of JAX that change numbers.
_SETTINGS = (
  'jax_enable_x64', 'jax_default_matmul_precision',
  'jax_threefry_partitionable', 'jax_default_prng_impl',
  'jax_numpy_dtype_promotion',
)  # fmt: skip
# What of an environment changes no number.
_FREE = ('argv', 'git_dirty', 'later', 'time')
# What a kill may leave of a run that had only begun.
_BEGINNINGS = {'env.json', 'config.partial', 'env.partial', files.LOCK}
# Everything that a run makes, for `--overwrite`.
_MADE = (
  store_layout.NAME, store_layout.PARTIAL, damage.NOTES, 'checkpoints',
  'figures', 'report', 'profile', 'tensorboard', 'wandb', 'summary.txt',
  'times.json', 'env.json', 'config.json', outputs.NAME,
)  # fmt: skip


LATEST = 'latest'


def _point_to(path: pathlib.Path) -> None:
  """Points `runs/latest` to a run, where the file system has symbolic links."""
  link = path.parent / LATEST
  if link.exists() and not link.is_symlink():
    return  # somebody's own
  partial = path.parent / f'.{LATEST}-{os.getpid()}'
  try:
    partial.symlink_to(path.name, target_is_directory=True)
    os.replace(partial, link)
  except OSError:
    partial.unlink(missing_ok=True)


def new_workdir(name: str) -> pathlib.Path:
  """Creates a new dated folder under `runs/`.

  Raises:
    UserError: if that cannot be written to.
  """
  now = datetime.datetime.now().strftime('%Y-%m-%d-%H%M%S')
  for i in itertools.count(1):
    path = pathlib.Path('runs') / f'{now}-{name}{f"-{i}" if i > 1 else ""}'
    try:
      path.mkdir(parents=True)
      _point_to(path)
      return path
    except FileExistsError:
      if path.parent.is_dir():
        continue
      raise UserError(
        f'{path.parent} is not a folder; give --workdir.'
      ) from None
    except OSError as error:
      raise UserError(
        f'cannot make {path} ({error.strerror}); give --workdir.'
      ) from error
  raise AssertionError('the numbers have no end')


def _git(*args: str) -> str | None:
  """Output of git in the source tree of this package; None outside one."""
  try:
    done = subprocess.run(
      ['git', *args],
      cwd=pathlib.Path(__file__).parent,
      capture_output=True,
      encoding='utf-8',
      errors='replace',
      timeout=10,
      check=True,
    )
  except (OSError, subprocess.SubprocessError):
    return None
  return done.stdout.strip()


def environment() -> dict:
  """Versions, devices, settings and the source's commit."""
  versions: dict[str, str | None] = {}
  for package in _PACKAGES:
    try:
      versions[package] = metadata.version(package)
    except metadata.PackageNotFoundError:
      versions[package] = None
  dirty = _git('status', '--porcelain', '--untracked-files=no')
  return {
    'python': platform.python_version(),
    'platform': platform.platform(),
    'versions': versions,
    'backend': jax.default_backend(),
    'devices': [d.device_kind for d in jax.devices()],
    'settings': {name: getattr(jax.config, name, None) for name in _SETTINGS},
    'flags': {
      name: os.environ[name]
      for name in sorted(os.environ)
      if name.startswith(('XLA_', 'JAX_', 'LIBTPU_'))
    },
    'argv': sys.argv,
    'git_commit': _git('rev-parse', 'HEAD'),
    'git_dirty': None if dirty is None else bool(dirty),
    'time': datetime.datetime.now().astimezone().isoformat(timespec='seconds'),
  }


class Clock:
  """Records in `times.json` how long each session of a run took.

  Args:
    workdir: the run's directory.
  """

  def __init__(self, workdir: pathlib.Path):
    self._path = workdir / 'times.json'
    self._began = time.monotonic()
    # A broken file costs the times of before, and nothing else.
    times = files.read_json(self._path) or {}
    sessions = times.get('sessions')
    self._sessions = list(sessions) if isinstance(sessions, list) else []
    self._session: dict | None = None

  def record(self, step: int) -> None:
    """Records that this session has reached the checkpoint of `step`."""
    if self._session is None:
      self._session = {'first_checkpoint': step}
      self._sessions.append(self._session)
    seconds = round(time.monotonic() - self._began, 1)
    self._session |= {'last_checkpoint': step, 'seconds': seconds}
    files.write_json(self._path, {'sessions': self._sessions})


def make(workdir: pathlib.Path) -> None:
  """Creates a run's directory, unless it exists.

  Raises:
    UserError: if that cannot be, or it is a folder of something else.
  """
  try:
    exists = workdir.exists()
    names = {p.name for p in workdir.iterdir()} if exists else set()
    workdir.mkdir(parents=True, exist_ok=True)
  except (OSError, ValueError) as error:
    why = getattr(error, 'strerror', None) or error
    raise UserError(f'--workdir={workdir}: {why}.') from error
  if not names & {'config.json', store_layout.NAME} and names - _BEGINNINGS:
    raise UserError(
      f'{workdir} is not empty and holds no run (no config.json); give a '
      'new --workdir.'
    )


def erase(workdir: pathlib.Path) -> None:
  """Deletes what a run has made in its directory, and nothing else."""
  for name in _MADE:
    path = workdir / name
    if path.is_dir():
      shutil.rmtree(path)
    else:
      path.unlink(missing_ok=True)


def read_config(
  workdir: pathlib.Path, log: Callable[[str], None] = lambda line: None
) -> dict:
  """The configuration of a run, with the current names of its keys.

  The timeseries holds it under a checksum; `config.json` is for people, and
  for a run that has no timeseries yet.

  Args:
    workdir: the run's directory.
    log: takes a line if the file is damaged, or was changed.

  Raises:
    UserError: if the directory holds no run, or no whole configuration.
  """
  path = workdir / 'config.json'
  config = files.read_json(path, checked=False)
  config = None if config is None else older.modern(config)
  group = store_layout.metadata(workdir / store_layout.NAME) or {}
  kept = group.get('attributes', {}).get('config')
  if kept is not None and store_layout.is_sealed(group):
    kept = older.modern(json.loads(kept))
    if config != kept:
      log(
        f'{path} is damaged or changed; the configuration in '
        f'{store_layout.NAME} is taken.'
      )
    return kept
  if config is None:
    if path.exists():
      raise UserError(f'{path} is damaged and cannot be read.')
    raise UserError(
      f'{workdir} holds no run (no config.json); give the directory of one.'
    )
  return config


def prepare(
  workdir: pathlib.Path, config: schema.Config, log: Callable[[str], None]
) -> None:
  """Writes a new run's files, or checks that a run is of this config.

  Args:
    workdir: the directory, which exists and is locked.
    config: the run's configuration.
    log: takes a line about what has changed.

  Raises:
    UserError: if it holds a run of another configuration.
  """
  path = workdir / 'config.json'
  if not path.exists() and not (workdir / store_layout.NAME).exists():
    files.write_json(workdir / 'env.json', environment())
    files.write_json(path, dict(config.raw), checked=False)
    return
  kept = read_config(workdir, log)
  if files.read_json(path, checked=False) != kept:
    files.write_json(path, kept, checked=False)
  changed = schema.differences(kept, config.raw, schema.FREE_KEYS)
  layout = {k: changed.pop(k) for k in schema.LAYOUT_KEYS if k in changed}
  if changed:
    rows = '\n'.join(
      f'  {key}: there {old!r}, now {new!r}'
      for key, (old, new) in changed.items()
    )
    raise UserError(
      f'{workdir} holds a run of another configuration:\n{rows}\n'
      'Give a new --workdir, or the configuration that it was begun with; '
      'experiments.run takes that where --config is left out.'
    )
  if layout:
    log(
      f'layout changed ({", ".join(layout)}): results agree with the run so '
      'far to rounding, not bitwise.'
    )
  _compare_environment(workdir, log)


def _compare_environment(workdir, log) -> None:
  """Logs and records how this environment differs from the last one."""
  path = workdir / 'env.json'
  first = files.read_json(path)
  now = environment()
  if first is None:
    log(f'{path} is damaged or missing; it is written again, as of now.')
    files.write_json(path, now)
    return
  later = first.get('later')
  later = later if isinstance(later, list) else []
  last = later[-1] if later and isinstance(later[-1], dict) else first
  changed = {
    key: values
    for key, values in schema.differences(last, now).items()
    if key.split('.')[0] not in _FREE
  }
  if not changed:
    return
  said = '; '.join(
    f'{key} was {old!r}, is {new!r}' for key, (old, new) in changed.items()
  )
  log(
    f'the environment has changed ({said}): results agree with the run so far '
    'to rounding, and need not agree bitwise.'
  )
  files.write_json(path, {**first, 'later': [*later, now]})


def is_disk_full(error: BaseException | None) -> bool:
  """Whether an error, or its cause, is that no disk space is left."""
  while error is not None:
    if getattr(error, 'errno', None) in (errno.ENOSPC, errno.EDQUOT):
      return True
    if 'No space left on device' in str(error):
      return True
    error = error.__cause__ or error.__context__
  return False
