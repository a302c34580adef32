"""Tasks against an oracle in plain Python, and against exact distributions."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from emergence_jax.base.types import UserError
from emergence_jax.tasks import algorithmic as alg
from emergence_jax.tasks import task as task_lib
from emergence_jax.tasks.modular import ModularAddition
from tests import tiers

GRID = list(itertools.product(alg.TASKS, alg.LEVELS))
N = 10_000


def draw(task, level, seed=0, n=N):
  index = jnp.full(n, alg.TASKS.index(task))
  return jax.device_get(
    alg.sample(jax.random.key(seed), index, jnp.full(n, level - 1))
  )


def answer_of(task: str, level: int, items: list[str]) -> str:
  """What the text after `=` must be; fails for an input out of its range."""
  numbers = [int(i) for i in items]
  assert [str(n) for n in numbers] == items, 'leading zeros'
  if task in ('COPY', 'REV', 'SORT', 'PAR'):
    count = {1: 3, 2: 5, 3: 8}[level]
    if task == 'PAR':
      count = {1: 4, 2: 6, 3: 8}[level]
    assert len(numbers) == count
    assert all(0 <= n <= (1 if task == 'PAR' else 9) for n in numbers)
    if task == 'PAR':
      return 'ODD' if sum(numbers) % 2 else 'EVEN'
    order = {'COPY': list, 'REV': reversed, 'SORT': sorted}[task]
    return ' '.join(str(n) for n in order(numbers))
  a, b = numbers
  if task == 'MOD':
    assert b in {1: (2, 3, 5, 7), 2: (7, 11, 13), 3: (13, 17, 19, 23)}[level]
    assert 0 <= a <= 10 * b
    return str(a % b)
  digits = {1: (0, 9), 2: (10, 99), 3: (100, 999)}
  range_a = digits[level if task != 'MUL' else max(1, level - 1)]
  range_b = digits[level if task != 'MUL' else min(2, level)]
  assert range_a[0] <= a <= range_a[1] and range_b[0] <= b <= range_b[1]
  if task == 'CMP':
    return 'LESS' if a < b else 'EQUAL' if a == b else 'GREATER'
  return str(a + b if task == 'ADD' else a * b)


@pytest.mark.parametrize('task,level', tiers.some(GRID, *range(2, 24, 3)))
def test_samples_are_right_to_the_letter(task, level):
  batch = draw(task, level)
  rows = zip(batch.tokens, batch.scored, batch.query)
  for tokens, scored, query in rows:
    text = alg.decode(tokens)
    np.testing.assert_array_equal(tokens, alg.encode(text))
    name, prompt = text.split(' ', 1)
    question, answer = prompt.split(' = ')
    assert name == task
    assert answer == answer_of(task, level, question.split(' '))
    assert len(tokens) <= 48
    # BOS before and EOS behind: character i of the text is token i + 1.
    equals = text.index('=') + 1
    expected = np.zeros(len(tokens), bool)
    expected[equals + 1 : len(text) + 2] = True
    np.testing.assert_array_equal(scored, expected)
    assert query == equals and tokens[query] == alg.EQUALS


def p_value(values, probabilities):
  counts = np.array([np.sum(values == v) for v in probabilities])
  assert counts.sum() == len(values), 'a value outside the support'
  expected = np.array(list(probabilities.values())) * len(values)
  return stats.chisquare(counts, expected).pvalue


@pytest.mark.parametrize('task,level', tiers.some(GRID, *range(2, 24, 3)))
def test_operands_are_uniform(task, level):
  texts = [alg.decode(t) for t in draw(task, level, seed=1).tokens]
  items = np.array([t.split(' = ')[0].split(' ')[1:] for t in texts], int)
  if task == 'MOD':
    moduli = alg._MODULI[level - 1]
    tests = [p_value(items[:, 1], {p: 1 / len(moduli) for p in moduli})]
    for p in moduli:
      x = items[items[:, 1] == p, 0]
      uniform = {v: 1 / (10 * p + 1) for v in range(10 * p + 1)}
      tests.append(p_value(x, uniform))
  else:
    low, high = items.min(0), items.max(0) + 1
    tests = [
      p_value(column, {v: 1 / (b - a) for v in range(a, b)})
      for column, a, b in zip(items.T, low, high)
    ]
  # Of the 24 × up to 8 tests here one in 10⁶ is a false alarm.
  assert min(tests) > 1e-6 / 200


@pytest.mark.parametrize('task,level', tiers.some(GRID, *range(2, 24, 3)))
def test_chance_is_the_best_constant_answer(task, level):
  texts = [alg.decode(t) for t in draw(task, level, seed=2).tokens]
  answers = [t.split(' = ')[1] for t in texts]
  _, counts = np.unique(answers, return_counts=True)
  chance = alg.chance(task, level)
  # The most frequent of many nearly equal answers is frequent by luck too, so
  # only its upper bound is sharp: 5 standard errors, or 12 events when rare.
  slack = max(5 * np.sqrt(N * chance), 12)
  assert counts.max() <= N * chance + slack
  if chance > 0.01:
    assert counts.max() >= N * chance - slack


def test_training_batches_mix_tasks_and_levels():
  task = alg.AlgorithmicTask(batch_size=24_000)
  batch = task.train_batch((), jax.random.key(0))
  counts = np.zeros((8, 3))
  np.add.at(counts, (np.asarray(batch.task), np.asarray(batch.level)), 1)
  assert stats.chisquare(counts.ravel()).pvalue > 1e-6
  names = {alg.decode(t).split(' ')[0] for t in np.asarray(batch.tokens)}
  assert names == set(alg.TASKS)


def test_exam_is_the_same_for_every_seed():
  task = alg.AlgorithmicTask()
  (a, trained), (b, _) = task.exam(0, 3), task.exam(1, 3)
  np.testing.assert_array_equal(a.tokens, b.tokens)
  assert a.tokens.shape == (8, 3, 3, alg.LENGTH) and not trained.any()


@given(st.text(alphabet=alg._CHARS, max_size=38))
def test_encode_decode_round_trip(text):
  assert alg.decode(alg.encode(text)) == text


@pytest.mark.parametrize('text', ['add', 'A' * 39])
def test_encode_refuses(text):
  with pytest.raises(UserError, match='vocabulary|at most'):
    alg.encode(text)


def test_sample_text_refuses():
  with pytest.raises(UserError, match='SUB'):
    alg.sample_text('SUB', 1, jax.random.key(0), 1)
  with pytest.raises(UserError, match='level 4'):
    alg.sample_text('ADD', 4, jax.random.key(0), 1)


@settings(max_examples=20, deadline=None)
@given(
  st.lists(st.lists(st.integers(1, 9), max_size=4), min_size=1, max_size=4)
)
def test_ragged_concat_joins(rows):
  pieces = [
    (jnp.array([r + [0] * (4 - len(r))], jnp.int32), jnp.array([len(r)]))
    for r in rows
  ]
  tokens, length = task_lib.ragged_concat(pieces, 16, 0)
  flat = sum(rows, [])
  assert tokens[0].tolist() == flat + [0] * (16 - len(flat))
  assert length[0] == len(flat)


@pytest.mark.parametrize('symmetric', tiers.some([True, False]))
@pytest.mark.parametrize('p,fraction', [(3, 0.5), (31, 0.6), (12, 0.3)])
def test_modular_split(p, fraction, symmetric):
  task = ModularAddition(p, fraction, symmetric)
  batch, trained = task.exam(3, 0)
  table = np.asarray(trained).reshape(p, p)
  assert table.sum() == task.num_train == len(np.unique(task.prepare(3)))
  assert abs(table.sum() - fraction * p * p) <= 2
  assert not symmetric or (table == table.T).all()
  a, b, equals, c = np.moveaxis(np.asarray(batch.tokens)[0, 0], -1, 0)
  np.testing.assert_array_equal((a + b) % p, c)
  assert (equals == p).all() and len(set(zip(a, b))) == p * p
  assert (np.asarray(task.exam(4, 0)[1]) != np.asarray(trained)).any()


@pytest.mark.parametrize('batch_size', [0, 7])
def test_modular_training_stays_inside_the_split(batch_size):
  task = ModularAddition(11, 0.4, batch_size=batch_size)
  batch = task.train_batch(task.prepare(0), jax.random.key(0))
  assert batch.tokens.shape == (batch_size or task.num_train, 4)
  index = batch.tokens[:, 0] * 11 + batch.tokens[:, 1]
  assert set(index.tolist()) <= set(task.prepare(0).tolist())


@pytest.mark.parametrize(
  'options,key',
  [
    (dict(p=2), 'p=2'),
    (dict(p=1001), 'p=1001'),
    (dict(train_fraction=0.0), 'train_fraction'),
    (dict(train_fraction=1.0), 'train_fraction'),
    (dict(p=3, train_fraction=0.01), 'train_fraction'),
    (dict(batch_size=99_999), 'batch_size'),
  ],
)
def test_modular_refuses(options, key):
  with pytest.raises(UserError, match=key):
    ModularAddition(**options)
