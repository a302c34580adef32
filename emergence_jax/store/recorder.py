"""Rows of a training loop of one's own, with whatever it is written.

  with Recorder('runs/mine', seeds=range(3), chance=0.1) as recorder:
    …
    recorder.log(step, seed=seed, accuracy=…, rankme=…, anything=…)

Each call is a line in a journal, at once, from which the timeseries is written
that analysis and page read as they do a run's. It needs no JAX.
"""

import dataclasses
import json
import math
import numbers
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from emergence_jax.base.types import Field, Status, UserError
from emergence_jax.store import files, rows, timeseries
from emergence_jax.store import layout as store_layout

JOURNAL = 'journal.jsonl'
_PER_LEVEL = ('task', 'level')
# What the analysis knows; everything else is a measure by its own name.
_KNOWN = {
  'accuracy': Field(
    _PER_LEVEL, 'float32', 'accuracy on what was not trained on', '1',
    label='accuracy', pick={'level': -1}, tested=False,
  ),
  'train_accuracy': Field(
    _PER_LEVEL, 'float32', 'accuracy on what was trained on', '1',
    label='training accuracy', pick={'level': -1}, tested=False,
  ),
  'loss': Field(
    _PER_LEVEL, 'float32', 'loss on what was not trained on', 'nat',
  ),
  'log_prob': Field(
    _PER_LEVEL, 'float32', 'log-probability of the right answer', 'nat',
  ),
  'rankme': Field(
    ('task', 'layer'), 'float32', 'effective rank of hidden states',
    'dimension', label='RankMe', pick={'layer': -1},
  ),
}  # fmt: skip
_RESERVED = ('seed', 'step', 'task', 'level', 'layer', 'status', 'chance')


