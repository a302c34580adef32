"""What the name of a released revision says: step, tokens, stage, seed."""

import functools
import re
from collections.abc import Callable
from typing import NamedTuple

from emergence_jax.base import names
from emergence_jax.base.types import UserError

_TIMES = {'': 1, 'k': 10**3, 'm': 10**6, 'b': 10**9, 't': 10**12}
_NUMBER = r'\d+(?:\.\d+)?[kKmMbBtT]?'
_NAME = re.compile(
  rf"""
  (?:revision=)?
  (?:(?:[A-Za-z0-9.]+-)?seed[-_](?P<seed>[A-Za-z0-9]+)[-_])?
  (?:stage[-_]?(?P<stage>\d+(?:[-_]ingredient[-_]?\d+)?)[-_])?
  (?:
    (?:global[-_]step|step|ckpt|checkpoint)[-_]?(?P<step>{_NUMBER})
    (?:[-_]tokens?[-_]?(?P<tokens>{_NUMBER}))?
  | chck[-_](?P<only_tokens>{_NUMBER})
  )
  (?:[-_]seed[-_](?P<seed_behind>[\w-]+))?
  """,
  re.VERBOSE,
)
PATTERNS = (
  'step1000, step-1000, step_20k, step1000-tokens2B, stage1-step1000-tokens5B, '
  'step1000-seed-default, checkpoint-1000, ckpt_1000, global_step1000, chck_10M'
)
_GROUPS = ('step', 'tokens', 'seed', 'stage')
_SEED = re.compile(r'seed[-_ ]?(\d+)|[-_]x(\d+)(?![A-Za-z0-9])')


class Name(NamedTuple):
  """What a revision's name says.

  Attributes:
    step: of it; where a name says tokens alone, those.
    tokens: that were seen until then; None if it does not say.
    stage: of training; empty if it does not say.
    seed: in words; empty if it does not say.
  """

  step: int
  tokens: int | None = None
  stage: str = ''
  seed: str = ''


def number(text: str) -> int:
  """A whole number in full: `20k` is 20,000, `1.5B` is 1,500,000,000."""
  text = text.lower()
  suffix = text[-1] if text[-1].isalpha() else ''
  whole, _, part = text.removesuffix(suffix).partition('.')
  return int(whole + part) * _TIMES[suffix] // 10 ** len(part)


def compiled(pattern: str) -> re.Pattern[str]:
  """A regular expression of the user's.

  Raises:
    UserError: if it is none, or has no group that says a place.
  """
  made = names.pattern('config.release.pattern', pattern)
  strange = set(made.groupindex) - set(_GROUPS)
  if strange or not {'step', 'tokens'} & set(made.groupindex):
    raise UserError(
      f'config.release.pattern={pattern!r} must have a group (?P<step>…) or '
      f'(?P<tokens>…), and beside them (?P<seed>…) and (?P<stage>…) at most.'
    )
  return made


def reader(pattern: str = '') -> Callable[[str], Name | None]:
  """How names are read: by a regular expression, or by the grammar if empty."""
  return functools.partial(
    read, pattern=compiled(pattern) if pattern else _NAME
  )


def read(name: str, pattern: re.Pattern[str] = _NAME) -> Name | None:
  """What a name says; None if it says no step.

  Args:
    name: of a branch or a folder.
    pattern: that takes the place of the grammar, see `compiled`.
  """
  match = pattern.fullmatch(name)
  if match is None:
    return None
  said = {k: v for k, v in match.groupdict().items() if v}
  tokens = said.get('tokens', said.get('only_tokens'))
  step = said.get('step', tokens)
  if step is None:
    return None
  try:
    return Name(
      number(step),
      None if tokens is None else number(tokens),
      said.get('stage', '').replace('_', '-'),
      said.get('seed', said.get('seed_behind', '')),
    )
  except (ValueError, KeyError):
    return None  # of a pattern that takes what is no number


def seed_of(text: str) -> int | None:
  """The number of the seed that a name says; None if it says none."""
  match = _SEED.search(text)
  return int(match[1] or match[2]) if match else None
