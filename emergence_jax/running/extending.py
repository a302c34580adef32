"""Extends a finished run to more steps.

A run goes on to more steps where nothing of what it has done would have been
otherwise: its learning rate does not depend on the number of steps, and its
checkpoints so far are those of the longer run.
"""

import os
import pathlib
import shutil
from collections.abc import Callable, Mapping
from typing import Any

import xarray as xr

from emergence_jax.base import fields
from emergence_jax.base.types import UserError
from emergence_jax.config import schema
from emergence_jax.store import layout as store_layout
from emergence_jax.store import rows, timeseries

# A longer store that is whole, and the one that it takes the place of.
_LONGER, _BEFORE, _WORK = 'timeseries.longer', 'timeseries.before', '.longer'
_KEYS = {'train.steps', 'checkpoints.schedule'}


def recover(workdir: pathlib.Path) -> None:
  """Completes an exchange of stores that a kill interrupted."""
  path, longer = workdir / store_layout.NAME, workdir / _LONGER
  if longer.exists() and not path.exists():
    os.rename(longer, path)
  for name in (_LONGER, _BEFORE, _WORK):
    shutil.rmtree(workdir / name, ignore_errors=True)


def is_longer(kept: Mapping[str, Any], raw: Mapping[str, Any]) -> bool:
  """Whether a configuration is that of a run, with more steps."""
  free = (*schema.LAYOUT_KEYS, *schema.FREE_KEYS)
  changed = schema.differences(kept, raw, free)
  if 'train.steps' not in changed or not changed.keys() <= _KEYS:
    return False
  old, new = changed['train.steps']
  return isinstance(old, int) and isinstance(new, int) and new > old


def check(old: schema.Config, new: schema.Config) -> None:
  """Raises a UserError that says why a run cannot go on to more steps."""
  if new.optimizer.decay != 'constant':
    raise UserError(
      f'config.train.steps={new.train.steps}: this run was to have '
      f'{old.train.steps} steps, on which its learning rate depends '
      f'(config.optimizer.decay={new.optimizer.decay!r}); a run of more is '
      'another one from its first step. Give a new --workdir.'
    )
  before = old.steps.tolist()
  after = [s for s in new.steps.tolist() if s <= old.train.steps]
  if before != after:
    odd = sorted(set(before) ^ set(after))[0]
    raise UserError(
      f'config.checkpoints.schedule={new.checkpoints.schedule!r}: step {odd:,} '
      'is a checkpoint of only one of the run so far and the longer one; give '
      'a schedule that agrees up to '
      f'step {old.train.steps:,}, for example '
      f'{_continued(old)}.'
    )


def _continued(old: schema.Config) -> str:
  """Checks that the longer schedule keeps the run's checkpoints."""
  head, comma, item = old.checkpoints.schedule.rpartition(',')
  stride = item.partition(':')[0]
  last, end = old.steps[-2:].tolist()
  return f'{head}{comma}{stride}:{last},{end - last}:{end},{stride}'


def extend(
  workdir: pathlib.Path,
  old: schema.Config,
  layout: Mapping[str, Any],
  log: Callable[[str], None],
) -> None:
  """Copies a whole timeseries into one of the layout of a longer run.

  Args:
    workdir: the run's directory, locked; its timeseries is whole.
    old: the configuration so far.
    layout: arguments of `store.build` for the longer run.
    log: takes a line on what was done.
  """
  data = timeseries.load_members(workdir, log).load()
  work = workdir / _WORK
  shutil.rmtree(work, ignore_errors=True)
  work.mkdir()
  timeseries.create(work, **layout)
  notes = rows.Writer(workdir).notes()
  added = {
    n: store_layout.added_with(workdir / store_layout.NAME, n) for n in notes
  }
  for name, arrays in added.items():
    _declare(work, data, name, arrays)
  writer = rows.Writer(work)
  for name in store_layout.HISTORY:
    if data.sizes.get('train_step'):
      writer.write_history(0, {name: data[name].values})
  later = {n for arrays in added.values() for n in arrays}
  own = [n for n in timeseries.in_rows(data) if n not in later]
  for step in data.step.values.tolist():
    row = data.sel(step=step).transpose('seed', ...)
    values = {n: row[n].values for n in own}
    writer.write_row(step, values, row.status.values)
    for name, arrays in added.items():
      if step in notes[name]['steps']:
        values = {n: row[n].values for n in arrays}
        writer.add_to_row(step, values, name, notes[name]['options'])
  os.rename(work / store_layout.NAME, workdir / _LONGER)
  os.rename(workdir / store_layout.NAME, workdir / _BEFORE)
  os.rename(workdir / _LONGER, workdir / store_layout.NAME)
  recover(workdir)
  last = layout['steps'][-1]
  log(f'{workdir} goes on from step {old.train.steps:,} to {last:,}.')


def _declare(work, data: xr.Dataset, measure: str, arrays: list[str]) -> None:
  """Declares the variables that a measure has added after the run."""
  declared = {n: fields.of_array(data[n]) for n in arrays}
  dims = {d for field in declared.values() for d in field.dims}
  coords = {d: data[d].values.tolist() for d in dims}
  timeseries.extend(work, measure, declared, coords)
