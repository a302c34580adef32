"""Sends scalars to TensorBoard, Weights & Biases or Trackio during a run."""

import importlib.util
import json
import os
import pathlib
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from emergence_jax.base.labels import flatten
from emergence_jax.base.types import Field, UserError
from emergence_jax.store.arms import member_folder

FOLDER = 'tensorboard'
# Of behaviour, what has no label since nothing is tested on it.
_ALSO = ('train_accuracy', 'log_prob', 'loss')
_WITHOUT_SENDING = ('offline', 'disabled', 'dryrun')


def scalars(
  values: Mapping[str, np.ndarray],
  fields: Mapping[str, Field],
  coords: Mapping[str, Sequence[Any]],
) -> dict[str, np.ndarray]:
  """Tag → [S], of every variable with a label, and of all of behaviour.

  Args:
    values: variable → [S, ...], of one row.
    fields: what each variable is.
    coords: names of the places along their dimensions.
  """
  numbers = {}
  for name, field in fields.items():
    if name not in values or not (field.label or name in _ALSO):
      continue
    pick = field.pick or ({'level': -1} if 'level' in field.dims else {})
    at = tuple(pick.get(dim, slice(None)) for dim in field.dims)
    series = values[name][(slice(None), *at)]
    if series.ndim == 1:
      numbers[name] = series
    else:  # what has no index is the task
      for place, task in enumerate(coords['task']):
        numbers[f'{name}/{task}'] = series[:, place]
  return numbers


def _names(layout: Mapping[str, Any]) -> list[str]:
  """`seed_3`, or of a member of an arm `ARM/seed_3`."""
  seeds = layout['seeds'].tolist()
  arms = layout.get('arms') or [''] * len(seeds)
  return list(map(member_folder, seeds, arms))


def _as_table(layout: Mapping[str, Any]) -> str:
  """The configuration as a table of Markdown."""
  flat = flatten(json.loads(layout['attributes']['config']))
  rows = [f'| {key} | {value} |' for key, value in flat.items()]
  return '\n'.join(['| key | value |', '|---|---|', *rows])


class Nothing:
  """Sends nothing."""

  def row(
    self,
    step: int,
    values: Mapping[str, np.ndarray],
    means: Mapping[str, np.ndarray] | None = None,
  ) -> None:
    """Takes the values of a row, and means of the updates before it."""

  def close(self) -> None:
    """Ends."""


class TensorBoard(Nothing):
  """Writes event files, a folder a seed.

  Args:
    folder: where to write.
    layout: arguments of `store.build`: fields, coordinates, seeds.
    step: from which on what is there is written anew.
  """

  def __init__(
    self, folder: pathlib.Path, layout: Mapping[str, Any], step: int
  ):
    import tensorboardX

    self._fields, self._coords = layout['fields'], layout['coords']
    self._writers = [
      tensorboardX.SummaryWriter(str(folder / name), purge_step=step)
      for name in _names(layout)
    ]
    if not step:
      for writer in self._writers:
        writer.add_text('config', _as_table(layout), 0)

  def row(self, step, values, means=None):
    """Writes every scalar of a row that is a number."""
    numbers = scalars(values, self._fields, self._coords) | dict(means or {})
    for tag, value_S in numbers.items():
      for writer, value in zip(self._writers, value_S):
        if np.isfinite(value):
          writer.add_scalar(tag, float(value), step)
    for writer in self._writers:
      writer.flush()

  def close(self):
    """Closes the files."""
    for writer in self._writers:
      writer.close()


class _RunASeed(Nothing):
  """Sends what a row has of each seed to a run of its own.

  Args:
    layout: arguments of `store.build`: fields, coordinates, seeds.
    runs: of a library, one for each seed, with `log` and `finish`.
  """

  def __init__(self, layout: Mapping[str, Any], runs: Sequence[Any]):
    self._fields, self._coords = layout['fields'], layout['coords']
    self._runs = runs

  def row(self, step, values, means=None):
    """Sends every scalar of a row that is a number."""
    numbers = scalars(values, self._fields, self._coords) | dict(means or {})
    for place, run in enumerate(self._runs):
      own = {tag: float(value_S[place]) for tag, value_S in numbers.items()}
      run.log({t: v for t, v in own.items() if np.isfinite(v)}, step=step)

  def close(self):
    """Ends the runs."""
    for run in self._runs:
      run.finish()


