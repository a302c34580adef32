"""A small release, from its training to the report."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from emergence_jax.base.types import Status, UserError
from emergence_jax.models import released
from emergence_jax.running import releases
from emergence_jax.running.sources import revisions
from emergence_jax.store import timeseries
from emergence_jax.tasks import probe_sets
from tests import apps, release

SEEDS = [1, 2, 3]
STEPS = [0, 1, 2, 4, 8, 16, 24, 32, 48, 64, 80, 96]
CONFIG = {
  'release': {'name': 'tiny', 'sets': 'agreement,patterns,facts,text'},
  'measures': {
    'choice': {'examples_at_once': 64},
    'rank': {'examples': 40},
    'barrier': {'every': 2, 'points': 3, 'examples': 16},
  },
}


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  folder = tmp_path_factory.mktemp('release')
  release.train(folder, SEEDS, STEPS)
  # Two revisions identical on purpose, and one truncated.
  for name in ('model.safetensors',):
    shutil.copy(
      folder / 'tiny-seed2/step64' / name, folder / 'tiny-seed2/step8' / name
    )
  path = folder / 'tiny-seed3/step16/model.safetensors'
  path.write_bytes(path.read_bytes()[:5000])
  return folder


@pytest.fixture(scope='module')
def bare(tmp_path_factory):
  """One revision of random weights."""
  folder = tmp_path_factory.mktemp('bare')
  release.train(folder, [1], [0])
  return folder


@pytest.fixture(scope='module')
def measured(root, tmp_path_factory):
  workdir = tmp_path_factory.mktemp('measured')
  lines = []
  count = releases.measure(CONFIG, root, workdir, log=lines.append)
  assert count == len(STEPS)
  return workdir, lines


@pytest.mark.nightly
def test_the_repeat_and_the_truncated_one_are_named(measured):
  workdir, lines = measured
  data = timeseries.load(workdir).load()
  assert data.seed.values.tolist() == SEEDS
  assert data.step.values.tolist() == STEPS
  assert data.sizes['task'] == 4
  marks = {(2, 8): Status.REPEATED, (3, 16): Status.MISSING}
  for seed in SEEDS:
    for step in STEPS:
      status = data.status.sel(seed=seed, step=step).item()
      assert status == marks.get((seed, step), Status.OK)
      blank = (seed, step) in marks
      one = data.sel(seed=seed, step=step)
      assert np.isnan(one.rankme).all() == blank
  assert any('seed 2, step 8' in x and 'step 64' in x for x in lines)
  assert any('seed 3, step 16' in x and 'damaged' in x for x in lines)
  # Training shows: the text grows likelier.
  text = data.log_prob.sel(task='text').isel(level=0)
  assert (text.isel(step=-1) > text.isel(step=0) + 5).all()


@pytest.mark.nightly
def test_rankme_is_what_numpy_makes_of_the_hidden_states(root, measured):
  data = timeseries.load(measured[0])
  folder = root / 'tiny-seed1' / 'step96'
  model, params = released.load_checkpoint(folder)
  encoder = release.tokenizer()

  def hidden_of(params, tokens):
    return jnp.stack(model.apply(params, tokens).hidden)

  for name in ('facts', 'patterns'):
    items = probe_sets.built_in()[name][:40]
    ids = [encoder.encode(item.prompt).ids for item in items]
    padded = np.zeros((len(ids), 96), np.int32)
    for row, one in enumerate(ids):
      padded[row, : len(one)] = one  # what follows is not seen
    hidden = np.asarray(jax.jit(hidden_of)(params, padded), np.float64)
    last = hidden[:, range(len(ids)), [len(one) - 1 for one in ids]]
    for layer in range(2):
      values = np.linalg.svd(last[layer], compute_uv=False)
      share = values / values.sum()
      expected = np.exp(-np.sum(share * np.log(share)))
      found = data.rankme.sel(seed=1, step=96, task=name, layer=layer + 1)
      np.testing.assert_allclose(found, expected, rtol=1e-3)


@pytest.mark.nightly
def test_it_goes_on_where_it_stopped(root, measured, tmp_path, monkeypatch):
  load = revisions.Revisions._load

  def killed(self, seed, step):
    if step == 2:
      raise KeyboardInterrupt
    return load(self, seed, step)

  only = {**CONFIG, 'measures': {'choice': CONFIG['measures']['choice']}}
  with monkeypatch.context() as patch:
    patch.setattr(revisions.Revisions, '_load', killed)
    with pytest.raises(KeyboardInterrupt):
      releases.measure(only, root, tmp_path, steps='0:4', log=list)
  assert timeseries.load(tmp_path).step.values.tolist() == [0, 1]
  assert releases.measure(only, root, tmp_path, steps='0:4', log=list) == 2
  found = timeseries.load(tmp_path).load()
  wanted = timeseries.load(measured[0]).load()
  xr.testing.assert_equal(
    found.accuracy, wanted.accuracy.sel(step=found.step.values)
  )
  assert releases.measure(only, root, tmp_path, steps='0:4', log=list) == 0
  with pytest.raises(UserError, match='another configuration'):
    releases.measure(only, root, tmp_path, steps='0:2', log=list)
  # More of the same is gone on with.
  assert releases.measure(only, root, tmp_path, steps='0:8', log=list) == 1
  found = timeseries.load(tmp_path).load()
  same = wanted.accuracy.sel(step=found.step.values)
  # What repeats a step beyond these is not known to.
  xr.testing.assert_equal(found.accuracy.where(same.notnull()), same)


@pytest.mark.nightly
def test_a_damaged_row_of_a_release_is_measured_again(root, measured, tmp_path):
  workdir = tmp_path / 'copy'
  shutil.copytree(measured[0], workdir)
  name = 'rankme/c/0/5/0/0'
  (workdir / timeseries.STORE / name).write_bytes(b'')
  lines = []
  assert releases.measure(CONFIG, root, workdir, log=lines.append) == 1
  assert any(name in line for line in lines)
  xr.testing.assert_identical(
    timeseries.load(workdir).load(), timeseries.load(measured[0]).load()
  )


@pytest.mark.nightly
def test_by_the_apps_to_the_report(root, measured, tmp_path):
  done = apps.call(
    'measure', '--config=configs/pythia.py:tiny', f'--checkpoints={root}',
    f'--workdir={tmp_path / "run"}', '--measures=choice', '--steps=0:2',
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert '3 checkpoints measured' in done.stdout
  workdir = tmp_path / 'all'
  shutil.copytree(measured[0], workdir)
  for app in ('analyze', 'report', 'export'):
    flags = () if app == 'export' else ('--draws=50',)
    done = apps.call(app, f'--workdir={workdir}', *flags)
    assert done.returncode == 0, done.stderr
  page = (workdir / 'report' / 'report.html').read_text(encoding='utf-8')
  assert 'repeated' in page and 'missing' in page and 'agreement' in page


def test_the_sets_have_the_numbers_of_the_paper():
  sets = probe_sets.built_in()
  assert {name: len(items) for name, items in sets.items()} == {
    'agreement': 36, 'analogies': 30, 'arithmetic': 200, 'patterns': 16,
    'facts': 51, 'deduction': 26, 'text': 200, 'logic': 72,
  }  # fmt: skip
  for name, items in sets.items():
    assert len({item.prompt for item in items}) == len(items), name
    for item in items:
      assert item.correct not in item.wrong and item.correct[0] == ' '
      assert bool(item.wrong) == (name != 'text')
  # What is asked for in the logical ones follows from what is said.
  for item in sets['logic']:
    words = item.prompt.replace('.', '').split()
    left_of = words.index('left')
    leftmost, middle = words[left_of - 3], words[left_of + 3]
    end = ({'red', 'blue', 'green'} - {leftmost, middle}).pop()
    expected = leftmost if 'leftmost' in words else end
    assert item.correct == f' {expected} one', item


def characters(text):
  return [ord(c) % 97 for c in text]


@pytest.mark.parametrize(
  'item,words',
  [
    (probe_sets.Item('a', ' b', (' b',)), 'same tokens'),
    (probe_sets.Item('a', '', (' b',)), 'no tokens'),
    (probe_sets.Item('', ' b', (' c',)), 'no tokens'),
    (probe_sets.Item('a' * 99, ' b', ()), 'sequences of 101'),
  ],
)
def test_items_that_cannot_be_asked(item, words):
  with pytest.raises(UserError, match=words):
    probe_sets.tokenise({'mine': [item]}, characters, 97, longest=50)


def test_sets_of_ones_own(tmp_path):
  path = tmp_path / 'mine.jsonl'
  path.write_text(
    '{"prompt": "A", "correct": " b", "wrong": [" c"]}\n', encoding='utf-8'
  )
  assert list(probe_sets.choose([str(path), 'facts'])) == ['mine', 'facts']
  path.write_text('{"prompt": "A"}', encoding='utf-8')
  with pytest.raises(UserError, match='mine.jsonl, line 1'):
    probe_sets.choose([str(path)])
  with pytest.raises(UserError, match="'nothing' is unknown; known: agreement"):
    probe_sets.choose(['nothing'])
  assert probe_sets.choose(['tests.test_releases:mine'])['mine'] == [
    probe_sets.Item('A', ' b', (' c',))
  ]
  for wrong in ('os:path', 'tests.test_releases:SEEDS', 'nowhere:X'):
    with pytest.raises(UserError, match='config.release.sets='):
      probe_sets.choose([wrong])


def mine():
  """A set by its name in a module."""
  return [('A', ' b', [' c'])]


def test_wrong_configurations(bare, tmp_path):
  for given, words in (
    ({'measures': {'choice': {}}, 'task': {}}, 'config.task'),
    ({'measures': {}}, 'names nothing'),
    ({'measures': {'lcc': {}}}, "'lcc'"),
    ({'measures': {'behaviour': {}}}, 'names nothing that can'),
    ({'measures': {'rank': {}}, 'reference': {'name': 'x'}}, "name='x'"),
    ({'measures': {'choice': {}}, 'release': {'dtype': 'x'}}, "dtype='x'"),
    ({'measures': {'choice': {}}, 'release': {'sets': 'x'}}, "set 'x'"),
  ):
    with pytest.raises(UserError) as caught:
      releases.measure(given, bare, tmp_path / 'new', log=list)
    assert words in str(caught.value)
    assert not (tmp_path / 'new').exists()


def test_what_the_sets_cannot_give_is_named_and_left_out(bare):
  given = {'measures': {'choice': {}, 'probes': {}, 'behaviour': {}}}
  lines = []
  made = releases.prepare(given, bare, log=lines.append)
  assert list(made.subject.specs) == ['choice']
  assert len(lines) == 2 and "probes needs 'targets'" in lines[1]
  assert "behaviour needs 'exam'" in lines[0] and 'ProbeSets' in lines[0]


def test_a_dry_run_counts_and_loads_nothing(tmp_path, monkeypatch):
  """Of folders without weights; a barrier has none before the first."""
  for step in (0, 4):
    release.describe(tmp_path / 'tiny' / f'step{step}')
  given = {
    'release': {'sets': 'patterns'},
    'measures': {'choice': {}, 'barrier': {'points': 3, 'examples': 4}},
  }
  lines = list(releases.describe(given, tmp_path / 'tiny'))
  counts = {words[0]: words[-1] for words in map(str.split, lines[-2:])}
  assert counts == {'choice': '2', 'barrier': '1'}
  table = [line.split() for line in lines[:3]]
  assert table[0] == ['seed', 'step', 'tokens', 'revision']
  assert [row[:3] for row in table[1:]] == [['0', '0', '–'], ['0', '4', '–']]
  # By default it is called as its folder is, also from within.
  monkeypatch.chdir(tmp_path / 'tiny')
  for root in ('.', f'{tmp_path / "tiny"}/'):
    config = releases.prepare(given, root).subject.config
    assert config['model']['size'] == 'tiny'


def test_choices_are_those_of_a_softmax_by_hand(bare):
  """Every continuation's log-probability, one sequence at a time."""
  given = {'release': {'sets': 'patterns,text'}, 'measures': {'choice': {}}}
  made = releases.prepare(given, bare)
  model, params = released.load_checkpoint(bare / 'tiny-seed1' / 'step0')
  measure = made.subject.measures['choice']
  found = measure.fn(params, measure.inputs(0), None)
  assert found.keys() == measure.fields.keys()
  encode = release.tokenizer().encode
  apply = jax.jit(lambda tokens: model.apply(params, tokens).logits)

  def log_prob(prompt, tail):
    first, rest = encode(prompt).ids, encode(tail).ids
    tokens = np.zeros((1, 96), np.int32)
    tokens[0, : len(first) + len(rest)] = first + rest
    logits = np.asarray(apply(tokens)[0], np.float64)
    logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
    places = range(len(first), len(first) + len(rest))
    return sum(logits[i - 1, tokens[0, i]] for i in places)

  items = probe_sets.built_in()['patterns']
  right = np.array([log_prob(i.prompt, i.correct) for i in items])
  best = np.array([max(log_prob(i.prompt, w) for w in i.wrong) for i in items])
  for name, expected in (
    ('accuracy', np.mean(right > best)), ('log_prob', right.mean()),
    ('margin', (right - best).mean()),
  ):  # fmt: skip
    np.testing.assert_allclose(found[name][0, 0], expected, rtol=1e-4)
  assert (found['correct'][0, 0, :16] == (right > best)).all()
  assert (found['correct'][0, 0, 16:] == -1).all()
  # Of a set without wrong continuations: the whole of it, greedily.
  assert found['accuracy'][1, 0] == 0 and found['log_prob'][1, 0] < -10