class Recorder:
  """Writes what a training loop logs as the timeseries of a run.

  Use it as a context manager, or call `write` when rows are wanted. A folder
  that holds a journal is gone on with: what is logged again takes the place of
  what was there.

  Args:
    workdir: folder; made if it is not there.
    seeds: numbers of all seeds.
    chance: accuracy of the best constant answer.
    name: of the model, for tables; that of the folder if empty.
    task: its name.
    measures: a function of `emergence_jax.measures_of`, for `measure`.

  Raises:
    UserError: for a folder that holds something else.
  """

  def __init__(
    self,
    workdir: str | pathlib.Path,
    *,
    seeds: Iterable[int] = (0,),
    chance: float = 0.0,
    name: str = '',
    task: str = 'task',
    measures: Callable[..., Mapping[str, np.ndarray]] | None = None,
  ):
    self._seeds = [int(seed) for seed in seeds]
    if not self._seeds or len(set(self._seeds)) < len(self._seeds):
      raise UserError(f'seeds={self._seeds} must name each seed once.')
    self._workdir = files.check_writable(
      pathlib.Path(workdir), 'give another folder'
    )
    self._head = {'chance': float(chance), 'task': task}
    self._measures = measures
    self._name = name or self._workdir.resolve().name
    # (step, seed) → name → value or values.
    self._values: dict[tuple[int, int], dict[str, Any]] = {}
    path = self._workdir / JOURNAL
    if path.exists():
      self._read(path)
    elif (self._workdir / store_layout.NAME).exists():
      raise UserError(
        f'{self._workdir} holds a run that was not recorded; give another '
        'folder.'
      )
    else:
      files.write_text(path, json.dumps(self._head) + '\n')
    self._journal = path.open('a', encoding='utf-8')

  def _read(self, path: pathlib.Path) -> None:
    """Takes what was logged before; a line that a kill cut off is dropped."""
    head, *lines = path.read_text(encoding='utf-8').split('\n')
    known = _parsed(head)
    if known != self._head:
      raise UserError(
        f'{self._workdir} was recorded with {known}, and not with '
        f'{self._head}; give another folder.'
      )
    for line in lines:
      row = _parsed(line)
      if row is not None:
        self._take(row['step'], row['seed'], row['values'])
    # What follows begins on a line of its own.
    if lines and lines[-1]:
      whole = [head, *(line for line in lines if _parsed(line) is not None)]
      files.write_text(path, '\n'.join(whole) + '\n')

  def _take(self, step: int, seed: int, values: dict[str, Any]) -> None:
    if seed in self._seeds:
      self._values.setdefault((step, seed), {}).update(values)

  def log(self, step: int, *, seed: int | None = None, **values: Any) -> None:
    """Logs numbers of a seed at a step; more at another call is added.

    Args:
      step: updates made before the measurement.
      seed: its number; may lack where there is one.
      **values: name → number; `accuracy` is what capabilities are seen by, and
        `rankme` may be one number a layer.

    Raises:
      UserError: for a seed that was not named, or what is no number.
    """
    if seed is None:
      if len(self._seeds) > 1:
        raise UserError(f'log(seed=…) must name one of {self._seeds}.')
      (seed,) = self._seeds
    if int(seed) not in self._seeds:
      raise UserError(f'seed={seed} is none of seeds={self._seeds}.')
    if int(step) != step or step < 0:
      raise UserError(f'step={step!r} must be a whole number from 0 on.')
    plain = {name: _plain(name, value) for name, value in values.items()}
    row = {'step': int(step), 'seed': int(seed), 'values': plain}
    self._journal.write(json.dumps(row) + '\n')
    self._journal.flush()
    self._take(row['step'], row['seed'], plain)

  def measure(
    self, step: int, params: Any, *, seed: int | None = None, **values: Any
  ) -> None:
    """Measures parameters on the spot, and logs it with whatever else is given.

    Of every measure its scalar series: what has panels, and what moves first
    is asked of. An estimate that says it is not ok is left out.

    Args:
      step: updates made before the measurement.
      params: of one seed.
      seed: its number; may lack where there is one.
      **values: as of `log`.
    """
    if self._measures is None:
      raise UserError(
        'measure(…) takes a Recorder(…, measures=emergence_jax.measures_of('
        'model, exams, {…})).'
      )
    number = self._seeds[0] if seed is None else int(seed)
    made = self._measures(params, step, number)
    fields: Mapping[str, Field] = self._measures.fields  # type: ignore[attr-defined]
    self.log(step, seed=seed, **self._scalars(made, fields), **values)

  def _scalars(
    self, made: Mapping[str, np.ndarray], fields: Mapping[str, Field]
  ) -> dict[str, Any]:
    """Name → number of every series; of `rankme` one a layer."""
    scalars: dict[str, Any] = {}
    for name, field in fields.items():
      if name not in made or not (field.label or name in _KNOWN):
        continue
      pick = dict(field.pick) if name != 'rankme' else {}
      pick |= {'task': 0} | ({'level': -1} if name in _KNOWN else {})
      at = tuple(pick.get(dim, slice(None)) for dim in field.dims)
      status = fields[field.status] if field.status in fields else None
      if status is not None:
        of = tuple(pick.get(dim, slice(None)) for dim in status.dims)
        if np.any(made[field.status][of] != Status.OK):
          continue
      scalars[name] = np.asarray(made[name])[at]
    return scalars

  def write(self) -> pathlib.Path:
    """Writes the timeseries of all that was logged; returns the folder.

    Raises:
      UserError: if nothing was, or an array changes its length.
    """
    if not self._values:
      raise UserError(f'nothing was logged to {self._workdir}.')
    steps = sorted({step for step, _ in self._values})
    layers = self._layers()
    names = sorted({n for row in self._values.values() for n in row})
    fields = {name: self._field(name) for name in names}
    config = {
      'task': {'name': 'recorded'},
      'model': {'size': self._name},
      'train': {'steps': steps[-1]},
      'checkpoints': {'steps': steps, 'seeds': self._seeds},
      'measures': {name: {} for name in names},
    }
    timeseries.create(
      self._workdir,
      fields=fields,
      coords={
        'task': [self._head['task']], 'level': ['1'],
        **({'layer': list(range(1, layers + 1))} if layers else {}),
      },
      chance_KxL=np.full((1, 1), self._head['chance']),
      seeds=np.array(self._seeds), steps=np.array(steps), train_steps=0,
      attributes={
        'title': f'emergence_jax recording: {self._name}',
        'config': json.dumps(config, sort_keys=True),
      },
    )  # fmt: skip
    files.write_json(self._workdir / 'config.json', config, checked=False)
    self._fill(steps, fields, layers)
    return self._workdir

  def _field(self, name: str) -> Field:
    """What a variable is: as the analysis or the measures have it, or plain."""
    measured = getattr(self._measures, 'fields', {}).get(name)
    if name in _KNOWN:
      return _KNOWN[name]
    if measured is not None and measured.label:
      return dataclasses.replace(
        measured, dims=(), pick={}, error='', status=''
      )
    return Field((), 'float32', f'{name}, as it was logged', '1', label=name)

  def _layers(self) -> int:
    """Layers of `rankme`; 0 if it was not logged."""
    lengths = {
      len(np.atleast_1d(row['rankme']))
      for row in self._values.values()
      if 'rankme' in row
    }
    if len(lengths) > 1:
      raise UserError(
        f'rankme was logged with {sorted(lengths)} layers; log as many always.'
      )
    return lengths.pop() if lengths else 0

  def _fill(self, steps: Sequence[int], fields, layers: int) -> None:
    writer = rows.Writer(self._workdir)
    sizes = {'task': 1, 'level': 1, 'layer': layers}
    for step in steps:
      count = len(self._seeds)
      values = {
        name: np.full((count, *(sizes[d] for d in field.dims)), np.nan, 'f4')
        for name, field in fields.items()
      }
      status = np.full(count, Status.MISSING, np.int8)
      for place, seed in enumerate(self._seeds):
        row = self._values.get((step, seed))
        if row is None:
          continue
        status[place] = Status.OK
        for name, value in row.items():
          array = np.array(value, float).astype(np.float32)
          values[name][place] = array.reshape(values[name].shape[1:])
          if not np.isfinite(array).all():
            status[place] = Status.NON_FINITE
      writer.write_row(step, values, status)

  def close(self) -> None:
    """Writes the timeseries, if anything was logged."""
    self._journal.close()
    if self._values:
      self.write()

  def __enter__(self) -> 'Recorder':
    return self

  def __exit__(self, *error: object) -> None:
    self.close()


def _parsed(line: str) -> dict[str, Any] | None:
  """A line of the journal; None if it is not whole."""
  try:
    row = json.loads(line)
  except ValueError:
    return None
  return row if isinstance(row, dict) else None


def _plain(name: str, value: Any) -> Any:
  """A number, or a list of numbers, that JSON takes.

  Raises:
    UserError: for anything else, or a name that is taken.
  """
  if name in _RESERVED:
    raise UserError(f'{name}= is a dimension, and cannot be logged.')
  # Of any library: one element that says what it is.
  if hasattr(value, 'tolist'):
    value = value.tolist()
  elif hasattr(value, 'item'):
    value = value.item()
  many = value if isinstance(value, (list, tuple)) else [value]
  if not many or not all(
    isinstance(v, numbers.Real) and not isinstance(v, complex) for v in many
  ):
    raise UserError(f'{name}={value!r} must be a number.')
  if isinstance(value, (list, tuple)) and name != 'rankme':
    raise UserError(
      f'{name} has {len(many)} values, and must be one number; only rankme may '
      'be one a layer.'
    )
  floats = [float(v) for v in many]
  shown = [v if math.isfinite(v) else None for v in floats]
  return shown if name == 'rankme' else shown[0]
