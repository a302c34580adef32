"""Eight algorithmic tasks at three levels, as text `TASK input = output`.

Source: arXiv:2602.15997, section 3 and appendix; the choices that it leaves
open (specials, operand ranges, spaces between items) are in BUILD_NOTES.md.
"""

import dataclasses
import math
import string
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from emergence_jax.base import checks, prng
from emergence_jax.base.types import Batch, UserError
from emergence_jax.tasks import task as task_lib

PAD, BOS, EOS, SPACE, EQUALS = range(5)
_CHARS = ' =' + string.digits + string.ascii_uppercase
VOCAB_SIZE = 3 + len(_CHARS)
_ZERO = 5  # token of the digit 0; digit d is _ZERO + d

TASKS = ('COPY', 'REV', 'CMP', 'PAR', 'ADD', 'MOD', 'SORT', 'MUL')
LEVELS = (1, 2, 3)
EASY = ('COPY', 'REV', 'CMP', 'PAR')
HARD = ('ADD', 'MOD', 'SORT', 'MUL')
_WORDS = ('LESS', 'EQUAL', 'GREATER', 'ODD', 'EVEN')

# The longest text is SORT at level 3: 38 characters, BOS and EOS.
LENGTH = 40
_INPUT_WIDTH = 15

# Number of items of the list tasks, per level.
_COUNTS = {'COPY': (3, 5, 8), 'REV': (3, 5, 8), 'SORT': (3, 5, 8)}
_COUNTS['PAR'] = (4, 6, 8)
# Operand ranges [low, high) of the integer tasks, per level.
_DIGITS = ((0, 10), (10, 100), (100, 1000))
_RANGES = {
  'CMP': tuple((d, d) for d in _DIGITS),
  'ADD': tuple((d, d) for d in _DIGITS),
  'MUL': (
    (_DIGITS[0], _DIGITS[0]),
    (_DIGITS[0], _DIGITS[1]),
    (_DIGITS[1], _DIGITS[1]),
  ),
}
_MODULI = ((2, 3, 5, 7), (7, 11, 13), (13, 17, 19, 23))


def encode(text: str) -> np.ndarray:
  """Tokens int32 [LENGTH] of a text: BOS, its characters, EOS, padding.

  Raises:
    UserError: for a character outside the vocabulary, or a text too long.
  """
  unknown = sorted(set(text) - set(_CHARS))
  if unknown:
    raise UserError(
      f'text {text!r} has {unknown!r}; the vocabulary is A-Z, 0-9, space and ='
    )
  if len(text) + 2 > LENGTH:
    raise UserError(
      f'text {text!r} has {len(text)} characters; at most {LENGTH - 2} fit.'
    )
  tokens = np.full(LENGTH, PAD, np.int32)
  body = [BOS, *(3 + _CHARS.index(c) for c in text), EOS]
  tokens[: len(body)] = body
  return tokens


def decode(tokens: np.ndarray) -> str:
  """Text of a token sequence; BOS, EOS and padding are left out."""
  return ''.join(_CHARS[int(t) - 3] for t in tokens if t >= 3)


def _text_table(words) -> tuple[np.ndarray, np.ndarray]:
  """Tokens [W, longest] and lengths [W] of some words."""
  rows = [[3 + _CHARS.index(c) for c in w] for w in words]
  width = max(map(len, rows))
  table = np.array([r + [PAD] * (width - len(r)) for r in rows], np.int32)
  return table, np.array([len(r) for r in rows], np.int32)


def _is(task_B: jax.Array, *names: str) -> jax.Array:
  """Whether each example's task is one of `names`, as a column [B, 1]."""
  return jnp.isin(task_B, jnp.array([TASKS.index(n) for n in names]))[:, None]


