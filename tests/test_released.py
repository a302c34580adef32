"""Released checkpoints: parity with transformers, and bad folders."""

import json
import pathlib
import shutil

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from emergence_jax.base.types import UserError
from emergence_jax.models import gpt_neox, objective, released
from emergence_jax.tasks.algorithmic import AlgorithmicTask
from tests import tiers

PARITY = pathlib.Path(__file__).parent / 'data' / 'parity'
NAMES = sorted(p.name for p in PARITY.iterdir() if p.is_dir())
# With them every part of the decoder is looked at daily.
DAILY = [
  NAMES.index(name) for name in ('gpt2', 'hf_olmo', 'neox', 'olmo3', 'qwen3')
]


@pytest.mark.parametrize('name', tiers.some(NAMES, *DAILY))
@pytest.mark.parametrize('dtype', tiers.some(['float32', 'bfloat16']))
def test_the_numbers_are_those_of_transformers(name, dtype):
  """To 1e-5; in bfloat16 no further from float32 than twice theirs are."""
  expected = np.load(PARITY / name / 'expected.npz')
  model, params = released.load_checkpoint(PARITY / name, dtype=dtype)
  assert {x.dtype for x in jax.tree.leaves(params)} == {jnp.dtype(dtype)}
  with jax.default_matmul_precision('highest'):
    out = model.apply(params, jnp.asarray(expected['tokens']))
  for found, key in (
    (out.logits, 'logits'), (out.final, 'final'),
    (jnp.stack(out.hidden), 'hidden'),
  ):  # fmt: skip
    wanted = expected[f'{key}_float32']
    assert found.shape == wanted.shape
    theirs = np.abs(expected[f'{key}_bfloat16'] - wanted).max()
    tolerance = 2 * theirs
    if dtype == 'float32':
      tolerance = 1e-5 * np.abs(wanted).max()
    error = np.abs(np.asarray(found, np.float32) - wanted).max()
    assert error < tolerance, key


@pytest.mark.nightly
def test_the_fixtures_tell_the_kinds_of_gelu_apart(monkeypatch):
  expected = np.load(PARITY / 'neox' / 'expected.npz')
  model, params = released.load_checkpoint(PARITY / 'neox')
  other = model.module.clone(
    config=type(model.config)(
      **{**vars(model.config), 'activation': 'gelu_new'}
    )
  )
  out = other.apply({'params': params}, jnp.asarray(expected['tokens']))
  error = np.abs(out.logits - expected['logits_float32']).max()
  assert error > 20 * 1e-5 * np.abs(expected['logits_float32']).max()


@pytest.mark.nightly
@pytest.mark.parametrize('name', tiers.some(NAMES, 1))
def test_fewer_queries_and_causality(name):
  model, params = released.load_checkpoint(PARITY / name)
  tokens = jax.random.randint(jax.random.key(0), (2, 9), 0, 80)
  full = model.apply(params, tokens)
  last = model.apply(params, tokens, 2)
  np.testing.assert_allclose(last.logits, full.logits[:, -2:], atol=2e-5)
  changed = model.apply(params, tokens.at[:, -1].set(0))
  np.testing.assert_allclose(
    changed.logits[:, :-1], full.logits[:, :-1], atol=2e-5
  )


@pytest.mark.nightly
def test_init_has_the_shapes_of_what_is_loaded():
  for name in NAMES:
    model, params = released.load_checkpoint(PARITY / name)
    made = model.init(jax.random.key(0))
    assert jax.tree.map(jnp.shape, made) == jax.tree.map(jnp.shape, params)
    parts = model.ordered(params)
    names = [key for part in parts for key in part]
    assert names[0] == 'embed' and sorted(names) == sorted(params)


@pytest.fixture
def folder(tmp_path):
  shutil.copytree(PARITY / 'neox', tmp_path / 'model')
  return tmp_path / 'model'


def edit(folder, change):
  path = folder / 'model.safetensors'
  tensors = dict(safetensors.numpy.load_file(path))
  change(tensors)
  safetensors.numpy.save_file(tensors, path)


