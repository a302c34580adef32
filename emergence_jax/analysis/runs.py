"""Reading several runs side by side."""

import dataclasses
import itertools
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from emergence_jax.analysis.reference import Reference
from emergence_jax.analysis.studies import reference_of
from emergence_jax.base import arms as arms_lib
from emergence_jax.base import labels, names
from emergence_jax.base.arms import Arm
from emergence_jax.base.types import UserError
from emergence_jax.store import arms as arms_of_store
from emergence_jax.store import timeseries

_LONGEST = 60


def name_of(workdir: pathlib.Path) -> str:
  """A path as text; undecodable bytes become a replacement character."""
  return os.fsencode(workdir).decode('utf-8', 'replace')


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
  """A run as the analysis reads it, finished or not.

  Attributes:
    label: its name among the runs that are looked at together.
    data: the timeseries; per-item flags are left on the disk.
    config: the configuration that it was made by.
    workdir: its directory.
    reference: the study that it is set beside, or none.
    deviations: where it leaves that study's protocol, a text each.
    arms: of a run that has any, whose `data` is that of the baseline.
    arms_data: the timeseries of all arms; None if there are none.
  """

  label: str
  data: xr.Dataset
  config: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  workdir: pathlib.Path = pathlib.Path()
  reference: Reference | None = None
  deviations: Sequence[str] = ()
  arms: Sequence[Arm] = ()
  arms_data: xr.Dataset | None = None

  def of_arms(self) -> dict[str, 'Run']:
    """Name of the arm → the arm as a run; the run itself, if it has none."""
    if self.arms_data is None:
      return {self.label: self}
    return {
      arm.name: dataclasses.replace(
        self, label=arm.name, arms=(), arms_data=None,
        data=arms_of_store.select(self.arms_data, arm.name),
      )
      for arm in self.arms
    }  # fmt: skip

  def _of(self, group: str, key: str) -> Any:
    keys = self.config.get(group)
    return keys.get(key) if isinstance(keys, Mapping) else None

  @property
  def size(self) -> str:
    """Name of the model's size; empty if it has none."""
    return str(self._of('model', 'size') or '')

  @property
  def train_steps(self) -> int | None:
    """How far it was to go, if that is known."""
    return self._of('train', 'steps')

  @property
  def is_unfinished(self) -> bool:
    """Whether it has not come as far as it was to go."""
    wanted = self.train_steps
    return bool(wanted and self.data.step.values[-1] < wanted)

  @property
  def groups(self) -> tuple[str, ...]:
    """Groups of tasks to look at by themselves; `all` comes first."""
    return ('all', *(self.reference.groups if self.reference else ()))

  @property
  def tasks(self) -> list[str]:
    """Names of the tasks."""
    return [str(t) for t in self.data.task.values]

  @property
  def seed_groups(self) -> list[str]:
    """Group of each seed; seeds of different groups are not exchangeable.

    By a coordinate `group` of the seeds, where a run says that they differ
    (arms of an experiment), and by how far each was trained.
    """
    known = (
      self.data.accuracy.notnull()
      .any([d for d in self.data.accuracy.dims if d not in ('seed', 'step')])
      .transpose('seed', 'step')
      .values
    )
    last_S = [
      int(np.flatnonzero(row)[-1]) if row.any() else -1 for row in known
    ]
    named = self.data.coords.get('group')
    names_S = [''] * len(last_S) if named is None else named.values.tolist()
    return [f'{name} {last}' for name, last in zip(names_S, last_S)]

  def group_of(self, task: str) -> str:
    """The group of a task, or `other`."""
    return self.reference.group(task) if self.reference else 'other'


Runs = Mapping[str, Run]


def config_of(data: xr.Dataset) -> dict:
  """The configuration in a timeseries; empty if it is damaged."""
  try:
    config = json.loads(data.attrs.get('config', '{}'))
  except ValueError:
    return {}
  return config if isinstance(config, dict) else {}


def _label(config: dict, workdir: pathlib.Path) -> str:
  """The size or modulus of a run, or the name of its folder."""
  variant = names.variant(config)
  if not variant:
    return _short_name(workdir)
  has_size = bool(config.get('model', {}).get('size'))
  return variant if has_size else f'mod {variant}'


def _short_name(workdir: pathlib.Path) -> str:
  """A folder's name as text, of a length that a figure has room for."""
  name = name_of(pathlib.Path(workdir.resolve().name))
  return name if len(name) <= _LONGEST else f'{name[: _LONGEST - 1]}…'


def _labelled(runs: Sequence[Run]) -> list[Run]:
  """Runs with labels of their own.

  Where some have the same, the keys in which these differ tell them apart;
  where all have, those keys alone. The last resort is the folder's name, and
  a number.
  """
  own = [run.label for run in runs]
  words = labels.within(own, [run.config for run in runs])
  alike = len(set(own)) == 1
  told = [
    (said if alike else f'{name}, {said}') if said else name
    for name, said in zip(own, words)
  ]
  labels_of = list(told)
  for i, name in enumerate(told):
    folder = _short_name(runs[i].workdir)
    if told.count(name) > 1 and folder != name:
      labels_of[i] = f'{name} ({folder})'
  taken: set[str] = set()
  for i, name in enumerate(labels_of):
    numbered = (f'{name} {k}' for k in itertools.count(2))
    labels_of[i] = next(
      x for x in itertools.chain([name], numbered) if x not in taken
    )
    taken.add(labels_of[i])
  return [
    dataclasses.replace(run, label=name) for run, name in zip(runs, labels_of)
  ]


def _load(workdir: pathlib.Path) -> Run:
  data = timeseries.load(workdir)
  if not data.sizes['step']:
    raise UserError(f'{workdir} has no whole checkpoint yet.')
  if 'accuracy' not in data:
    raise UserError(
      f'{workdir} did not measure behaviour (config.measures.behaviour), '
      'without which nothing emerges.'
    )
  config = config_of(data)
  label = data.attrs.get(arms_lib.COORDINATE) or _label(config, workdir)
  reference = reference_of(config)
  keep = [n for n, v in data.data_vars.items() if 'item' not in v.dims]
  examples = data.sizes.get('item', data.attrs.get('examples'))
  data = data[keep].load()
  # `emergence.corrected` needs it.
  data.attrs['examples'] = examples
  arms = arms_lib.from_attributes(data.attrs)
  whole = data if arms else None
  if arms:
    data = arms_of_store.select(data, arms_lib.BASELINE)
  return Run(
    label, data, config, arms_of_store.split(workdir)[0], reference,
    tuple(reference.deviations(config)) if reference else (), arms, whole,
  )  # fmt: skip


def load(workdirs: Sequence[str | pathlib.Path]) -> dict[str, Run]:
  """Label → run, with its timeseries in memory, from small to large models.

  Args:
    workdirs: run directories, at least one; finished or not.

  Raises:
    UserError: if one holds no run, or nothing was measured yet.
  """
  if not workdirs:
    raise UserError('give at least one --workdir.')
  # A folder that is given twice is one run.
  folders = {pathlib.Path(w).expanduser().resolve(): w for w in workdirs}
  loaded = [_load(pathlib.Path(workdir)) for workdir in folders.values()]
  loaded.sort(key=lambda run: run.data.attrs.get('parameters', 0))
  return {run.label: run for run in _labelled(loaded)}
