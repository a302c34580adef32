"""Writes the rows of a timeseries, and repairs a damaged one."""

import os
import pathlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import zarr

from emergence_jax.base.types import Status, UserError
from emergence_jax.store import damage, files, records, timeseries
from emergence_jax.store import layout as store_layout
from emergence_jax.store.damage import Kind
from emergence_jax.store.timeseries import STORE


def finite_seeds(values: Mapping[str, np.ndarray]) -> np.ndarray | bool:
  """bool [S]: all floating values [S, ...] of a seed are finite.

  Where a status says that an estimate was not due, there is none.
  """
  finite = True
  statuses = [v for name, v in values.items() if name.endswith('_status')]
  for value in values.values():
    if not np.issubdtype(value.dtype, np.floating):
      continue
    good = np.isfinite(value)
    for status in statuses:
      if value.shape[: status.ndim] == status.shape:
        extra = (1,) * (value.ndim - status.ndim)
        good |= (status == Status.NOT_REACHED).reshape(*status.shape, *extra)
    finite &= good.reshape(len(value), -1).all(1)
  return finite


class Writer:
  """Writes the rows of an existing store."""

  def __init__(self, workdir: files.Path):
    self._workdir = pathlib.Path(workdir)
    attributes = damage.root(workdir)
    self._has_records = bool(attributes.get(records.KEPT))
    if attributes.get('format', 1) != store_layout.FORMAT:
      raise UserError(
        f'{workdir} was begun by an older version of this package, whose rows '
        'have no checksums. It can be read and analysed; go on with it by '
        'the commit that its env.json names.'
      )
    self._store = store_layout.SyncedStore(self._workdir / STORE)
    with zarr.config.set({'array.write_empty_chunks': True}):
      group = zarr.open_group(self._store, mode='r+')
      self._arrays = dict(group.arrays())
    self._row = {int(s): i for i, s in enumerate(self._arrays['step'][:])}

  def _dims(self, name: str) -> tuple[str, ...]:
    return tuple(map(str, self._arrays[name].metadata.dimension_names))

  def _of_rows(self) -> list[str]:
    """Names of the variables with rows, `status` left out."""
    return [
      name
      for name in self._arrays
      if self._dims(name)[:2] == ('seed', 'step') and name != 'status'
    ]

  def _file(self, name: str, row: int) -> pathlib.Path:
    rank = self._arrays[name].ndim
    return self._store.root / store_layout.chunk_file(name, rank, row)

  def blank_history(self, stop: int) -> None:
    """Writes that there is no history of the steps before `stop`."""
    seeds = self._arrays['status'].shape[0]
    blank = np.full((seeds, stop), np.nan, np.float32)
    names = store_layout.HISTORY.keys() & self._arrays.keys()
    self.write_history(0, {name: blank for name in names})

  def write_history(self, start: int, history: Mapping[str, np.ndarray]):
    """Writes [S, n] values of the n training steps from `start`."""
    for name, values in history.items():
      self._arrays[name][:, start : start + values.shape[1]] = values

  def write_row(
    self, step: int, values: Mapping[str, np.ndarray], status: np.ndarray
  ):
    """Writes a checkpoint's values, [S, ...] each, and then its status [S].

    What was not measured is written as such, so that a chunk that is not there
    later on was lost.
    """
    row = self._row[step]
    for name in self._of_rows():
      array = self._arrays[name]
      if name in values:
        array[:, row] = values[name]
      elif not (
        store_layout.ADDED in array.attrs or self._file(name, row).exists()
      ):
        array[:, row] = array.fill_value
    self._store.sync()
    self._record(step, [status])
    self._set_status(row, status)

  def _record(self, step: int, statuses: Sequence[np.ndarray]) -> None:
    """Records what a row holds, in stores that have records."""
    if self._has_records:
      row = self._row[step]
      chunks = {name: self._file(name, row) for name in self._of_rows()}
      known = records.read(self._store.root, step)
      history = known['history'] if known else self._sums_of_history(row)
      records.write(self._store.root, step, chunks, statuses, history)

  def _sums_of_history(self, row: int) -> dict[str, dict[str, str]]:
    """Checksums of the history from the row before to this one."""
    steps = list(self._row)
    start, stop = steps[max(row - 1, 0)], steps[row]
    sums = {}
    for name in store_layout.HISTORY.keys() & self._arrays.keys():
      array = self._arrays[name]
      sums[name] = {
        str(span.start): records.sum_of(np.asarray(array[:, span]))
        for span in records.spans(start, stop, array.chunks[1])
      }
    return sums

  def _set_status(self, row: int, status: np.ndarray) -> None:
    self._arrays['status'][:, row] = status
    self._store.sync()

  def add_to_row(
    self,
    step: int,
    values: Mapping[str, np.ndarray],
    measure: str,
    options: Mapping[str, Any],
  ) -> None:
    """Adds a measure's values, [S, ...] each, to a whole row.

    Values that are not finite show in its status. A kill before the note that
    comes last makes the measure's next call repeat it.
    """
    row = self._row[step]
    for name, value in values.items():
      self._arrays[name][:, row] = value
    self._store.sync()
    status = np.asarray(self._arrays['status'][:, row])
    bad = ~np.asarray(finite_seeds(values)) & (status == Status.OK)
    after = np.where(bad, Status.NON_FINITE, status)
    # A kill may come between the two.
    self._record(step, [status, after])
    if bad.any():
      self._set_status(row, after)
    notes = self.notes()
    note = notes.setdefault(measure, {'options': dict(options), 'steps': []})
    note['steps'] = sorted({*note['steps'], step})
    self._write_notes(notes)

  def notes(self) -> dict[str, Any]:
    """Measure → options and steps of what was added to rows."""
    return damage.notes(self._workdir) or {}

  def _write_notes(self, notes: dict[str, Any]) -> None:
    files.write_json(self._workdir / damage.NOTES, notes)

  def forget(self, measure: str, steps: set[int] | None = None) -> None:
    """Removes the record that a measure was added at these steps, or at any."""
    notes = self.notes()
    if measure in notes:
      left = [s for s in notes[measure]['steps'] if steps and s not in steps]
      notes[measure]['steps'] = left
      if not left:
        del notes[measure]
      self._write_notes(notes)

  def _with_status(self, *statuses: Status) -> list[int]:
    has = np.isin(self._arrays['status'][:], statuses).any(0)
    return [step for step, row in self._row.items() if has[row]]

  def reached(self) -> list[int]:
    """Steps of whole rows, damaged ones included."""
    not_yet = set(self._with_status(Status.NOT_REACHED))
    return [step for step in self._row if step not in not_yet]

  def damaged(self) -> list[int]:
    """Steps of the rows that are marked as damaged."""
    return self._with_status(Status.DAMAGED)

  def finite_until(self, step: int) -> np.ndarray:
    """bool [S]: the loss is finite from the row before to that of `step`."""
    row = self._row[step]
    start = list(self._row)[max(row - 1, 0)]
    loss = np.asarray(self._arrays['train_loss'][:, start:step])
    return np.isfinite(loss).all(1)

  def mark_damaged(self, steps: Sequence[int]) -> None:
    """Blanks the missing values of rows, and marks the rows as damaged."""
    seeds = self._arrays['status'].shape[0]
    for step in steps:
      self.write_row(step, {}, np.full(seeds, Status.DAMAGED))

  def drop_after(self, step: int) -> tuple[int, list[str]]:
    """Clears rows past `step` and history from `step` on.

    Returns:
      How many rows were cleared, and which measures had been added to them.
    """
    later = [s for s in self._row if s > step]
    dropped = [s for s in self.reached() if s > step]
    # The status goes first, so that a kill in here leaves no row that looks
    # whole and is not; from the last row on, so that none looks lost.
    for name in ['status', *self._of_rows()]:
      for s in reversed(later):
        self._file(name, self._row[s]).unlink(missing_ok=True)
    for s in later:
      records.remove(self._store.root, s)
    lost = []
    for measure, note in self.notes().items():
      gone = {s for s in note['steps'] if s > step}
      if gone:
        self.forget(measure, gone)
        lost.append(measure)
    for name in store_layout.HISTORY.keys() & self._arrays.keys():
      self._drop_history(name, step)
    self._store.sync()
    return len(dropped), lost

  def _drop_history(self, name: str, step: int) -> None:
    """Deletes chunks past a step, and blanks the rest of that step's own."""
    array = self._arrays[name]
    length = array.chunks[1]
    for place in range(-(-step // length), -(-array.shape[1] // length)):
      self._file(name, place).unlink(missing_ok=True)
    end = -(-step // length) * length
    if step < end:
      array[:, step:end] = array.fill_value

  def blank(self, chunk: damage.Damage) -> None:
    """Puts a chunk of blanks in the place of a damaged one."""
    array = self._arrays[chunk.variable]
    self._file(chunk.variable, chunk.place).unlink(missing_ok=True)
    if chunk.kind is Kind.HISTORY:
      length = array.chunks[1]
      place = chunk.place * length
      array[:, place : place + length] = array.fill_value
      self._store.sync()
      return
    step = list(self._row)[chunk.place]
    measure = array.attrs.get(store_layout.ADDED)
    if measure is not None:
      self.forget(measure, {step})
    else:
      self.mark_damaged([step])


def mend(
  workdir: files.Path, log: Callable[[str], None], **layout
) -> list[int]:
  """Repairs a damaged store, with blanks where values are lost.

  Metadata and coordinates follow from the configuration and are made again. A
  row that lost values is marked `Status.DAMAGED`; of what a measure had added
  later, the record is removed.

  Args:
    workdir: run directory.
    log: takes lines about what was damaged.
    **layout: arguments of `store.build` by which the store was made.

  Returns:
    Steps of the rows that have been written.

  Raises:
    UserError: if there is no store, or it is of an older format.
  """
  path = pathlib.Path(workdir) / STORE
  _mend_root(path, workdir, log, layout)
  if not damage.root(workdir).get(records.KEPT):
    log(
      'this timeseries was begun by an older version: whole chunks in each '
      "other's places would not be noticed."
    )
  examined = damage.examine(workdir)
  for line in damage.lines(examined):
    log(line)
  if any(d.kind in (Kind.METADATA, Kind.COORDINATE) for d in examined.damage):
    _mend_layout(path, workdir, examined, layout)
    examined = damage.examine(workdir)
  if any(d.kind is Kind.NOTES for d in examined.damage):
    (path.parent / damage.NOTES).unlink()
  writer = Writer(workdir)
  for chunk in examined.damage:
    if chunk.kind in (Kind.ROW, Kind.HISTORY):
      writer.blank(chunk)
  return examined.step_C[: examined.rows].tolist()


def _mend_root(path, workdir, log, layout) -> None:
  """Rebuilds the group's metadata, if they are damaged."""
  if store_layout.metadata(path) is not None or not path.is_dir():
    return
  documents = map(
    store_layout.metadata, (p for p in path.iterdir() if p.is_dir())
  )
  if not any(
    store_layout.is_sealed(document) for document in documents if document
  ):
    raise UserError(
      f'{path / "zarr.json"} is damaged, and nothing else says that this store '
      'is of a format that can be mended; give another --workdir.'
    )
  log(f'{path / "zarr.json"} is damaged or missing, and is made again.')
  partial = timeseries.build_beside(workdir, **layout)
  os.replace(partial / 'zarr.json', path / 'zarr.json')
  shutil.rmtree(partial)


def _mend_layout(path, workdir, examined, layout) -> None:
  """Rebuilds metadata and coordinates; deletes undeclared arrays."""
  partial = timeseries.build_beside(workdir, **layout)
  for item in examined.damage:
    if item.kind not in (Kind.METADATA, Kind.COORDINATE):
      continue
    file = pathlib.Path(item.file).relative_to(STORE)
    if (partial / file).exists():
      (path / file).parent.mkdir(parents=True, exist_ok=True)
      os.replace(partial / file, path / file)
    else:
      # Added after the run; the measure that did can add it again.
      shutil.rmtree(path / item.variable, ignore_errors=True)
  shutil.rmtree(partial)


def remove(workdir: files.Path, measure: str) -> None:
  """Deletes what a measure has added to a store after the run."""
  path = pathlib.Path(workdir) / STORE
  Writer(workdir).forget(measure)
  for name in store_layout.added_with(path, measure):
    shutil.rmtree(path / name)
  # With other options they may have other values.
  for name in store_layout.unused_coords(path):
    shutil.rmtree(path / name)
