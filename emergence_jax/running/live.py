"""Sends scalars to TensorBoard or Weights & Biases during a run."""

import importlib.util
import json
import pathlib
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from emergence_jax.base.types import Field, UserError
from emergence_jax.store.arms import member_folder

FOLDER = 'tensorboard'


def scalars(
  values: Mapping[str, np.ndarray],
  fields: Mapping[str, Field],
  coords: Mapping[str, Sequence[Any]],
) -> dict[str, np.ndarray]:
  """Tag → [S], of every variable with a label.

  Args:
    values: variable → [S, ...], of one row.
    fields: what each variable is.
    coords: names of the places along their dimensions.
  """
  numbers = {}
  for name, field in fields.items():
    if not field.label or name not in values:
      continue
    at = tuple(field.pick.get(dim, slice(None)) for dim in field.dims)
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


class Nothing:
  """Sends nothing."""

  def row(self, step: int, values: Mapping[str, np.ndarray]) -> None:
    """Takes the values of a row."""

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

  def row(self, step, values):
    """Writes every scalar of a row that is a number."""
    for tag, value_S in scalars(values, self._fields, self._coords).items():
      for writer, value in zip(self._writers, value_S):
        if np.isfinite(value):
          writer.add_scalar(tag, float(value), step)
    for writer in self._writers:
      writer.flush()

  def close(self):
    """Closes the files."""
    for writer in self._writers:
      writer.close()


class WandB(Nothing):
  """Sends to Weights & Biases: a run a seed, in a group by the run's folder.

  Scalars are all that is sent. By WANDB_MODE=offline they are kept in `wandb/`
  in the run directory, to be sent by `wandb sync` later on.

  Args:
    workdir: run directory.
    layout: arguments of `store.build`: fields, coordinates, seeds, attributes.
    step: from which on rows come; what was sent of earlier ones stays.
  """

  def __init__(self, workdir: pathlib.Path, layout: Mapping[str, Any], step):
    del step
    import wandb

    self._fields, self._coords = layout['fields'], layout['coords']
    group, name = workdir.resolve().name, str(workdir.resolve())
    word = f'{zlib.crc32(name.encode()):08x}'
    config = json.loads(layout['attributes']['config'])
    settings = wandb.Settings(
      silent=True, console='off', save_code=False, disable_git=True,
      x_disable_meta=True, x_disable_stats=True,
    )  # fmt: skip
    self._runs = [
      wandb.init(
        project='emergence_jax', group=group,
        name=f'{group} {name.replace("_", " ")}',
        id=re.sub('[_/]', '-', f'{word}-{name}'), resume='allow', dir=workdir,
        config=config,
        reinit='create_new', settings=settings,
      )
      for name in _names(layout)
    ]  # fmt: skip

  def row(self, step, values):
    """Sends every scalar of a row that is a number."""
    numbers = scalars(values, self._fields, self._coords)
    for place, run in enumerate(self._runs):
      own = {tag: float(value_S[place]) for tag, value_S in numbers.items()}
      finite = {t: v for t, v in own.items() if np.isfinite(v)}
      run.log(finite, step=step)

  def close(self):
    """Ends the runs."""
    for run in self._runs:
      run.finish()


def _tensorboard(workdir, layout, step) -> Nothing:
  return TensorBoard(workdir / FOLDER, layout, step)


KINDS = {'tensorboard': _tensorboard, 'wandb': WandB}
_LIBRARIES = {'tensorboard': 'tensorboardX', 'wandb': 'wandb'}


def check(kind: str) -> None:
  """Raises a UserError for an unknown kind, or a missing library.

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
