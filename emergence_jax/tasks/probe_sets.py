"""Sets of prompts with a right continuation and wrong ones, for any tokenizer.

A set is a file of JSON lines, {"prompt": …, "correct": …, "wrong": [...]}; two
are made from a seed. All text is this project's own. Kinds of sets and their
sizes: arXiv:2602.15997, section on Pythia; the logical one is in the manner of
its version 4.
"""

import dataclasses
import itertools
import json
import pathlib
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from emergence_jax.base import names as names_lib
from emergence_jax.base.types import Batch, UserError
from emergence_jax.tasks.task import Exams

_FOLDER = pathlib.Path(__file__).with_name('data')
_FILES = (
  'agreement', 'analogies', 'patterns', 'facts', 'deduction', 'text',
)  # fmt: skip
# Of the sets that are made.
_NUM_ARITHMETIC, _NUM_LOGIC = 200, 72


class Item(NamedTuple):
  """A prompt with continuations, each beginning with its own space.

  Attributes:
    prompt: text.
    correct: the right continuation.
    wrong: others; none where only the likelihood counts.
  """

  prompt: str
  correct: str
  wrong: tuple[str, ...]


def arithmetic(seed: int = 0, count: int = _NUM_ARITHMETIC) -> list[Item]:
  """Sums of two numbers below 50, after three worked examples."""
  rng = random.Random(f'arithmetic {seed}')
  items = []
  for _ in range(count):
    shown = [(rng.randrange(50), rng.randrange(50)) for _ in range(4)]
    *worked, (a, b) = shown
    prompt = '\n'.join(f'{x} + {y} = {x + y}' for x, y in worked)
    others = {a + b + d for d in (-10, -1, 1, 10)} - {a + b}
    wrong = tuple(f' {n}' for n in sorted(others) if n >= 0)
    items.append(Item(f'{prompt}\n{a} + {b} =', f' {a + b}', wrong))
  return items


_SCENES = (
  ('books stand on a shelf', 'book'),
  ('cups stand in a row', 'cup'),
  ('boxes lie in a line', 'box'),
)
_COLOURS = ('red', 'blue', 'green')


def logic(seed: int = 0, count: int = _NUM_LOGIC) -> list[Item]:
  """Three objects in an order that two sentences say; which is at an end?"""
  rng = random.Random(f'logic {seed}')
  every = list(
    itertools.product(
      _SCENES, itertools.permutations(_COLOURS), (0, 2), (False, True)
    )
  )
  rng.shuffle(every)
  items = []
  for (scene, thing), order, end, turned in every[:count]:
    a, b, c = order
    said = [
      f'The {a} {thing} is left of the {b} {thing}.',
      f'The {c} {thing} is right of the {b} {thing}.',
    ]
    said = said[::-1] if turned else said
    asked = 'leftmost' if end == 0 else 'rightmost'
    prompt = f'Three {scene}. {" ".join(said)} The {asked} {thing} is the'
    wrong = tuple(f' {x} one' for x in order if x != order[end])
    items.append(Item(prompt, f' {order[end]} one', wrong))
  return items


def read(path: str | pathlib.Path) -> list[Item]:
  """The items of a file.

  Raises:
    UserError: if it cannot be read; it names the file and the line.
  """
  path = pathlib.Path(path)
  try:
    # Lines end with a line feed alone: texts may hold other separators.
    lines = path.read_bytes().decode('utf-8-sig').split('\n')
  except (OSError, UnicodeDecodeError) as error:
    raise UserError(f'{path} cannot be read ({error}).') from error
  items = []
  for number, line in enumerate(lines, 1):
    if not line.strip():
      continue
    try:
      raw = json.loads(line)
      wrong = raw.get('wrong', [])
      if not isinstance(wrong, list):
        raise ValueError(f'"wrong": {wrong!r} must be a list')
      texts = [raw['prompt'], raw['correct'], *wrong]
      if not all(isinstance(t, str) and t for t in texts):
        raise ValueError('texts must not be empty')
    except (ValueError, KeyError, TypeError, AttributeError) as error:
      raise UserError(
        f'{path}, line {number}: {error}; a line has "prompt", "correct" and '
        'a list "wrong".'
      ) from error
    items.append(Item(texts[0], texts[1], tuple(wrong)))
  if not items:
    raise UserError(f'{path} holds no items.')
  return items