def test_all_that_is_wrong_is_one_error(folder):
  def change(tensors):
    del tensors['embed_out.weight']
    tensors['surplus'] = np.zeros(3, np.float32)
    tensors['gpt_neox.final_layer_norm.bias'] = np.zeros(5, np.float32)

  edit(folder, change)
  with pytest.raises(UserError) as caught:
    released.load_checkpoint(folder)
  for words in (
    'embed_out.weight is missing', 'surplus is left over', '(5,)', '(32,)',
  ):  # fmt: skip
    assert words in str(caught.value)


def test_old_buffers_are_ignored_and_nan_is_not(folder):
  at = 'gpt_neox.layers.0.attention'

  def add(tensors):
    tensors[f'{at}.bias'] = np.ones((1, 1, 4, 4), np.float32)
    tensors[f'{at}.masked_bias'] = np.float32([1.0])
    tensors[f'{at}.rotary_emb.inv_freq'] = np.ones(2, np.float32)

  edit(folder, add)
  released.load_checkpoint(folder)

  def spoil(tensors):
    tensors['gpt_neox.embed_in.weight'][3, 4] = np.nan

  edit(folder, spoil)
  with pytest.raises(UserError, match='no numbers in .*embed'):
    released.load_checkpoint(folder)


def test_shards_by_their_index(folder):
  path = folder / 'model.safetensors'
  tensors = dict(safetensors.numpy.load_file(path))
  names = sorted(tensors)
  parts = {
    'model-1.safetensors': names[::2],
    'model-2.safetensors': names[1::2],
  }
  for file, some in parts.items():
    safetensors.numpy.save_file({n: tensors[n] for n in some}, folder / file)
  path.unlink()
  weight_map = {n: file for file, some in parts.items() for n in some}
  (folder / 'model.safetensors.index.json').write_text(
    json.dumps({'weight_map': weight_map}), encoding='utf-8'
  )
  found = released.load_checkpoint(folder)[1]
  wanted = released.load_checkpoint(PARITY / 'neox')[1]
  jax.tree.map(np.testing.assert_array_equal, found, wanted)
  assert len(released.fingerprints(folder)) == 2
  (folder / 'model-2.safetensors').unlink()
  with pytest.raises(UserError, match=r'lacks model-2\.safetensors'):
    released.load_checkpoint(folder)


def test_an_index_names_files_beside_it(folder, tmp_path):
  index = folder / 'model.safetensors.index.json'
  outside = tmp_path / 'outside.safetensors'
  shutil.copy(folder / 'model.safetensors', outside)

  def of(name):
    weight_map = {'gpt_neox.embed_in.weight': name}
    index.write_text(json.dumps({'weight_map': weight_map}), encoding='utf-8')
    with pytest.raises(UserError) as caught:
      released.fingerprints(folder)
    return str(caught.value)

  for name in ('../outside.safetensors', str(outside), '.', '..', 'a/b'):
    assert 'beside it should be' in of(name)
  (folder / 'link.safetensors').symlink_to(outside)
  assert 'links to a file outside' in of('link.safetensors')


def test_the_blobs_of_a_cache_are_inside(folder, tmp_path):
  snapshot = tmp_path / 'repo' / 'snapshots' / 'abc'
  blobs = tmp_path / 'repo' / 'blobs'
  for place in (snapshot, blobs):
    place.mkdir(parents=True)
  shutil.copy(folder / 'config.json', snapshot)
  (folder / 'model.safetensors').rename(blobs / 'f00')
  (snapshot / 'one.safetensors').symlink_to(blobs / 'f00')
  index = {'weight_map': {'any': 'one.safetensors'}}
  (snapshot / 'model.safetensors.index.json').write_text(json.dumps(index))
  released.load_checkpoint(snapshot)


def test_a_pointer_is_no_weights(folder):
  (folder / 'model.safetensors').write_text(
    'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n'
  )
  with pytest.raises(UserError, match='is a pointer of git-lfs'):
    released.load_checkpoint(folder)


