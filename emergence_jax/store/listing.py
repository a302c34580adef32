"""The runs in a folder, and their progress."""

import json
import pathlib
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import zarr

from emergence_jax.base import names
from emergence_jax.base.types import Status, UserError
from emergence_jax.store import damage, files, layout


class RunStatus(NamedTuple):
  """A run as a list shows it.

  Attributes:
    path: its directory.
    task: name of its task.
    size: of its model, or the modulus; empty if it has neither.
    seeds: how many.
    step: of its last row; None before the first.
    steps: of the last row to come.
    state: `running`, `finished`, `stopped` or `damaged`.
    age: seconds since its timeseries was last written to.
    config: its configuration; empty if it cannot be read.
  """

  path: pathlib.Path
  task: str
  size: str
  seeds: int
  step: int | None
  steps: int
  state: str
  age: float
  config: Mapping[str, Any] = {}


def look(workdir: pathlib.Path, now: float | None = None) -> RunStatus | None:
  """One run; None if the folder holds none."""
  path = workdir / layout.NAME
  if not path.is_dir():
    return None
  now = time.time() if now is None else now
  try:
    config = json.loads(damage.root(workdir).get('config', '{}'))
    seeds = zarr.open_array(path / 'seed', mode='r').shape[0]
    steps = zarr.open_array(path / 'step', mode='r')[:]
    status = zarr.open_array(path / 'status', mode='r')[:]
  except Exception:  # whatever a foreign or broken file raises
    return RunStatus(workdir, '–', '', 0, None, 0, 'damaged', _age(path, now))
  whole = np.flatnonzero((status != Status.NOT_REACHED).all(0))
  step = int(steps[whole[-1]]) if whole.size else None
  state = 'finished' if step == steps[-1] else 'stopped'
  if files.is_locked(workdir):
    state = 'running'
  task = str(config.get('task', {}).get('name', '–'))
  return RunStatus(
    workdir, task, names.variant(config), seeds, step, int(steps[-1]), state,
    _age(path, now), config,
  )  # fmt: skip


def _age(path: pathlib.Path, now: float) -> float:
  """Seconds since the last row was written."""
  rows = path / 'status' / 'c' / '0'
  place = rows if rows.is_dir() else path
  return max(0.0, now - place.stat().st_mtime)


def runs(folder: pathlib.Path) -> list[RunStatus]:
  """The runs right in a folder, the newest last.

  Raises:
    UserError: if there is no such folder.
  """
  if not folder.is_dir():
    raise UserError(f'{folder} is no folder; give one that holds runs.')
  paths = [p for p in folder.iterdir() if p.is_dir() and not p.is_symlink()]
  listed = [run for run in map(look, paths) if run is not None]
  return sorted(listed, key=lambda run: -run.age)
