"""Our populations as releases of GPT-2, and folders that are another run's."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import emergence_jax as ej
from emergence_jax.base.types import UserError
from emergence_jax.config import schema
from emergence_jax.models import gpt, released
from emergence_jax.running import exporting, loop
from emergence_jax.running.sources import folders
from emergence_jax.store import export, ownership, packing
from tests import small
from tests.test_outputs import made_up

TOKENS = np.random.default_rng(0).integers(6, size=(4, 3)).astype(np.int32)


@pytest.fixture(scope='module')
def workdirs(tmp_path_factory):
  """Two runs."""
  root = tmp_path_factory.mktemp('runs')
  for place, name in enumerate(('one', 'other')):
    raw = small.modadd_config(steps=4 + 2 * place)
    raw.checkpoints.keep = 0
    loop.run(schema.from_mapping(raw), root / name, lambda line: None)
  return root / 'one', root / 'other'


@pytest.mark.nightly
def test_a_release_has_our_logits(workdirs, tmp_path):
  workdir, _ = workdirs
  written = list(exporting.to_safetensors(workdir, tmp_path))
  suite = folders.find(tmp_path)
  assert {s: list(v) for s, v in suite.revisions.items()} == {
    0: [0, 2, 4], 1: [0, 2, 4],
  } and len(written) == 6  # fmt: skip
  for seed, step in ((0, 4), (1, 2)):
    model, params = ej.load_params(workdir, step=step, seed=seed)
    wanted = model.apply(params, TOKENS)
    other, loaded = released.load_checkpoint(
      tmp_path / f'seed{seed}/step{step}'
    )
    found = other.apply(loaded, jnp.asarray(TOKENS))
    np.testing.assert_allclose(found.logits, wanted.logits, atol=1e-5)
    np.testing.assert_allclose(
      jnp.stack(found.hidden), jnp.stack(wanted.hidden), atol=1e-5
    )
  # The same once more, and some of them.
  assert len(list(exporting.to_safetensors(workdir, tmp_path, '2:4'))) == 4


@pytest.mark.nightly
@pytest.mark.parametrize(
  'changes',
  [
    {},
    {'tied': False},
    {'biases': True, 'attention_biases': True, 'norm_bias': True},
    {'activation': 'relu'},
  ],
)
def test_any_of_our_shapes(tmp_path, changes):
  save(tmp_path, changes)


def save(folder: pathlib.Path, changes):
  """Writes a model of random weights; checks that it is read as ours."""
  import safetensors.numpy

  from emergence_jax.store import files

  shape = gpt.GPTConfig(2, 16, 2, 32, num_positions=8, **changes)
  model = gpt.model(shape, 11)
  params = jax.tree.map(
    lambda x: x + jax.random.normal(jax.random.key(x.size), x.shape) / 4,
    model.init(jax.random.key(0)),
  )
  described = exporting.describe(shape, 11)
  files.write_json(folder / 'config.json', described, checked=False)
  safetensors.numpy.save_file(
    exporting.tensors(shape, params), folder / 'model.safetensors'
  )
  tokens = jax.random.randint(jax.random.key(1), (2, 7), 0, 11)
  other, loaded = released.load_checkpoint(folder)
  wanted = model.apply(params, tokens).logits
  np.testing.assert_allclose(
    other.apply(loaded, tokens).logits, wanted, atol=1e-5
  )
  return tokens, np.asarray(wanted)


def test_what_gpt2_cannot_say():
  with pytest.raises(UserError, match='config.model.norm=False'):
    exporting.describe(gpt.GPTConfig(1, 8, 2, 16, norm=False), 7)


WRITERS = {
  'csv': export.to_csv,
  'tensorboard': export.to_tensorboard,
  'packed': packing.pack,
}


@pytest.fixture(scope='module')
def stores(tmp_path_factory):
  """Timeseries of two runs that nobody trained."""
  root = tmp_path_factory.mktemp('stores')
  return made_up(root / 'one'), made_up(root / 'other', seeds=(1, 2))


@pytest.mark.parametrize('name', WRITERS)
def test_a_folder_of_another_run_is_refused(stores, tmp_path, name):
  _refused(*stores, WRITERS[name], tmp_path)


@pytest.mark.nightly
def test_a_folder_of_another_run_s_weights_is_refused(workdirs, tmp_path):
  def write(workdir, folder):
    return list(exporting.to_safetensors(workdir, folder))

  _refused(*workdirs, write, tmp_path)


def _refused(one, other, write, tmp_path):
  write(one, tmp_path)
  before = {p: p.read_bytes() for p in tmp_path.rglob('*') if p.is_file()}
  with pytest.raises(UserError, match='of another run'):
    write(other, tmp_path)
  # Also where nothing says whose it is.
  (tmp_path / ownership.NAME).rename(tmp_path / 'aside')
  with pytest.raises(UserError, match='is there already'):
    write(other, tmp_path)
  (tmp_path / 'aside').rename(tmp_path / ownership.NAME)
  after = {p: p.read_bytes() for p in tmp_path.rglob('*') if p.is_file()}
  assert after == before


def test_a_second_export_does_not_double_the_points(stores, tmp_path):
  one, _ = stores
  for _ in range(2):
    (folder, *_) = export.to_tensorboard(one, tmp_path)
  assert len(list(folder.iterdir())) == 1