def test_a_tied_model_s_head_is_its_embedding(folder):
  """Where the file repeats it, it is read; another one is refused."""
  path = folder / 'config.json'
  raw = json.loads(path.read_text(encoding='utf-8'))
  path.write_text(json.dumps(raw | {'tie_word_embeddings': True}))

  def tie(tensors):
    tensors['embed_out.weight'] = tensors['gpt_neox.embed_in.weight']

  with pytest.raises(UserError, match='embed_out.weight is another one'):
    released.load_checkpoint(folder)
  edit(folder, tie)
  assert 'unembed' not in released.load_checkpoint(folder)[1]


@pytest.mark.parametrize('how', ['truncate', 'empty', 'garbage'])
def test_a_damaged_file_is_named(folder, how):
  path = folder / 'model.safetensors'
  data = path.read_bytes()
  path.write_bytes(
    {'truncate': data[: len(data) // 2], 'empty': b'', 'garbage': b'x' * 999}[
      how
    ]
  )
  with pytest.raises(UserError, match='model.safetensors is damaged'):
    released.load_checkpoint(folder)


@pytest.mark.parametrize(
  'change,words',
  [
    (dict(model_type='bloom'), "model_type='bloom' is not read; known: gpt2"),
    (dict(model_type='llama'), 'is not understood'),
    (dict(model_type=None), 'not read'),
    (dict(hidden_size=None), 'hidden_size=None must be a whole number'),
    (dict(hidden_size=48), 'asks for'),
    (dict(num_hidden_layers=3), 'layers.2.attention.dense.bias is missing'),
    (dict(num_hidden_layers=1), 'is left over'),
    (dict(hidden_act='mish'), "hidden_act='mish' must be one of gelu,"),
    (dict(tie_word_embeddings=True), 'embed_out.weight is another one'),
    (dict(use_parallel_residual=None), 'must be true or false'),
    (dict(rope_scaling={'type': 'linear'}), 'stands beside rope_parameters'),
    (dict(rope_theta=5000), 'contradicts rope_theta=5000'),
    (dict(sliding_window=4), 'might change what the model computes'),
  ],
)
def test_a_configuration_that_contradicts_the_tensors(folder, change, words):
  path = folder / 'config.json'
  raw = json.loads(path.read_text(encoding='utf-8'))
  path.write_text(json.dumps(raw | change), encoding='utf-8')
  with pytest.raises(UserError) as caught:
    released.load_checkpoint(folder)
  assert words in str(caught.value)


def test_folders_that_hold_no_model(tmp_path):
  with pytest.raises(UserError, match='holds no config.json'):
    released.load_checkpoint(tmp_path)
  (tmp_path / 'config.json').write_text('{', encoding='utf-8')
  with pytest.raises(UserError, match='is damaged'):
    released.load_checkpoint(tmp_path)
  shutil.copy(PARITY / 'neox' / 'config.json', tmp_path)
  with pytest.raises(UserError, match='holds no weights'):
    released.load_checkpoint(tmp_path)


@pytest.mark.parametrize('tied', tiers.some([False, True]))
@pytest.mark.nightly
def test_losses_by_slices_of_the_logits_are_the_same(tied, monkeypatch):
  """Value, gradient, Hessian-vector product and rightness; small memory."""
  task = AlgorithmicTask()
  shape = gpt_neox.NeoXConfig(
    num_layers=1, d_model=16, num_heads=2, d_ff=32, num_positions=64, tied=tied
  )
  model = shape.build(task.vocab_size)
  one = objective.Objective(model, task)
  params = model.init(jax.random.key(0))
  batch = task.draw(0, jax.random.key(1), 20)

  def look(params):
    value, slope = jax.value_and_grad(one.loss)(params, batch)
    product = jax.jvp(
      jax.grad(lambda p: one.loss(p, batch)), (params,), (params,)
    )[1]
    return value, slope, product, one.answers(params, batch)

  whole = jax.jit(look)(params)
  # Of 780 rows of 41 logits, 60 at once.
  monkeypatch.setattr(objective, 'LOGITS_BYTES', 60 * 41 * 4)
  sliced = jax.jit(lambda p: look(p)).lower(params).compile()
  chex.assert_trees_all_close(sliced(params), whole, rtol=1e-5, atol=1e-6)
  # The whole of the logits is nowhere.
  text = jax.jit(lambda p: one.loss(p, batch)).lower(params).compile().as_text()
  assert '[780,41]' not in text and '[20,39,41]' not in text