class WandB(_RunASeed):
  """Sends to Weights & Biases: a run a seed, in a group by the run's folder.

  Scalars and the configuration are all that is sent. WANDB_PROJECT and
  WANDB_RUN_GROUP say where; else it is `emergence_jax`, by the folder. By
  WANDB_MODE=offline they are kept in `wandb/` in the run directory, to be sent
  by `wandb sync` later on.

  Args:
    workdir: run directory.
    layout: arguments of `store.build`: fields, coordinates, seeds, attributes.
    step: from which on rows come; what was sent of earlier ones stays.
  """

  def __init__(self, workdir: pathlib.Path, layout: Mapping[str, Any], step):
    del step
    import wandb

    folder, name = workdir.resolve().name, str(workdir.resolve())
    group = os.environ.get('WANDB_RUN_GROUP') or folder
    word = f'{zlib.crc32(name.encode()):08x}'
    config = json.loads(layout['attributes']['config'])
    settings = wandb.Settings(
      silent=True, console='off', save_code=False, disable_git=True,
      x_disable_meta=True, x_disable_stats=True,
    )  # fmt: skip
    runs = [
      wandb.init(
        project=os.environ.get('WANDB_PROJECT') or 'emergence_jax',
        group=group, name=f'{folder} {name.replace("_", " ")}',
        id=re.sub('[_/]', '-', f'{word}-{name}'), resume='allow', dir=workdir,
        config=config,
        reinit='create_new', settings=settings,
      )
      for name in _names(layout)
    ]  # fmt: skip
    super().__init__(layout, runs)


class Trackio(_RunASeed):
  """Writes to Trackio's data base on this machine, a run a seed.

  TRACKIO_PROJECT says where; else it is `emergence_jax`. `trackio show` opens
  them; with TRACKIO_SPACE_ID they go to a space, as Trackio itself has it.

  Args:
    workdir: run directory, by which the runs are a group.
    layout: arguments of `store.build`: fields, coordinates, seeds, attributes.
    step: from which on rows come; what was sent of earlier ones stays.
  """

  def __init__(self, workdir: pathlib.Path, layout: Mapping[str, Any], step):
    del step
    import trackio

    folder = workdir.resolve().name
    runs = [
      trackio.init(
        project=os.environ.get('TRACKIO_PROJECT') or 'emergence_jax',
        name=f'{folder} {name.replace("_", " ")}', group=folder,
        config=flatten(json.loads(layout['attributes']['config'])),
        resume='allow', embed=False,
      )
      for name in _names(layout)
    ]  # fmt: skip
    super().__init__(layout, runs)


def _tensorboard(workdir, layout, step) -> Nothing:
  return TensorBoard(workdir / FOLDER, layout, step)


KINDS = {'tensorboard': _tensorboard, 'wandb': WandB, 'trackio': Trackio}
_LIBRARIES = {
  'tensorboard': 'tensorboardX', 'wandb': 'wandb', 'trackio': 'trackio'
}  # fmt: skip


def _is_logged_in() -> bool:
  """Whether there is a key for Weights & Biases; asks nobody for it."""
  if os.environ.get('WANDB_API_KEY'):
    return True
  import wandb

  try:
    return bool(wandb.login(prompt=False))
  except TypeError:  # of versions before that argument
    return bool(wandb.api.api_key)


def check(kind: str) -> None:
  """Raises a UserError for an unknown kind, a missing library or login.

  To be asked before anything is begun.
  """
  if not kind:
    return
  if kind not in KINDS:
    raise UserError(f'--log={kind!r} is unknown; known: {", ".join(KINDS)}.')
  if importlib.util.find_spec(_LIBRARIES[kind]) is None:
    raise UserError(
      f'--log={kind} needs {_LIBRARIES[kind]}: pip install '
      f"'emergence_jax[{kind}]'."
    )
  sends = os.environ.get('WANDB_MODE') not in _WITHOUT_SENDING
  if kind == 'wandb' and sends and not _is_logged_in():
    raise UserError(
      '--log=wandb: nobody is logged in; call `wandb login`, set '
      'WANDB_API_KEY, or keep what is logged by WANDB_MODE=offline.'
    )


def open_log(
  kind: str, workdir: pathlib.Path, layout: Mapping[str, Any], step: int
) -> Nothing:
  """The writer for `--log`; one that sends nothing if it is empty.

  Raises:
    UserError: for a kind that is not known, or whose library lacks.
  """
  check(kind)
  if not kind:
    return Nothing()
  return KINDS[kind](workdir, layout, step)
