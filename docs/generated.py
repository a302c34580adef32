"""Pages that are generated from the package: what its docstrings say."""

import dataclasses
import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

_ENTRY = re.compile(r'^ {2}(\w+): ', re.M)


def table(columns: Sequence[str], rows: Iterable[Sequence]) -> str:
  """A table of Markdown, whose cells may have bars of their own."""
  lines = [columns, ['---'] * len(columns), *rows]
  cells = [[str(c).replace('|', '&#124;') for c in line] for line in lines]
  return '\n'.join(f'| {" | ".join(line)} |' for line in cells) + '\n'


def described(thing, section: str) -> dict[str, str]:
  """Name → text of a section (`Attributes`, `Args`) of a docstring."""
  _, _, text = (inspect.getdoc(thing) or '').partition(f'{section}:\n')
  text = re.split(r'\n(?=\S)', text)[0]
  _, *parts = _ENTRY.split(text)
  return {
    name: ' '.join(words.split())
    for name, words in zip(parts[::2], parts[1::2])
  }


def variables() -> str:
  """Every variable of every measure."""
  from emergence_jax.measures import MEASURES

  lines = []
  for name, make in MEASURES.items():
    module = importlib.import_module(make.__module__)
    lines += [f'### `{name}`', inspect.getdoc(module).splitlines()[0]]
    lines.append(table(
      ['variable', 'beside seed and step', 'units', 'what it is', 'source'],
      [
        (f'`{variable}`', ', '.join(field.dims) or '–', field.units or '1',
         field.description, field.source or '–')
        for variable, field in module.FIELDS.items()
      ],
    ))  # fmt: skip
  return '\n\n'.join(lines)


def words() -> str:
  """What the words of answers and tables mean."""
  from emergence_jax.report import glossary

  return table(['word', 'what it means'], glossary.WORDS.items())


def statuses() -> str:
  """Numbers and words of all statuses."""
  from emergence_jax.base.types import Status

  rows = [(int(s), f'`{s.name}`', s.words) for s in Status]
  return table(['number', 'name', 'in words'], rows)


def claims() -> str:
  """The paper's claims, and how each is decided."""
  from emergence_jax.analysis.paper.algorithmic import ALGORITHMIC

  rows = [
    (claim.text, claim.v1 or claim.later, f'{claim.low:g} … {claim.high:g}',
     claim.how)
    for claim in ALGORITHMIC.claims
  ]  # fmt: skip
  columns = ['claim', 'the paper says', 'reproduced if it lies in', 'how']
  return table(columns, rows)


def _default(value) -> str:
  if value in (dataclasses.MISSING, inspect.Parameter.empty):
    return 'required'
  if value == '':
    return 'empty'
  return 'automatic' if value is None else f'`{value}`'


def _fields(path: str, cls: type, beyond: type | None = None) -> str:
  """Keys of a group that a dataclass describes, beyond those of its base."""
  words: dict[str, str] = {}
  for base in reversed(cls.__mro__):
    words |= described(base, 'Attributes')
  known = {f.name for f in dataclasses.fields(beyond)} if beyond else set()
  return table(['key', 'default', 'what it is'], [
    (f'`{path}.{f.name}`', _default(f.default), words.get(f.name, '–'))
    for f in dataclasses.fields(cls)
    if f.name not in known
  ])  # fmt: skip


def _options(name: str, make: Callable) -> str:
  """Options of a measure, which are arguments of its `make`."""
  words = described(make, 'Args')
  return table(['key', 'default', 'what it is'], [
    (f'`measures.{name}.{key}`', _default(option.default), words.get(key, '–'))
    for key, option in inspect.signature(make).parameters.items()
    if key != 'objective'
  ])  # fmt: skip


def _kinds(group: str, known: Mapping[str, type]) -> list[str]:
  lines = [
    f'## `{group}`',
    f'`{group}.name` chooses the kind; the other keys are those of the kind. '
    '`module.path:Name` names one of yours.',
  ]
  for name, cls in known.items():
    first = inspect.getdoc(cls).splitlines()[0]
    sizes = ', '.join(f'`{size}`' for size in getattr(cls, 'SIZES', ()))
    more = f' `{group}.size` is one of {sizes}.' if sizes else ''
    lines += [f'### `{name}`', first + more, _fields(group, cls)]
  return lines


def _interventions(known: Mapping[str, type]) -> list[str]:
  """What acts in arms: a group with a label of its own for each."""
  from emergence_jax.interventions import Intervention

  lines = [
    '## `interventions`',
    'A label, by default the kind, → its keys; `interventions.LABEL.name` '
    'chooses the kind. `module.path:Name` names one of yours. Keys of all:',
    _fields('interventions.LABEL', Intervention),
  ]
  for name, cls in known.items():
    lines += [f'### `{name}`', inspect.getdoc(cls).splitlines()[0]]
    lines.append(_fields('interventions.LABEL', cls, Intervention))
  return lines


def configuration() -> str:
  """Every key of a configuration."""
  from emergence_jax.base.types import MeasureSpec
  from emergence_jax.config import groups
  from emergence_jax.config.arms import ArmsConfig
  from emergence_jax.config.optimizer import OptimizerConfig
  from emergence_jax.interventions import INTERVENTIONS
  from emergence_jax.measures import MEASURES
  from emergence_jax.models import MODELS
  from emergence_jax.running.releases import ReleaseConfig
  from emergence_jax.tasks import TASKS

  lines = [*_kinds('task', TASKS), *_kinds('model', MODELS)]
  for group, cls in (
    ('optimizer', OptimizerConfig), ('train', groups.TrainConfig),
    ('seeds', groups.SeedsConfig), ('checkpoints', groups.CheckpointsConfig),
    ('reference', groups.ReferenceConfig), ('release', ReleaseConfig),
  ):  # fmt: skip
    first = inspect.getdoc(cls).splitlines()[0]
    lines += [f'## `{group}`', first, _fields(group, cls)]
  lines += [
    '## `arms`',
    inspect.getdoc(ArmsConfig).splitlines()[0],
    _fields('arms', ArmsConfig),
    *_interventions(INTERVENTIONS),
  ]
  words = described(MeasureSpec, 'Attributes')
  defaults = {f.name: f.default for f in dataclasses.fields(MeasureSpec)}
  lines += ['## `measures`', 'Keys that every measure has:', table(
    ['key', 'default', 'what it is'],
    [('`measures.NAME.on`', '`True`', 'whether it is measured'), *(
      (f'`measures.NAME.{key}`', _default(defaults[key]), words[key])
      for key in ('every', 'from_step', 'seeds_at_once')
    )],
  )]  # fmt: skip
  for name, make in MEASURES.items():
    first = inspect.getdoc(make).splitlines()[0]
    lines += [f'### `{name}`', first, _options(name, make)]
  return '\n\n'.join(lines)


PAGES = {
  'variables': variables, 'statuses': statuses, 'claims': claims,
  'configuration': configuration, 'words': words,
}  # fmt: skip