def built_in() -> dict[str, list[Item]]:
  """Name → items of the sets that come with the package."""
  sets = {name: read(_FOLDER / f'{name}.jsonl') for name in _FILES}
  return {**sets, 'arithmetic': arithmetic(), 'logic': logic()}


def _own(name: str) -> list[Item]:
  """Items that `module.path:Name` is, or returns."""
  made = names_lib.find('config.release.sets', name, {})
  items = made() if callable(made) else made
  try:
    read_items = [
      Item(prompt, right, tuple(wrong)) for prompt, right, wrong in items
    ]
  except (TypeError, ValueError) as error:
    raise UserError(
      f'config.release.sets={name!r} gives no items ({error}); an item is '
      '(prompt, correct, wrong).'
    ) from error
  if not read_items:
    raise UserError(f'config.release.sets={name!r} gives no items.')
  return read_items


def choose(names: Sequence[str]) -> dict[str, list[Item]]:
  """Sets by name, by the path of a file, or by `module.path:Name`.

  Raises:
    UserError: for a name that is neither, or two sets of one name.
  """
  known = built_in()
  chosen: dict[str, list[Item]] = {}
  source: dict[str, str] = {}

  def add(short: str, items: list[Item], name: str) -> None:
    if short in chosen:
      raise UserError(
        f'two sets have the name {short!r}: {source[short]} and {name}; rename '
        'one of the files.'
      )
    chosen[short], source[short] = items, name

  for name in names or known:
    if name in known:
      add(name, known[name], name)
    elif name.endswith('.jsonl'):
      add(pathlib.Path(name).stem, read(name), name)
    elif ':' in name:
      add(name.partition(':')[2], _own(name), name)
    else:
      raise UserError(
        f'the set {name!r} is unknown; known: {", ".join(known)}, or the path '
        'of a file that ends in .jsonl, or module.path:Name.'
      )
  return chosen


def notes(sets: dict[str, list[Item]]) -> list[str]:
  """What a user should know of sets, in sentences."""
  said = []
  for name, items in sets.items():
    count = sum(item.prompt.endswith(' ') for item in items)
    if count:
      said.append(
        f'{count} prompts of the set {name} end in a space, which most '
        'tokenizers keep with the word behind it; begin continuations with it.'
      )
  return said


def ends(batch: Batch) -> np.ndarray:
  """Tokens of each text [...], the last scored one included."""
  scored = np.asarray(batch.scored)
  return np.max(scored * np.arange(1, scored.shape[-1] + 1), -1)


