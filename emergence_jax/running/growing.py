"""Goes on with measurements of more steps, seeds or measures.

What was measured is kept as long as it is of the same thing: the same model,
questions, tokenizer and options. The store that is there is set aside, and is
read until all of it is in the longer one; a kill loses nothing.
"""

import os
import pathlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from emergence_jax.base.types import Measure, Status, UserError
from emergence_jax.store import layout as store_layout
from emergence_jax.store import timeseries

BEFORE = 'before'  # a folder with the timeseries that was there
# Group of a configuration that says what was measured, by checksums.
MEASURED = 'measured'
# Names follow from folders, which may move; the others change no number.
_FREE = {
  ('model', 'size'), ('release', 'name'), ('release', 'delete'),
  ('release', 'devices'), ('reference', 'name'),
}  # fmt: skip
# Status of rows that hold what was measured.
_WITH_VALUES = (Status.OK, Status.NON_FINITE)
_WORDS = {
  'model': 'the model is of another structure',
  'description': 'config.json describes another model',
  'tokenizer': 'the tokenizer is another one',
  'exams': 'the exams are others',
  'first': 'the parameters of the first checkpoint are others',
}


def differences(kept: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
  """What two configurations measure differently, in words.

  More steps, seeds or measures are no difference.
  """
  lines = _of_content(kept.get(MEASURED, {}), new.get(MEASURED, {}))
  for name in ('steps', 'seeds'):
    lost = set(kept['checkpoints'][name]) - set(new['checkpoints'][name])
    if lost:
      some = ', '.join(f'{value:,}' for value in sorted(lost)[:5])
      lines.append(f'it holds {name} that are not asked for any more: {some}')
  renamed = _renamed(kept['checkpoints'], new['checkpoints'])
  if renamed:
    lines.append(f'these seeds have other names: {renamed}')
  measures, asked = kept.get('measures', {}), new.get('measures', {})
  for name, options in measures.items():
    if name not in asked:
      lines.append(f'it holds the measure {name}, which is not asked for')
    elif options != asked[name]:
      lines.append(f'{name} has other options: {options} there')
  free = set(_FREE)
  if all(c.get(MEASURED, {}).get('sets') for c in (kept, new)):
    free.add(('release', 'sets'))  # which are compared by their questions
  skipped = {'measures', 'checkpoints', 'train', MEASURED}
  for group in (kept.keys() | new.keys()) - skipped:
    old, other = kept.get(group, {}), new.get(group, {})
    for key in old.keys() | other.keys():
      same = old.get(key) == other.get(key)
      if not same and (group, key) not in free:
        lines.append(f'{group}.{key} is {old.get(key)!r} there')
  return lines


def _renamed(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
  """Seeds whose names differ, where both have names."""
  names, others = (
    dict(zip(c['seeds'], c.get('seed_names', ()))) for c in (old, new)
  )
  return ', '.join(
    f'{seed} was {names[seed]} and is {others[seed]}'
    for seed in names.keys() & others.keys()
    if names[seed] != others[seed]
  )


def _of_content(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
  """Differences between checksums; what one lacks is not compared."""
  lines = [
    _WORDS[key]
    for key in _WORDS
    if old.get(key) and new.get(key) and old[key] != new[key]
  ]
  if not old.get('sets') or not new.get('sets'):
    return lines
  for name in sorted(old['sets'].keys() | new['sets'].keys()):
    if name not in new['sets']:
      lines.append(f'it holds the set {name}, which is not asked for')
    elif name not in old['sets']:
      lines.append(f'it lacks the set {name}')
    elif old['sets'][name] != new['sets'][name]:
      lines.append(f'the questions of the set {name} are others')
  return lines


def is_grown(kept: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
  """Whether there are more steps, seeds or measures than there were."""
  return any(
    set(kept['checkpoints'][name]) != set(new['checkpoints'][name])
    for name in ('steps', 'seeds')
  ) or set(kept['measures']) != set(new['measures'])


def _asides(workdir: pathlib.Path) -> list[pathlib.Path]:
  """Folders of what was set aside, the newest first."""
  folder = workdir / BEFORE
  numbered = folder.iterdir() if folder.is_dir() else ()
  whole = [p for p in numbered if (p / store_layout.NAME).exists()]
  return sorted(whole, key=lambda p: int(p.name), reverse=True)


def set_aside(workdir: pathlib.Path, make: Callable[[], None]) -> None:
  """Sets a timeseries aside, and makes another in its place.

  What was set aside before, and is not in it yet, stays beside it.

  Args:
    workdir: where it is.
    make: makes an empty one there.
  """
  there = _asides(workdir)
  aside = workdir / BEFORE / str(int(there[0].name) + 1 if there else 0)
  aside.mkdir(parents=True, exist_ok=True)
  os.rename(workdir / store_layout.NAME, aside / store_layout.NAME)
  make()


def recover(workdir: pathlib.Path) -> None:
  """Completes what a kill interrupted in `set_aside`: nothing was made yet."""
  path, there = workdir / store_layout.NAME, _asides(workdir)
  if there and not path.exists():
    os.rename(there[0] / store_layout.NAME, path)


def end(workdir: pathlib.Path) -> None:
  """Deletes what was set aside: all of it is in the new one."""
  shutil.rmtree(workdir / BEFORE, ignore_errors=True)


class _Aside:
  """A timeseries that was set aside, and where its steps and seeds are."""

  def __init__(self, data: xr.Dataset):
    self.data = data
    self.fields = set(data.data_vars)
    steps = data.step.values.tolist()
    self.step = {step: i for i, step in enumerate(steps)}
    self.seed = {seed: i for i, seed in enumerate(data.seed.values.tolist())}
    self.before = dict(zip(steps[1:], steps))
    self._status = data.status.transpose('seed', 'step').values

  def status(self, step: int, seed: int) -> Status:
    """What a row says of a seed; `NOT_REACHED` where there is none."""
    if step not in self.step or seed not in self.seed:
      return Status.NOT_REACHED
    return Status(int(self._status[self.seed[seed], self.step[step]]))


class Known:
  """What was measured before, by step and seed.

  Args:
    there: the timeseries that were set aside, the newest first.
    measures: name → the measure, of the new one.
    pairs: names of those that use the parameters before.
    steps: of the new one.
    seeds: of the new one.
  """

  def __init__(
    self,
    there: Sequence[xr.Dataset],
    measures: Mapping[str, Measure],
    pairs: set[str],
    steps: Sequence[int],
    seeds: Sequence[int],
  ):
    self._there, self._measures = list(map(_Aside, there)), measures
    self._pairs, self._seeds = pairs, list(seeds)
    self._before = dict(zip(steps[1:], steps))

  def _in(self, aside: _Aside, step: int, seed: int) -> set[str]:
    """Measures whose values one of them has."""
    if aside.status(step, seed) not in _WITH_VALUES:
      return set()
    # A pair is the same where the one before is, and could be read.
    before = self._before.get(step)
    same = before == aside.before.get(step) and (
      before is None or aside.status(before, seed) == Status.OK
    )
    return {
      name
      for name, measure in self._measures.items()
      if set(measure.fields) <= aside.fields
      and (same or name not in self._pairs)
    }

  def names(self, step: int, seed: int) -> set[str]:
    """Measures whose values of a step and seed are known."""
    return {n for aside in self._there for n in self._in(aside, step, seed)}

  def fill(
    self, step: int, values: dict[str, np.ndarray], status: np.ndarray
  ) -> None:
    """Adds what is known of a step to values [S, ...], in place.

    Args:
      step: of the row.
      values: variable → what was measured now, blank elsewhere.
      status: of the seeds; what is marked has no values.
    """
    for place, seed in enumerate(self._seeds):
      if status[place] not in _WITH_VALUES:
        continue
      left = set(self._measures)
      for aside in self._there:
        for name in left & self._in(aside, step, seed):
          left.discard(name)
          row = aside.data.sel(step=step, seed=seed)
          status[place] = max(int(status[place]), aside.status(step, seed))
          for key in self._measures[name].fields:
            _put(values, key, row[key].values, place, len(self._seeds))


def _put(values, key: str, known: np.ndarray, place: int, seeds: int) -> None:
  """Puts a seed's value among those [S, ...] of a variable."""
  if key not in values:
    fill = store_layout.fill_value(known.dtype)
    values[key] = np.full((seeds, *known.shape), fill, known.dtype)
  values[key][place] = known


def before(
  workdir: pathlib.Path, log: Callable[[str], None]
) -> list[xr.Dataset]:
  """What was set aside, in memory, the newest first."""
  return [timeseries.load(aside, log).load() for aside in _asides(workdir)]


def refuse(workdir: pathlib.Path, lines: Sequence[str]) -> UserError:
  """An error that says what differs."""
  return UserError(
    f'{workdir} holds measurements of other checkpoints, or by another '
    f'configuration: {"; ".join(lines[:4])}. Give a new --workdir.'
  )