@pytest.mark.nightly
def test_bfloat16_and_the_dear_measures(bare, tmp_path):
  """Half of the bits, and nearly the same numbers."""
  given = {
    'release': {'name': 't', 'sets': 'patterns,facts'},
    'measures': {
      'hessian': {'k': 1, 'num_matvecs': 4, 'trace_matvecs': 2, 'examples': 8},
      'llc': {
        'examples': 8, 'batch_size': 4, 'num_draws': 8, 'num_burnin': 2,
        'num_chains': 1, 'elevation_draws': 8, 'elevation_burnin': 2,
      },
    },
  }  # fmt: skip
  cheap = {'choice': {'examples_at_once': 64}, 'rank': {'examples': 16}}
  found = {}
  for dtype, dear in (('float32', {}), ('bfloat16', given['measures'])):
    given['release']['dtype'] = dtype
    given['measures'] = {**cheap, **dear}
    releases.measure(given, bare, tmp_path / dtype, log=list)
    found[dtype] = timeseries.load(tmp_path / dtype).load()
  whole, half = found['float32'], found['bfloat16']
  assert (half.status == Status.OK).all()
  assert (half.hessian_eigenvalues > 0).all()
  for name, tolerance in (('log_prob', 0.02), ('rankme', 0.02)):
    assert half[name].dtype == 'float32'
    np.testing.assert_allclose(half[name], whole[name], rtol=tolerance)
  assert np.isfinite(half.llc).all() and (half.llc_status > 0).all()


