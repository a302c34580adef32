"""Merges runs of different seeds into one timeseries.

What the runs depend on, all but the seeds, has to be the same; seeds that two
of them have are refused, since they would be counted twice. Where one of them
is packed, all are joined as packed ones are: without flags of examples, and
with mean losses between rows for the history.
"""

import json
import os
import pathlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
import zarr

from emergence_jax.base import fields as fields_lib
from emergence_jax.base.arms import ATTRIBUTE
from emergence_jax.base.arms import COORDINATE as ARM
from emergence_jax.base.types import UserError
from emergence_jax.config import schema
from emergence_jax.running import rundir
from emergence_jax.store import files, layout, packing, rows, timeseries

Log = Callable[[str], None]
# Keys that may differ: they move no number beyond rounding, or are the seeds.
_FREE = (
  *schema.LAYOUT_KEYS, *schema.FREE_KEYS, 'seeds.first', 'seeds.count'
)  # fmt: skip


# Attributes that the joined timeseries has of the first.
_CARRIED = ('title', 'parameters', 'examples', ATTRIBUTE)
# Where the store is made.
_ASIDE = 'merging.partial'


class _Part(NamedTuple):
  """Attributes: a run's directory, configuration and timeseries."""

  workdir: pathlib.Path
  raw: Mapping[str, Any]
  data: xr.Dataset

  @property
  def packed(self) -> bool:
    """Whether its timeseries is one file."""
    return not (self.workdir / layout.NAME).exists()


def _read(workdir: pathlib.Path, log: Log) -> _Part:
  data = timeseries.load_members(workdir, log)
  if not data.sizes['step']:
    raise UserError(f'{workdir} has no whole checkpoint yet.')
  return _Part(workdir, rundir.read_config(workdir, log), data)


def _alike(parts: Sequence[_Part], log: Log) -> Sequence[_Part]:
  """All as packed ones, where one of them is."""
  packed = [str(part.workdir) for part in parts if part.packed]
  if not packed:
    return parts
  log(
    f'{", ".join(packed)}: packed, without flags of examples and the history '
    'of every update; so is what is joined.'
  )
  return [part._replace(data=packing.needed(part.data)) for part in parts]


def _check(parts: Sequence[_Part]) -> None:
  """Raises a UserError unless these are other seeds of one configuration."""
  first = parts[0]
  owner: dict[int, pathlib.Path] = {}
  for part in parts:
    for seed in sorted(set(part.data.seed.values.tolist())):
      if seed in owner:
        raise UserError(
          f'{owner[seed]} and {part.workdir} both have seed {seed}; give runs '
          'of different seeds (config.seeds.first).'
        )
      owner[seed] = part.workdir
    changed = schema.differences(first.raw, part.raw, _FREE)
    if changed:
      words = ', '.join(
        f'config.{key}={old!r} and {new!r}'
        for key, (old, new) in list(changed.items())[:5]
      )
      raise UserError(
        f'{first.workdir} and {part.workdir} are not of one configuration: '
        f'{words}.'
      )


def _coords(parts: Sequence[_Part], names: Sequence[str]) -> dict[str, list]:
  """Coordinates of the dimensions that the variables have.

  Raises:
    UserError: where two runs have others.
  """
  first = parts[0]
  used = {d for n in names for d in first.data[n].dims} | {'task', 'level'}
  coords = {}
  for dim in sorted(map(str, used - {'seed', 'step', 'train_step'})):
    coords[dim] = first.data[dim].values.tolist()
    for part in parts[1:]:
      if part.data[dim].values.tolist() != coords[dim]:
        raise UserError(
          f'{first.workdir} and {part.workdir} have other values of {dim}.'
        )
  return coords


def _shared(parts: Sequence[_Part], log: Log) -> list[str]:
  """Variables that all runs have; logs the names of the others."""
  every = [timeseries.in_rows(part.data) for part in parts]
  shared = [n for n in every[0] if all(n in names for names in every)]
  if left := sorted({n for names in every for n in names} - set(shared)):
    log(f'left out, since not all of them have it: {", ".join(left)}.')
  return shared


def _config(parts: Sequence[_Part], seeds: Sequence[int]) -> dict[str, Any]:
  """The merged configuration; its seeds span those of all runs."""
  raw = dict(parts[0].raw)
  raw['seeds'] = {
    **raw.get('seeds', {}), 'first': min(seeds), 'count': len(seeds)
  }  # fmt: skip
  return raw


