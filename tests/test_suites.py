"""Names of revisions as they are published, and which row each becomes."""

import pytest

from emergence_jax.base.types import UserError
from emergence_jax.running.sources import folders, grammar, places, suites
from emergence_jax.running.sources.grammar import Name
from tests import tiers

B = 10**9


@pytest.mark.parametrize(
  'name,expected',
  [
    ('step1000', Name(1000)),
    ('step-125000', Name(125_000)),
    ('step_7', Name(7)),
    ('revision=step7', Name(7)),
    ('step1000-tokens2B', Name(1000, 2 * B)),
    ('step50000-tokens210B', Name(50_000, 210 * B)),
    ('step-480k-token-1007B', Name(480_000, 1007 * B)),
    ('stage1-step1000-tokens5B', Name(1000, 5 * B, '1')),
    ('stage1-step-40000', Name(40_000, None, '1')),
    (
      'stage2-ingredient1-step1000-tokens5B',
      Name(1000, 5 * B, '2-ingredient1'),
    ),
    ('step69369-seed-default', Name(69_369, seed='default')),
    ('step5000-seed-small-aux-2', Name(5000, seed='small-aux-2')),
    ('ckpt_356', Name(356)),
    ('checkpoint-400000', Name(400_000)),
    ('multiberts-seed_0-step_20k', Name(20_000, seed='0')),
    ('chck_10M', Name(10_000_000, 10_000_000)),
    ('global_step1000', Name(1000)),
    ('step1.5k', Name(1500)),
    ('main', None),
    ('step1x', None),
    ('notes', None),
    ('step', None),
    ('v1-step', None),
    ('4bit-step100', None),
  ],
)
def test_names_as_they_are_published(name, expected):
  assert grammar.read(name) == expected


@pytest.mark.parametrize(
  'name,expected',
  [
    ('pythia-160m-seed3', 3),
    ('pythia-160m', None),
    ('alias-gpt2-small-x21', 21),
    ('battlestar-gpt2-small-x49', 49),
    ('pythia-160m-data-seed1', 1),
    ('multiberts-seed_0', 0),
    ('gpt-x1b', None),
  ],
)
def test_seeds_of_models(name, expected):
  assert grammar.seed_of(name) == expected


def test_a_pattern_of_one_s_own():
  pattern = grammar.compiled(r'it(?P<step>\d+)k?_s(?P<seed>\w+)')
  assert grammar.read('it30_sA', pattern) == Name(30, seed='A')
  assert grammar.read('step30', pattern) is None
  for wrong in ('(', r'it\d+', r'(?P<step>\d+)(?P<layer>\d+)'):
    with pytest.raises(UserError, match='config.release.pattern'):
      grammar.compiled(wrong)


def make(root, *names):
  for name in names:
    (root / name).mkdir(parents=True)
  return root


def steps_of(suite):
  return {seed: sorted(steps) for seed, steps in suite.revisions.items()}


@pytest.mark.parametrize(
  'names,steps,seeds',
  [
    (['step0', 'step1000', 'notes'], {0: [0, 1000]}, None),
    (['step-5', 'revision=step7', 'step_9'], {0: [5, 7, 9]}, None),
    (
      ['m-seed1/step2', 'm-seed2/step2', 'm/step3'],
      {0: [3], 1: [2], 2: [2]},
      {0: 'm', 1: 'm-seed1', 2: 'm-seed2'},
    ),
    (
      ['alias-gpt2-small-x21/checkpoint-5', 'battlestar-gpt2-small-x49/step7'],
      {21: [5], 49: [7]},
      {21: 'alias-gpt2-small-x21', 49: 'battlestar-gpt2-small-x49'},
    ),
    # Two kinds of seeds have never one place of the axis.
    (
      ['p-data-seed1/step2', 'p-weight-seed1/step2', 'p/step2'],
      {0: [2], 1: [2], 2: [2]},
      {0: 'p', 1: 'p-data-seed1', 2: 'p-weight-seed1'},
    ),
    (
      ['step5-seed-default', 'step5-seed-small-aux-2', 'step9-seed-default'],
      {0: [5, 9], 1: [5]},
      {0: 'default', 1: 'small-aux-2'},
    ),
    (
      ['bert-seed_0-step_20k', 'bert-seed_3-step_20k'],
      {0: [20_000], 3: [20_000]},
      {0: 'seed 0', 3: 'seed 3'},
    ),
  ],
)
def test_layouts_of_folders(tmp_path, names, steps, seeds):
  suite = folders.find(make(tmp_path, *names))
  assert steps_of(suite) == steps
  assert seeds is None or suite.seed_names == seeds