def test_no_tokenizer(bare, tmp_path):
  folder = tmp_path / 'step1'
  shutil.copytree(bare / 'tiny-seed1' / 'step0', folder)
  (folder / 'tokenizer.json').unlink()
  with pytest.raises(UserError, match='no tokenizer.json'):
    releases.measure(CONFIG, tmp_path, tmp_path / 'new', log=list)
  (folder / 'tokenizer.json').write_text('{}', encoding='utf-8')
  with pytest.raises(UserError, match='is no tokenizer'):
    releases.measure(CONFIG, tmp_path, tmp_path / 'new', log=list)
  assert json.loads((folder / 'config.json').read_text(encoding='utf-8'))


def test_a_tokenizer_neither_cuts_nor_fills_up(tmp_path):
  release.describe(tmp_path / 'model')
  said = []
  plain = releases._encode(tmp_path / 'model', said.append)
  assert not said
  tokenizer = release.tokenizer().from_str(release.tokenizer().to_str())
  tokenizer.enable_truncation(2)
  tokenizer.enable_padding(length=9)
  tokenizer.save(str(tmp_path / 'model' / 'tokenizer.json'))
  encode = releases._encode(tmp_path / 'model', said.append)
  assert encode('Paris is a city') == plain('Paris is a city')
  assert 'truncation and padding' in said[0]


@pytest.mark.nightly
def test_other_questions_are_not_gone_on_with(root, tmp_path):
  """Nor another tokenizer, nor a description that says another model."""
  path = tmp_path / 'own.jsonl'
  lines = ['{"prompt": "Paris is", "correct": " a", "wrong": [" the"]}']
  path.write_text('\n'.join(lines * 12), encoding='utf-8')
  given = {'release': {'sets': str(path)}, 'measures': {'choice': {}}}
  copy = tmp_path / 'suite'
  shutil.copytree(root / 'tiny-seed1', copy)

  def measure():
    return releases.measure(
      given, copy, tmp_path / 'out', steps='0:2', log=list
    )

  assert measure() == 3 and measure() == 0
  path.write_text('\n'.join(lines * 11), encoding='utf-8')
  with pytest.raises(
    UserError, match='the questions of the set own are others'
  ):
    measure()
  path.write_text('\n'.join(lines * 12), encoding='utf-8')
  assert measure() == 0
  for folder in copy.iterdir():
    tokenizer = folder / 'tokenizer.json'
    tokenizer.write_text(tokenizer.read_text() + '\n', encoding='utf-8')
  with pytest.raises(UserError, match='the tokenizer is another one'):
    measure()