def merge(
  workdirs: Sequence[str | pathlib.Path], out: pathlib.Path, log: Log
) -> list[int]:
  """Joins runs of disjoint seeds into a timeseries of their own.

  Rows go as far as the shortest has come.

  Args:
    workdirs: run directories or folders of packed runs, at least two.
    out: a new folder for the joined one.
    log: takes lines of text for the user.

  Returns:
    The numbers of all seeds.

  Raises:
    UserError: for seeds that two have, keys that differ, or a folder that is
      in use.
  """
  if len(workdirs) < 2:
    raise UserError('give at least two --workdir.')
  parts = [_read(pathlib.Path(w).expanduser(), log) for w in workdirs]
  parts.sort(key=lambda part: part.data.seed.values[0])
  _check(parts)
  if (out / layout.NAME).exists():
    raise UserError(f'{out} holds a timeseries; give a new folder by --out.')
  parts = list(_alike(parts, log))
  names = _shared(parts, log)
  members = _members(parts)
  ends = [int(part.data.step.values[-1]) for part in parts]
  if len(set(ends)) > 1:
    log(f'they have come to the steps {ends}; joined up to {min(ends):,}.')
  seeds = sorted({seed for seed, _ in members.of})
  raw = _config(parts, seeds)
  files.check_writable(out, 'give another folder by --out')
  with files.Lock(out):
    # Aside, so that a kill leaves nothing that looks whole.
    aside = out / _ASIDE
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    _create(aside, parts, names, members, raw)
    _fill(aside, parts, names, members.order, min(ends))
    _describe(out, parts, raw)
    os.rename(aside / layout.NAME, out / layout.NAME)
    shutil.rmtree(aside)
  return seeds


def _describe(out, parts: Sequence[_Part], raw) -> None:
  """Writes the configuration, the environment and the times."""
  files.write_json(out / 'config.json', raw, checked=False)
  files.write_json(out / 'env.json', rundir.environment())
  sessions = [
    session
    for part in parts
    for session in (files.read_json(part.workdir / 'times.json') or {}).get(
      'sessions', []
    )
  ]
  files.write_json(out / 'times.json', {'sessions': sessions})


class _Members(NamedTuple):
  """Members of the joined timeseries.

  Attributes:
    of: seed and arm of each; the arm is empty where there are none.
    order: their places among the members of the parts, one part after the
      other.
  """

  of: Sequence[tuple[int, str]]
  order: np.ndarray


def _members(parts: Sequence[_Part]) -> _Members:
  """All members, arm by arm, and in an arm part by part."""
  of: list[tuple[int, str]] = []
  for part in parts:
    seeds = part.data.seed.values.tolist()
    arms = (
      part.data[ARM].values if ARM in part.data.coords else ['' for _ in seeds]
    )
    of += zip(seeds, map(str, arms), strict=True)
  arms = list(dict.fromkeys(arm for _, arm in of))
  order = sorted(range(len(of)), key=lambda i: arms.index(of[i][1]))
  return _Members([of[i] for i in order], np.array(order))


def _steps(part: _Part) -> np.ndarray:
  """Steps of the schedule; the dataset leaves out what is still to come."""
  if part.packed:
    return part.data.step.values
  steps = zarr.open_array(part.workdir / layout.NAME / 'step', mode='r')
  return np.asarray(steps[:])


def _create(out, parts, names, members: _Members, raw) -> None:
  """An empty store for all of them."""
  first = parts[0].data
  timeseries.create(
    out,
    fields={n: fields_lib.of_array(first[n]) for n in names},
    coords=_coords(parts, names),
    chance_KxL=first.chance.values,
    seeds=np.array([seed for seed, _ in members.of]),
    arms=[arm for _, arm in members.of if arm],
    steps=max(map(_steps, parts), key=len),
    train_steps=raw['train']['steps'] if 'train_step' in first.sizes else 0,
    attributes={
      **{k: v for k, v in first.attrs.items() if k in _CARRIED},
      'config': json.dumps(raw, sort_keys=True),
      'merged_from': ', '.join(part.workdir.name for part in parts),
    },
  )


def _fill(out, parts, names, order: np.ndarray, end: int) -> None:
  """Writes the history and every row up to a step."""
  writer = rows.Writer(out)
  for name in layout.HISTORY if 'train_step' in parts[0].data.sizes else ():
    values = [
      part.data[name].sel(train_step=slice(0, end - 1)) for part in parts
    ]
    if all(v.sizes['train_step'] for v in values):
      together = np.concatenate([v.values for v in values])[order]
      writer.write_history(0, {name: together})
  for step in parts[0].data.step.values.tolist():
    if step > end:
      break
    at = [part.data.sel(step=step).transpose('seed', ...) for part in parts]
    status = np.concatenate([run.status.values for run in at])[order]
    row = {
      n: np.concatenate([run[n].values for run in at])[order] for n in names
    }
    writer.write_row(step, row, status.astype(np.int8))
