"""Populations of other runs, from which arms begin or to which they refer."""

import pathlib
from typing import Any

import jax
import numpy as np

from emergence_jax.base.types import Population, PyTree, UserError
from emergence_jax.config import arms as arm_specs
from emergence_jax.config import schema
from emergence_jax.running import levers as levers_lib
from emergence_jax.running import rundir
from emergence_jax.running.train import Levers
from emergence_jax.store import checkpoints as checkpoints_lib


def _config_of(path: str, text: str) -> tuple[pathlib.Path, schema.Config]:
  """Directory and configuration of the run that a reference names."""
  folder = pathlib.Path(arm_specs.start(text, path)[0]).expanduser()
  try:
    return folder, schema.from_mapping(rundir.read_config(folder))
  except UserError as error:
    raise UserError(f'{path}={text!r}: {error}') from error


def _check_same(path: str, own: schema.Config, other: schema.Config, keys):
  """Raises a UserError for another model, or seeds that are not there."""
  changed = {
    key: values
    for key, values in schema.differences(other.raw, own.raw).items()
    if key.split('.')[0] in keys
  }
  if changed:
    key, (old, new) = next(iter(changed.items()))
    raise UserError(
      f'{path}: config.{key} was {old!r} in that run, and is {new!r} here; it '
      'has to be the same.'
    )
  if other.arms:
    raise UserError(
      f'{path} names a run with arms; give one without, of the same seeds.'
    )
  first, last = own.seeds.first, own.seeds.first + own.seeds.count
  if first < other.seeds.first or last > other.seeds.first + other.seeds.count:
    raise UserError(
      f'{path}: that run has the seeds {other.seeds.first} to '
      f'{other.seeds.first + other.seeds.count - 1}, and here are {first} to '
      f'{last - 1}; lower config.seeds.count.'
    )


def _population(
  config: schema.Config, path: str, text: str, keys
) -> tuple[Population, int]:
  """The whole population of a reference, and the place of our first seed."""
  folder, other = _config_of(path, text)
  _check_same(path, config, other, keys)
  step = arm_specs.start(text, path)[1]
  member = jax.eval_shape(
    levers_lib.init(other), jax.ShapeDtypeStruct((), np.int32),
    levers_lib.shapes(other),
  )  # fmt: skip
  like = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct((other.seeds.count, *x.shape), x.dtype),
    member,
  )
  said: list[str] = []
  with checkpoints_lib.Checkpoints(
    folder, run=schema.digest(other.raw), read_only=True
  ) as saved:
    steps = saved.steps()
    population = saved.restore(step, like, said.append)
  if population is None:
    why = said[0] if said else f'the saved steps are {steps}.'
    raise UserError(f'{path}={text!r}: no population of that step: {why}')
  return population, config.seeds.first - other.seeds.first


def _own_seeds(tree: PyTree, first: int, count: int) -> PyTree:
  return jax.tree.map(lambda x: np.asarray(x)[first : first + count], tree)


def read_start(config: schema.Config) -> Population:
  """The population of the seeds [S] that every arm begins from."""
  keys = ('task', 'model', 'optimizer')
  population, first = _population(config, 'config.start', config.start, keys)
  return _own_seeds(population, first, config.seeds.count)


def started(config: schema.Config, like: Population) -> Population:
  """That of all members, on the devices of `like`."""
  arms = max(1, len(config.arms))
  members = jax.tree.map(
    lambda x: np.concatenate([x] * arms), read_start(config)
  )
  return jax.tree.map(lambda x, p: jax.device_put(x, p.sharding), members, like)


def _read(config: schema.Config) -> dict[str, PyTree]:
  """Label of an intervention → parameters [S, ...] that it refers to."""
  read = {}
  for label, own in config.interventions.items():
    text = getattr(own, 'reference', '')
    if not text:
      continue
    path = f'config.interventions.{label}.reference'
    population, first = _population(config, path, text, ('task', 'model'))
    params = jax.tree.map(np.asarray, population.params)
    count, shift = config.seeds.count, getattr(own, 'other_seed', 0)
    size = len(jax.tree.leaves(params)[0])
    if shift and shift % size == 0:
      raise UserError(
        f'config.interventions.{label}.other_seed={shift}: that run has '
        f'{size} seeds, so that this is the seed itself.'
      )
    places = (first + shift + np.arange(count)) % size
    read[label] = jax.tree.map(lambda x, places=places: x[places], params)
  return read


def levers(config: schema.Config, sharding: Any) -> Levers:
  """The levers of all members, on the devices."""
  made = levers_lib.of_members(config, _read(config))
  return jax.device_put(made, sharding)