def test_tokens_stand_beside_steps(tmp_path):
  names = ('step1-tokens2B', 'step2-tokens4B')
  assert folders.find(make(tmp_path, *names)).tokens == {1: 2 * B, 2: 4 * B}
  other = make(
    tmp_path / 'seeds', 'a-seed1/step1-tokens2B', 'a-seed2/step1-tokens3B'
  )
  suite = folders.find(other)
  assert not suite.tokens and 'contradict' in suite.notes[0]


def test_stages_are_kept_apart(tmp_path):
  names = (
    'stage1-step1-tokens1B', 'stage1-step2-tokens2B',
    'stage2-ingredient1-step1-tokens1B', 'main', 'odd',
  )  # fmt: skip
  suite = folders.find(make(tmp_path, *names))
  assert steps_of(suite) == {0: [1, 2]}
  assert 'stage 1 is measured, 2 revisions' in suite.notes[0]
  assert '2-ingredient1 (1)' in suite.notes[0]
  other = folders.find(tmp_path, stage='2-ingredient1')
  assert steps_of(other) == {0: [1]}
  with pytest.raises(UserError, match='none of the stages'):
    folders.find(tmp_path, stage='3')


def test_what_is_not_read_is_listed_with_the_grammar(tmp_path):
  for name in ('step1', 'final', 'best'):
    make(tmp_path, name)
    (tmp_path / name / 'config.json').write_text('{}', encoding='utf-8')
  notes = folders.find(tmp_path).notes
  assert '2 names say no step and are left out: best, final' in notes[0]
  assert 'config.release.pattern' in notes[0]
  suite = folders.find(tmp_path, pattern=r'(?P<seed>step)(?P<step>\d)')
  assert steps_of(suite) == {0: [1]}


def test_the_layout_of_the_hubs_cache(tmp_path):
  (tmp_path / 'refs').mkdir()
  (tmp_path / 'snapshots' / 'abc').mkdir(parents=True)
  (tmp_path / 'refs' / 'step1000').write_text('abc\n', encoding='utf-8')
  there = places.Local(tmp_path / 'snapshots' / 'abc')
  assert folders.find(tmp_path).revisions == {0: {1000: there}}


def test_folders_that_are_refused(tmp_path):
  with pytest.raises(UserError, match='step1000, step-1000'):
    folders.find(tmp_path)
  make(tmp_path, 'step3', 'step-3')
  with pytest.raises(UserError, match='both of step 3'):
    folders.find(tmp_path)
  suite = suites.Suite({0: {1: places.Local(tmp_path)}})
  with pytest.raises(UserError, match='FIRST:LAST'):
    suite.select('5.0')
  with pytest.raises(UserError, match='leaves no checkpoint'):
    suite.select('5:9')
  with pytest.raises(UserError, match='no folder'):
    folders.find(tmp_path / 'nowhere')


@pytest.mark.parametrize('seed', tiers.some(range(20)))
def test_any_name_ends(seed):
  """No name, however long, is read for long."""
  for part in ('step1-', 'seed-a-', 'tokens1', 'stage1-', '9', 'a-'):
    grammar.read(part * (50 * (1 + seed)))


def test_repeats_of_whole_models_and_of_a_shard():
  shards = {
    0: {'a': '1', 'b': '2'}, 1: {'a': '1', 'b': '2'}, 2: {'a': '3', 'b': '4'},
    50: {'a': '9', 'b': '5'}, 99: {'a': '9', 'b': '8'},
  }  # fmt: skip
  assert places.repeated(shards) == {0: (1, 'a'), 50: (99, 'a')}
