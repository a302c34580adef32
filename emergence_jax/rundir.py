"""A run's directory: what was asked, on what it ran, and who may go on."""

import contextlib
import datetime
import errno
import json
import os
import pathlib
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata

import jax

from emergence_jax import config as config_lib
from emergence_jax.types import UserError

_PACKAGES = (
  'emergence_jax', 'jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint',
  'numpy', 'scipy', 'xarray', 'zarr',
)  # fmt: skip


# What a kill may leave of a run that had only begun.
_BEGINNINGS = {'env.json', 'env.partial', 'config.partial'}


def default_workdir(name: str) -> pathlib.Path:
  """A new dated folder under `runs/`."""
  now = datetime.datetime.now().strftime('%Y-%m-%d-%H%M%S')
  return pathlib.Path('runs') / f'{now}-{name}'


def _git(*args: str) -> str | None:
  """Output of git in the source tree of this package; None outside one."""
  try:
    done = subprocess.run(
      ['git', *args],
      cwd=pathlib.Path(__file__).parent,
      capture_output=True,
      text=True,
      timeout=10,
      check=True,
    )
  except (OSError, subprocess.SubprocessError):
    return None
  return done.stdout.strip()


def environment() -> dict:
  """Versions, devices, flags and the source's commit."""
  versions = {}
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
    'flags': {
      name: os.environ[name]
      for name in sorted(os.environ)
      if name.startswith(('XLA_', 'JAX_', 'LIBTPU_'))
    },
    'argv': sys.argv,
    'git_commit': _git('rev-parse', 'HEAD'),
    'git_dirty': None if dirty is None else bool(dirty),
  }


def write_json(path: pathlib.Path, value: dict) -> None:
  """Writes a file that a kill leaves either old or new."""
  partial = path.with_suffix('.partial')
  partial.write_text(json.dumps(value, indent=2) + '\n')
  partial.replace(path)


class Clock:
  """Keeps in `times.json` how long a run took, session by session.

  Args:
    workdir: the run's directory.
  """

  def __init__(self, workdir: pathlib.Path):
    self._path = workdir / 'times.json'
    self._began = time.monotonic()
    self._sessions = []
    # A broken file costs the times of before, and nothing else.
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
      self._sessions = list(json.loads(self._path.read_text())['sessions'])
    self._session: dict | None = None

  def record(self, step: int) -> None:
    """Notes that this session has got to the checkpoint of `step`."""
    if self._session is None:
      self._session = {'first_checkpoint': step}
      self._sessions.append(self._session)
    seconds = round(time.monotonic() - self._began, 1)
    self._session |= {'last_checkpoint': step, 'seconds': seconds}
    write_json(self._path, {'sessions': self._sessions})


def prepare(
  workdir: pathlib.Path, config: config_lib.Config, say: Callable[[str], None]
) -> None:
  """Creates a run directory, or checks that it belongs to this config.

  Args:
    workdir: the directory.
    config: the run's configuration.
    say: takes a line about layout keys that have changed.

  Raises:
    UserError: if it holds a run of another configuration.
  """
  path = workdir / 'config.json'
  if not path.exists():
    names = {p.name for p in workdir.iterdir()} if workdir.exists() else set()
    if names - _BEGINNINGS:
      raise UserError(
        f'{workdir} is not empty and holds no run (no config.json); give a '
        'new --workdir.'
      )
    try:
      workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
      raise UserError(f'--workdir={workdir}: {error.strerror}.') from error
    write_json(workdir / 'env.json', environment())
    write_json(path, dict(config.raw))
    return
  changed = config_lib.differences(json.loads(path.read_text()), config.raw)
  layout = {k: changed.pop(k) for k in config_lib.LAYOUT_KEYS if k in changed}
  if changed:
    rows = '\n'.join(
      f'  {key}: there {old!r}, now {new!r}'
      for key, (old, new) in changed.items()
    )
    raise UserError(
      f'{workdir} holds a run of another configuration:\n{rows}\n'
      'Give a new --workdir, or the configuration in its config.json.'
    )
  if layout:
    say(
      f'layout changed ({", ".join(layout)}): results agree with the run so '
      'far to rounding, not bitwise.'
    )


def is_disk_full(error: BaseException | None) -> bool:
  """Whether an error, or one behind it, says that no space is left."""
  while error is not None:
    if getattr(error, 'errno', None) in (errno.ENOSPC, errno.EDQUOT):
      return True
    if 'No space left on device' in str(error):
      return True
    error = error.__cause__ or error.__context__
  return False