def _number(value_B: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Decimal digits, left-aligned without leading zeros, of 0..9999."""
  tens = 10 ** jnp.arange(4)
  length_B = jnp.maximum(1, jnp.sum(value_B[:, None] >= tens, 1))
  place = jnp.clip(length_B[:, None] - 1 - jnp.arange(4), 0)
  digit = value_B[:, None] // 10**place % 10
  return _ZERO + digit, length_B


def _items(digit_Bx8: jax.Array, count_B: jax.Array):
  """Digits with spaces between them, [B, 15], and their lengths."""
  spaced = jnp.stack([_ZERO + digit_Bx8, jnp.full_like(digit_Bx8, SPACE)], 2)
  return spaced.reshape(len(digit_Bx8), 16)[:, :_INPUT_WIDTH], 2 * count_B - 1


def _operands(key: jax.Array, task_B: jax.Array, level_B: jax.Array):
  """Uniform operands: digits [B, 8], their number [B], integers a, b [B]."""
  key_digit, key_a, key_b, key_modulus = jax.random.split(key, 4)
  shape = task_B.shape
  count = jnp.array([_COUNTS.get(t, (1, 1, 1)) for t in TASKS])
  radix_B1 = jnp.where(_is(task_B, 'PAR'), 2, 10)
  digit_Bx8 = jax.random.randint(key_digit, (*shape, 8), 0, radix_B1)

  width = max(map(len, _MODULI))
  moduli = jnp.array([m + (0,) * (width - len(m)) for m in _MODULI])
  kinds_B = jnp.array([len(m) for m in _MODULI])[level_B]
  modulus_B = moduli[
    level_B, jax.random.randint(key_modulus, shape, 0, kinds_B)
  ]
  is_mod_B = _is(task_B, 'MOD')[:, 0]

  ranges = jnp.array([_RANGES.get(t, (((0, 1),) * 2,) * 3) for t in TASKS])
  range_Bx2x2 = ranges[task_B, level_B]
  low_B = jnp.where(is_mod_B, 0, range_Bx2x2[:, 0, 0])
  high_B = jnp.where(is_mod_B, 10 * modulus_B + 1, range_Bx2x2[:, 0, 1])
  a_B = jax.random.randint(key_a, shape, low_B, high_B)
  b_B = jax.random.randint(
    key_b, shape, range_Bx2x2[:, 1, 0], range_Bx2x2[:, 1, 1]
  )
  return (
    digit_Bx8,
    count[task_B, level_B],
    a_B,
    jnp.where(is_mod_B, modulus_B, b_B),
  )


def _answers(task_B, digit_Bx8, count_B, a_B, b_B):
  """Tokens [B, 15] of the answers, and their lengths [B]."""
  place = jnp.arange(8)
  is_digit = place < count_B[:, None]
  # COPY and REV by index; SORT with the absent digits behind all others.
  backward = jnp.clip(count_B[:, None] - 1 - place, 0)
  reversed_Bx8 = jnp.take_along_axis(digit_Bx8, backward, 1)
  sorted_Bx8 = jnp.sort(jnp.where(is_digit, digit_Bx8, 10), 1)
  listed = jnp.where(_is(task_B, 'REV'), reversed_Bx8, digit_Bx8)
  listed = jnp.where(_is(task_B, 'SORT'), sorted_Bx8, listed)
  list_Bx15, list_length_B = _items(listed, count_B)

  odd_B = jnp.sum(digit_Bx8 * is_digit, 1) % 2
  compared_B = jnp.sign(a_B - b_B) + 1  # 0 LESS, 1 EQUAL, 2 GREATER
  word_B = jnp.where(_is(task_B, 'PAR')[:, 0], 4 - odd_B, compared_B)
  words, word_lengths = map(jnp.array, _text_table(_WORDS))

  value_B = jnp.where(_is(task_B, 'ADD')[:, 0], a_B + b_B, a_B * b_B)
  modulus_B = jnp.maximum(b_B, 1)
  value_B = jnp.where(_is(task_B, 'MOD')[:, 0], a_B % modulus_B, value_B)
  number_Bx4, number_length_B = _number(value_B)

  def widen(x):
    return jnp.pad(x, ((0, 0), (0, _INPUT_WIDTH - x.shape[1])))

  is_word = _is(task_B, 'CMP', 'PAR')
  is_list = _is(task_B, 'COPY', 'REV', 'SORT')
  tokens = jnp.where(is_word, widen(words[word_B]), widen(number_Bx4))
  tokens = jnp.where(is_list, list_Bx15, tokens)
  length_B = jnp.where(is_word[:, 0], word_lengths[word_B], number_length_B)
  return tokens, jnp.where(is_list[:, 0], list_length_B, length_B)


# Compiled as one also where it is called by itself: operation by operation it
# takes four times as long.
@jax.jit
def sample(key: jax.Array, task_B: jax.Array, level_B: jax.Array) -> Batch:
  """Random examples of the given tasks and levels (indices), [B, ...].

  One sampler draws all tasks at once: each example's operands come from
  tables indexed by (task, level), and its answer is selected by task.
  """
  digit_Bx8, count_B, a_B, b_B = _operands(key, task_B, level_B)
  names, name_lengths = map(jnp.array, _text_table(TASKS))

  def constant(*tokens):
    row = jnp.broadcast_to(jnp.array(tokens), (len(task_B), len(tokens)))
    return row, jnp.full(len(task_B), len(tokens))

  pair = task_lib.ragged_concat(
    [_number(a_B), constant(SPACE), _number(b_B)], _INPUT_WIDTH, PAD
  )
  items = _items(digit_Bx8, count_B)
  is_pair = _is(task_B, 'CMP', 'ADD', 'MOD', 'MUL')
  input_ = (
    jnp.where(is_pair, pair[0], items[0]),
    jnp.where(is_pair[:, 0], pair[1], items[1]),
  )
  prompt = task_lib.ragged_concat(
    [
      constant(BOS),
      (names[task_B], name_lengths[task_B]),
      constant(SPACE),
      input_,
      constant(SPACE, EQUALS),
    ],
    LENGTH,
    PAD,
  )
  answer = _answers(task_B, digit_Bx8, count_B, a_B, b_B)
  tokens, length_B = task_lib.ragged_concat(
    [prompt, constant(SPACE), answer, constant(EOS)], LENGTH, PAD
  )
  place = jnp.arange(LENGTH)
  scored = (place >= prompt[1][:, None]) & (place < length_B[:, None])
  return Batch(tokens, scored, prompt[1] - 1, task_B, level_B)


def _name_index(task: str) -> int:
  if task not in TASKS:
    raise UserError(f'task {task!r} is unknown; the tasks are {TASKS}.')
  return TASKS.index(task)


def sample_text(task: str, level: int, key: jax.Array, n: int) -> list[str]:
  """`n` random texts of a task at a level (1, 2 or 3).

  >>> sample_text('ADD', 2, jax.random.key(0), 1)
  ['ADD 72 49 = 121']
  """
  if level not in LEVELS:
    raise UserError(f'level {level!r} is unknown; the levels are {LEVELS}.')
  index = jnp.full(n, _name_index(task))
  batch = sample(key, index, jnp.full(n, level - 1))
  return [decode(row) for row in np.asarray(batch.tokens)]


def _most_common(values: np.ndarray) -> float:
  return np.bincount(values.ravel()).max() / values.size


def chance(task: str, level: int) -> float:
  """Accuracy of the best constant answer, exact, by enumeration."""
  i = level - 1
  if task in ('COPY', 'REV'):
    return 10.0 ** -_COUNTS[task][i]
  if task == 'SORT':  # the likeliest multiset has no digit twice
    return math.factorial(_COUNTS[task][i]) * 10.0 ** -_COUNTS[task][i]
  if task == 'PAR':
    return 0.5
  if task == 'MOD':
    shares = np.zeros(max(_MODULI[i]))
    for p in _MODULI[i]:
      remainders = np.bincount(np.arange(10 * p + 1) % p, minlength=len(shares))
      shares += remainders / (10 * p + 1) / len(_MODULI[i])
    return float(shares.max())
  a, b = np.meshgrid(*(np.arange(*r) for r in _RANGES[task][i]), indexing='ij')
  values = {'CMP': np.sign(a - b) + 1, 'ADD': a + b, 'MUL': a * b}[task]
  return float(_most_common(values))


def longest(task: str, level: int) -> int:
  """Tokens of the longest text of a task at a level, BOS and EOS included.

  >>> longest('ADD', 1), len('ADD 9 9 = 18') + 2
  (14, 14)
  """
  i = level - 1
  if task in _COUNTS:
    question = 2 * _COUNTS[task][i] - 1
    answer = len('EVEN') if task == 'PAR' else question
  else:
    if task == 'MOD':
      a, b = 10 * max(_MODULI[i]), max(_MODULI[i])
    else:
      a, b = (high - 1 for _, high in _RANGES[task][i])
    question = len(f'{a} {b}')
    value = {'CMP': 'GREATER', 'MOD': b - 1, 'ADD': a + b, 'MUL': a * b}[task]
    answer = len(str(value))
  return 1 + len(f'{task}  = ') + question + answer + 1


def _of_each(fn: Callable[[str, int], float]) -> np.ndarray:
  return np.array([[fn(task, level) for level in LEVELS] for task in TASKS])


@dataclasses.dataclass(frozen=True)
class AlgorithmicTask(task_lib.Task):
  """All tasks × levels, mixed uniformly and drawn on the fly.

  Attributes:
    batch_size: examples a step.
  """

  batch_size: int = 64

  vocab_size = VOCAB_SIZE
  length = LENGTH
  task_names = TASKS
  level_names = tuple(str(level) for level in LEVELS)

  def __post_init__(self):
    checks.in_range('config.task.batch_size', self.batch_size, 1)

  @property
  def chance_KxL(self) -> np.ndarray:
    """Accuracy of the best constant answer of each task × level."""
    return _of_each(chance)

  @property
  def length_KxL(self) -> np.ndarray:
    """Tokens of the longest text of each task × level."""
    return _of_each(longest)

  def train_batch(self, prepared, key):
    """Examples of uniform task and level, [B, ...]."""
    del prepared
    return self.draw((), key, self.batch_size)

  def draw(self, seed, key, count):
    """`count` examples of uniform task and level, [count, ...]."""
    del seed
    key_task, key_level, key_sample = jax.random.split(key, 3)
    task_B = jax.random.randint(key_task, (count,), 0, len(TASKS))
    level_B = jax.random.randint(key_level, (count,), 0, len(LEVELS))
    return sample(key_sample, task_B, level_B)

  def training_examples(self, seed, key, count):
    """`count` draws."""
    del seed
    return self.draw((), key, count)

  def by_task(self, seed, key, count):
    """`count` examples of each task, [K, count, ...]."""
    del seed
    levels = np.repeat(
      np.arange(len(LEVELS)), task_lib.pooled_counts(count, len(LEVELS))
    )
    key_order, key_sample = jax.random.split(key)
    level_KxN = jnp.tile(jax.random.permutation(key_order, levels), len(TASKS))
    task_KxN = jnp.repeat(jnp.arange(len(TASKS)), count)
    batch = sample(key_sample, task_KxN, level_KxN)
    return jax.tree.map(
      lambda x: x.reshape(len(TASKS), count, *x.shape[1:]), batch
    )

  def targets(self, batch):
    """First characters of the answer and of the first two items, [..., 3]."""
    is_space = batch.tokens == SPACE
    # Text `TASK a b …`: an item begins behind the first and second space.
    order = jnp.cumsum(is_space, -1)
    begins = [jnp.argmax(is_space & (order == i), -1) + 1 for i in (1, 2)]
    index = jnp.stack([batch.query + 2, *begins], -1)
    return jnp.take_along_axis(batch.tokens, index, -1)

  def fresh(self, key, count):
    """`count` examples of every task × level, [K, L, count, ...]."""
    shape = (len(TASKS), len(LEVELS), count)
    task, level, _ = jnp.indices(shape)
    batch = sample(key, task.ravel(), level.ravel())
    return jax.tree.map(lambda x: x.reshape(*shape, *x.shape[1:]), batch)

  def exam(self, seed, count):
    """The same fresh examples for every seed; none is a training example."""
    del seed
    batch = self.fresh(prng.key(prng.Stream.FIXED, prng.Fixed.EXAM), count)
    return batch, jnp.zeros(batch.query.shape, bool)