@dataclasses.dataclass(frozen=True, eq=False)
class ProbeSets(Exams):
  """Tokenised sets, as exams of a model that is trained elsewhere.

  A set takes the place of a task; there is one level. Sets have their own
  numbers of items, so that what is beside an item's place is masked; measures
  that take as many items of each set take those of the smallest.

  Attributes:
    task_names: K sets.
    vocab_size: rows of the model's embedding.
    length: tokens in every sequence, padding included.
    right: prompts with their right continuations, [K, 1, N, ...].
    is_item: bool [K, 1, N], which are items.
    wrong: prompts with wrong continuations, [K, 1, N, A, ...].
    has_wrong: bool [K, 1, N, A], which are.
  """

  task_names: tuple[str, ...]
  vocab_size: int
  length: int
  right: Batch
  is_item: np.ndarray
  wrong: Batch
  has_wrong: np.ndarray

  level_names = ('1',)

  @property
  def chance_KxL(self) -> np.ndarray:
    """Share that a guess among an item's continuations gets right."""
    choices = 1 + self.has_wrong.sum(-1)
    weight = self.is_item & (choices > 1)
    total = (weight / choices).sum(-1)
    return total / np.maximum(weight.sum(-1), 1)

  @property
  def length_KxL(self) -> np.ndarray:
    """Tokens of the longest text of each set, [K, 1]."""
    return ends(self.right).max(-1)

  def _alike(self, count: int) -> int:
    return min(count, int(self.is_item.sum((1, 2)).min()))

  def fresh(self, key, count):
    """The first `count` places of every set, [K, 1, count, ...]."""
    del key
    return jax.tree.map(lambda x: jnp.asarray(x[:, :, :count]), self.right)

  def mask(self, count):
    """Which of the places of `fresh` hold items, bool [K, 1, count]."""
    return jnp.asarray(self.is_item[:, :, :count])

  def by_task(self, seed, key, count):
    """As many items of each set, [K, N, ...]."""
    del seed, key
    alike = self._alike(count)
    return jax.tree.map(lambda x: jnp.asarray(x[:, 0, :alike]), self.right)

  def training_examples(self, seed, key, count):
    """As many items of each set, mixed, [N, ...]."""
    del seed
    each = self._alike(-(-count // len(self.task_names)))
    batch = jax.tree.map(
      lambda x: jnp.asarray(x[:, 0, :each]).reshape(-1, *x.shape[3:]),
      self.right,
    )
    order = jax.random.permutation(key, len(self.task_names) * each)
    return jax.tree.map(lambda x: x[order][:count], batch)

  def draw(self, seed, key, count):
    """`count` random items of random sets, [count, ...]."""
    del seed
    key_set, key_item = jax.random.split(key)
    sets = jax.random.randint(key_set, (count,), 0, len(self.task_names))
    sizes = jnp.asarray(self.is_item.sum((1, 2)))[sets]
    items = (jax.random.uniform(key_item, (count,)) * sizes).astype(jnp.int32)
    return jax.tree.map(lambda x: jnp.asarray(x)[sets, 0, items], self.right)


Encode = Callable[[str], Sequence[int]]


def _ids(name: str, item: Item, encode: Encode) -> list[tuple[list, list]]:
  """Tokens of the prompt and of each continuation, the right one first."""
  prompt = list(encode(item.prompt))
  pieces = [(prompt, list(encode(t))) for t in (item.correct, *item.wrong)]
  where = f'the set {name!r}, {item.prompt!r}'
  if not prompt or any(not tail for _, tail in pieces):
    raise UserError(f'{where}: a text has no tokens.')
  tails = [tuple(tail) for _, tail in pieces]
  if len(set(tails)) < len(tails):
    raise UserError(f'{where}: two continuations have the same tokens.')
  return pieces


def _place(batch: Batch, at: tuple, prompt, tail, task: int) -> None:
  """Writes one sequence into arrays."""
  end = len(prompt) + len(tail)
  batch.tokens[at][:end] = prompt + tail
  batch.scored[at][len(prompt) : end] = True
  batch.query[at] = len(prompt) - 1
  batch.task[at] = task


def tokenise(
  sets: dict[str, list[Item]],
  encode: Encode,
  vocab_size: int,
  *,
  longest: int = 2048,
) -> ProbeSets:
  """Sets as arrays.

  Args:
    sets: name → items.
    encode: text → tokens, without any that stand for a beginning or an end.
    vocab_size: rows of the model's embedding.
    longest: sequence that the model takes.

  Raises:
    UserError: for an item that this tokenizer leaves empty, whose
      continuations it cannot tell apart, or that is too long.
  """
  ids = {
    name: [_ids(name, item, encode) for item in items]
    for name, items in sets.items()
  }
  every = [f for items in ids.values() for item in items for f in item]
  length = max(len(prompt) + len(tail) for prompt, tail in every)
  top = max(max(prompt + tail) for prompt, tail in every)
  if length > longest or top >= vocab_size:
    raise UserError(
      f'the sets have sequences of {length} tokens, up to number {top}; the '
      f'model takes {longest}, and its embedding has {vocab_size} rows.'
    )
  most = max(map(len, ids.values()))
  wrong = max(1, max(len(item) - 1 for items in ids.values() for item in items))

  def empty(*shape):
    return Batch(
      np.zeros((*shape, length), np.int32), np.zeros((*shape, length), bool),
      np.zeros(shape, np.int32), np.zeros(shape, np.int32),
      np.zeros(shape, np.int32),
    )  # fmt: skip

  shape = len(ids), 1, most
  right, others = empty(*shape), empty(*shape, wrong)
  is_item, has_wrong = np.zeros(shape, bool), np.zeros((*shape, wrong), bool)
  for k, items in enumerate(ids.values()):
    for n, (first, *rest) in enumerate(items):
      is_item[k, 0, n] = True
      _place(right, (k, 0, n), *first, k)
      for a, (prompt, tail) in enumerate(rest):
        has_wrong[k, 0, n, a] = True
        _place(others, (k, 0, n, a), prompt, tail, k)
  return ProbeSets(
    tuple(ids), vocab_size, length, right, is_item, others, has_wrong
  )
