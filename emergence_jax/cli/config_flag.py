"""The flag `--config`: a file, its argument, and values from the command line.

Every mistake is one sentence that names the key, the value and the remedy.
"""

import importlib.util
import pathlib
import re
import sys
from typing import Any

_PREFIX = '--config.'
# A flag that people try → the key that it means.
_MEANT = {
  'steps': 'train.steps', 'max_steps': 'train.steps', 'epochs': 'train.steps',
  'seeds': 'seeds.count', 'num_seeds': 'seeds.count', 'seed': 'seeds.first',
  'lr': 'optimizer.rate', 'learning_rate': 'optimizer.rate',
  'wd': 'optimizer.weight_decay', 'weight_decay': 'optimizer.weight_decay',
  'batch_size': 'task.batch_size', 'size': 'model.size', 'p': 'task.p',
}  # fmt: skip
_INT = re.compile(r'[+-]?[0-9]+')
_FLOAT = re.compile(r'[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf)')


def value(text: str) -> Any:
  """A truth value, a whole number, a number, or the text itself.

  >>> value('True'), value('-3'), value('1e-3'), value('20:1000'), value('1_0')
  (True, -3, 0.001, '20:1000', '1_0')
  """
  if text.lower() in ('true', 'false'):
    return text.lower() == 'true'
  if _INT.fullmatch(text):
    return int(text[:400])
  if _FLOAT.fullmatch(text.lower()):
    return float(text)
  return text


def overrides(arguments: list[str], prefix: str = _PREFIX) -> dict[str, Any]:
  """Key → value of arguments `--config.KEY=VALUE` or `--config.KEY VALUE`.

  Raises:
    UserError: for any other argument.
  """
  from emergence_jax.base.types import UserError

  values, left = {}, list(arguments)
  while left:
    argument = left.pop(0)
    key, equals, text = argument.partition('=')
    if not key.startswith(prefix) or key == prefix:
      meant = _MEANT.get(key.lstrip('-'), '')
      hint = f'did you mean {prefix}{meant}? ' if meant else ''
      raise UserError(
        f'unknown argument {argument!r}; {hint}see --help. Values of the '
        f'configuration are given as {prefix}KEY=VALUE.'
      )
    if not equals:
      if not left or left[0].startswith('--'):
        raise UserError(f'{argument} has no value; write {argument}=VALUE.')
      text = left.pop(0)
    values[key.removeprefix(prefix)] = value(text)
  return values


_BUILT_IN = pathlib.Path(__file__).parents[1] / 'config' / 'presets'


def built_in() -> list[str]:
  """Names of the configurations that come with the package."""
  return sorted(p.stem for p in _BUILT_IN.glob('[a-z]*.py'))


def _located(file: str) -> pathlib.Path:
  """The file of a path, or of the name of a built-in configuration.

  `configs/NAME.py` is the built-in one where there is no such file here.
  """
  path = pathlib.Path(file).expanduser()
  name = path.stem
  by_name = file == name or path == pathlib.Path('configs', f'{name}.py')
  if not path.exists() and by_name and name in built_in():
    return _BUILT_IN / f'{name}.py'
  return path


def _module(path: pathlib.Path):
  """The Python file of a configuration, imported."""
  from emergence_jax.base.types import UserError

  spec = importlib.util.spec_from_file_location('_the_configuration', path)
  if spec is None or spec.loader is None or not path.is_file():
    what = 'is a folder' if path.is_dir() else 'is no Python file'
    if not path.exists():
      what = 'is not there'
    raise UserError(
      f'--config={path} {what}; give a configuration file, or the name of a '
      f'built-in one: {", ".join(built_in())}.'
    )
  module = importlib.util.module_from_spec(spec)
  sys.modules[spec.name] = module
  try:
    spec.loader.exec_module(module)
  except Exception as error:
    raise UserError(
      f'--config={path} raises {type(error).__name__}: {error}.'
    ) from error
  return module


def _parts(flag: str) -> tuple[str, str, str]:
  """File, colon and argument; a folder's name may have colons.

  >>> _parts('2026-11-29T10:30/mine.py:nano'), _parts('modadd')
  (('2026-11-29T10:30/mine.py', ':', 'nano'), ('modadd', '', ''))
  """
  file, colon, argument = flag.partition(':')
  named = re.match(r'(.*?\.py)(:|$)(.*)', flag, re.DOTALL)
  if named and file not in built_in():
    return named[1], named[2], named[3]
  return file, colon, argument


def load(flag: str) -> dict[str, Any]:
  """The mapping of `FILE` or `FILE:ARGUMENT`.

  Raises:
    UserError: if there is no such file, or it does not give a mapping.
  """
  from emergence_jax.base.types import UserError

  file, colon, argument = _parts(flag)
  try:
    path = _located(file)
    path.exists()
  except (RuntimeError, ValueError, OSError) as error:
    raise UserError(f'--config={file!r} is no path ({error}).') from error
  make = getattr(_module(path), 'get_config', None)
  if not callable(make):
    raise UserError(
      f'--config={file} has no function get_config, which returns the '
      'configuration; see configs/modadd.py.'
    )
  try:
    config = make(argument) if colon else make()
    config = config.to_dict() if hasattr(config, 'to_dict') else dict(config)
  except Exception as error:
    raise UserError(
      f'--config={flag}: get_config({repr(argument) if colon else ""}) raises '
      f'{type(error).__name__}: {error}. The file says what it takes.'
    ) from error
  return config


def apply(config: dict[str, Any], given: dict[str, Any]) -> None:
  """Sets values by their dotted keys; groups that lack are made.

  Raises:
    UserError: if a key leads into what is no group.
  """
  from emergence_jax.base.types import UserError

  for key, new in given.items():
    *groups, last = key.split('.')
    place = config
    for group in groups:
      if place.get(group) is None:
        place[group] = {}
      place = place[group]
      if not isinstance(place, dict):
        raise UserError(
          f'config.{key}={new!r}: {group} is a value and no group of keys.'
        )
    place[last] = new
