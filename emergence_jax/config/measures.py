"""The measures of a configuration: options, schedule, and their functions."""

import dataclasses
import inspect
import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from emergence_jax.base import checks, names
from emergence_jax.base.types import Measure, MeasureSpec, UserError
from emergence_jax.config.building import check_keys
from emergence_jax.machine import memory
from emergence_jax.measures import MEASURES
from emergence_jax.measures.options import NotOffered
from emergence_jax.models.objective import Objective

# What any measure takes, besides the options of its own.
_COMMON = ('on', 'every', 'from_step', 'seeds_at_once')


def place(name: str) -> int:
  """Rank of a measure among all; custom measures come last."""
  known = list(MEASURES)
  return known.index(name) if name in MEASURES else len(known)


def parse(given: Mapping[str, Any]):
  """Specs of the measures that are on, and of those switched off.

  Both are in the order of `MEASURES`, whatever that of the configuration is.
  """
  specs: dict[str, MeasureSpec] = {}
  off: dict[str, MeasureSpec] = {}
  for name in sorted(given, key=place):
    names.find('config.measures', name, MEASURES)
    if given[name] is not None:  # None is as if it were not there
      on, spec = _one(f'config.measures.{name}', given[name])
      (specs if on else off)[name] = spec
  return specs, off


def _one(path: str, given: Any) -> tuple[bool, MeasureSpec]:
  """Whether a measure is on, and its spec."""
  if not isinstance(given, Mapping):
    raise UserError(f'{path}={given!r} must be a group of options.')
  own = {k: v for k, v in given.items() if k not in _COMMON}

  def common(name, default, kind):
    return checks.of_type(f'{path}.{name}', given.get(name, default), kind)

  every = common('every', 1, int)
  first = common('from_step', 0, int)
  at_once = common('seeds_at_once', None, int | None)
  checks.in_range(f'{path}.every', every, 1)
  checks.in_range(f'{path}.from_step', first, 0)
  if at_once is not None:
    checks.in_range(f'{path}.seeds_at_once', at_once, 1)
  return common('on', True, bool), MeasureSpec(every, at_once, own, first)


def make(objective: Objective, name: str, spec: MeasureSpec) -> Measure:
  """The `Measure` that a spec asks for, of a model under exams.

  Raises:
    NotOffered: if the exams lack what it needs.
    UserError: for an option that the measure does not have, or a bad value.
  """
  maker = names.find('config.measures', name, MEASURES)
  known = dict(inspect.signature(maker).parameters)
  del known['objective']
  path = f'config.measures.{name}'
  check_keys(path, spec.options, [*known, *_COMMON])
  options = {
    key: checks.of_type(f'{path}.{key}', value, _kind(known[key]))
    for key, value in spec.options.items()
  }
  made = maker(objective, **options)
  fields = {
    key: dataclasses.replace(field, place=100 * place(name) + i)
    for i, (key, field) in enumerate(made.fields.items())
  }
  return dataclasses.replace(made, fields=fields)


def _kind(parameter: inspect.Parameter):
  """The type of an option: what it is annotated with, or its default's."""
  if parameter.annotation in (inspect.Parameter.empty, None):
    return type(parameter.default)
  return parameter.annotation


def build(
  objective: Objective, specs: Mapping[str, MeasureSpec]
) -> tuple[dict[str, Measure], dict[str, str]]:
  """Builds the measures that the exams allow.

  Returns:
    Name → measure, and for the others name → why not, as a sentence.

  Raises:
    UserError: for an option that a measure does not have, or a bad value.
  """
  built, unavailable = {}, {}
  for name, spec in specs.items():
    try:
      built[name] = make(objective, name, spec)
    except NotOffered as error:
      unavailable[name] = str(error)
  return built, unavailable


def check_inputs(
  name: str, measure: Measure, options: Mapping[str, Any], seeds: int
) -> None:
  """Raises a UserError if the fixed examples of a measure do not fit."""
  seed = jax.ShapeDtypeStruct((), np.int32)
  try:
    shapes = jax.tree.leaves(jax.eval_shape(measure.inputs, seed))
  except (OverflowError, TypeError, ValueError) as error:
    raise UserError(
      f'config.measures.{name}: its fixed examples cannot be made with '
      f'{dict(options)} ({error}).'
    ) from error
  size = sum(math.prod(x.shape) * x.dtype.itemsize for x in shapes)
  if measure.inputs_per_seed:
    size *= seeds
  memory.check(
    f'the fixed examples of config.measures.{name} ({dict(options)})',
    size, 'lower their number.',
  )  # fmt: skip
