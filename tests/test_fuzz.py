"""Made to mislead: whatever a file or a key holds, it ends in a message.

A few hundred cases daily, 5,000 nightly (`-m nightly`). No case may end in
another error, hang for 20 s, or give other numbers without a word.
"""

import json
import random
import shutil
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emergence_jax.base.types import UserError
from emergence_jax.config import schema
from emergence_jax.models import released
from emergence_jax.running import releases, rundir
from emergence_jax.store import layout, timeseries
from tests import release, small
from tests.test_outputs import made_up

pytestmark = pytest.mark.filterwarnings('ignore')
# Daily, and nightly.
TIERS = [20, pytest.param(1250, marks=pytest.mark.nightly)]


def many(count):
  """Runs a test of one case so many times."""
  return settings(
    max_examples=count, deadline=20_000, database=None,
    suppress_health_check=list(HealthCheck),
  )  # fmt: skip


SCALARS = st.one_of(
  st.none(), st.booleans(), st.integers(), st.integers(-3, 300), st.floats(),
  st.text(max_size=8),
  st.sampled_from(['0', '1e9', 'rank', '../x', '\0', '1:0']),
)  # fmt: skip
VALUES = st.recursive(
  SCALARS,
  lambda inner: (
    st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=5), inner, max_size=3)
  ),
  max_leaves=6,
)


def keys_of(raw, prefix=()):
  for name, value in raw.items():
    yield (*prefix, name)
    if isinstance(value, dict):
      yield from keys_of(value, (*prefix, name))


CONFIG = schema.plain(small.modadd_config())
KEYS = sorted(keys_of(schema.from_mapping(CONFIG).raw))


@pytest.mark.parametrize('count', TIERS)
def test_any_value_of_any_key(count):
  @many(count)
  @given(st.sampled_from(KEYS), VALUES)
  def case(key, value):
    raw = json.loads(json.dumps(CONFIG))
    group = raw
    for name in key[:-1]:
      group = group.setdefault(name, {})
      if not isinstance(group, dict):
        return
    group[key[-1]] = value
    try:
      schema.from_mapping(raw)
    except UserError as error:
      assert str(error)

  case()


def _flip(path, rng, other):
  data = bytearray(path.read_bytes())
  if data:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
  path.write_bytes(data)


def _cut(path, rng, other):
  data = path.read_bytes()
  path.write_bytes(data[: rng.randrange(len(data) + 1)])


def _append(path, rng, other):
  path.write_bytes(path.read_bytes() + rng.randbytes(rng.randrange(1, 9)))


def _swap(path, rng, other):
  one, two = path.read_bytes(), other.read_bytes()
  path.write_bytes(two)
  other.write_bytes(one)


def _copy(path, rng, other):
  path.write_bytes(other.read_bytes())


def _remove(path, rng, other):
  path.unlink()


def _folder(path, rng, other):
  path.unlink()
  path.mkdir()


def _link(path, rng, other):
  path.unlink()
  path.symlink_to(rng.choice([other, path.parent, '/dev/null', 'nowhere']))


DAMAGES = (_flip, _cut, _append, _swap, _copy, _remove, _folder, _link)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  folder = tmp_path_factory.mktemp('whole')
  workdir = made_up(folder / 'run')
  return workdir, timeseries.load(workdir).load()


@pytest.mark.parametrize('count', TIERS)
def test_any_damage_to_any_file(whole, tmp_path, count):
  """What is read with a good status is what was written."""
  workdir, data = whole

  @many(count)
  @given(st.sampled_from(DAMAGES), st.integers(0, 2**32))
  def case(damage, seed):
    rng = random.Random(seed)
    copy = tmp_path / 'run'
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(workdir, copy)
    files = sorted(p for p in (copy / layout.NAME).rglob('*') if p.is_file())
    path, other = rng.sample(files, 2)
    damage(path, rng, other)
    said = []
    try:
      found = timeseries.load(copy, said.append).load()
    except UserError as error:
      assert str(copy) in str(error)
      return
    if 'accuracy' in found:
      found['accuracy'] = found.accuracy.where(found.status == 0)
    for name in {'accuracy', 'train_loss'} & set(found):
      values = found[name].values
      at = {d: found[d] for d in found[name].dims if d in found.coords}
      wanted = data[name].sel(at).values
      known = np.isfinite(values)
      np.testing.assert_array_equal(values[known], wanted[known])
    if not said:
      # A last row without a status is as a kill leaves it: not written yet.
      last = layout.chunk_file('status', 2, data.sizes['step'] - 1)
      lost = damage is _remove and str(path).endswith(last)
      rows_left = data.sizes['step'] - lost
      assert found.sizes['step'] == rows_left and set(found) == set(data)
      np.testing.assert_array_equal(found.status, data.status[:, :rows_left])
      np.testing.assert_array_equal(found.chance, data.chance)

  case()


JSONS = st.one_of(
  VALUES.map(lambda v: json.dumps(v).encode()),
  st.binary(max_size=40),
  st.integers(10, 100_000).map(lambda n: b'[' * n + b']' * n),
  st.integers(10, 100_000).map(lambda n: b'{"a":' * n),
)


@pytest.mark.parametrize('count', TIERS)
def test_any_configuration_of_a_run_and_of_a_release(tmp_path, count):
  workdir = made_up(tmp_path / 'run')
  folder = tmp_path / 'release'
  release.describe(folder)
  good = (folder / 'config.json').read_bytes()

  @many(count // 3 or 1)
  @given(JSONS)
  def of_a_run(content):
    (workdir / 'config.json').write_bytes(content)
    try:
      rundir.read_config(workdir, lambda line: None)
    except UserError as error:
      assert str(error)

  @many(count // 3 or 1)
  @given(JSONS, st.sampled_from(sorted(json.loads(good))), VALUES)
  def of_a_release(content, key, value):
    raw = json.loads(good) | {key: value}
    for text in (content, json.dumps(raw).encode()):
      (folder / 'config.json').write_bytes(text)
      try:
        released.read_model(folder)
      except UserError as error:
        assert str(error)

  @many(count // 3 or 1)
  @given(JSONS, st.integers(0, 2**32))
  def of_a_tokenizer(content, seed):
    path = folder / 'tokenizer.json'
    if seed % 2:
      path.write_bytes(content)
    else:
      _flip(path, random.Random(seed), path)
    try:
      releases._encode(folder)('Paris')
    except UserError as error:
      assert str(error)
    release.tokenizer().save(str(path))

  of_a_run()
  of_a_release()
  of_a_tokenizer()


SIZES = st.sampled_from([0, 1, 7, 8, 2**31, 2**40, 2**63 - 1, 10 * 2**30])
SPANS = st.tuples(SIZES | st.integers(-9, 99), SIZES | st.integers(-9, 99)).map(
  list
)
TENSORS = st.fixed_dictionaries({
  'dtype': st.sampled_from(['F32', 'BF16', 'I8', 'X', 3]),
  'shape': st.lists(SIZES | st.integers(-2, 9), max_size=3),
  'data_offsets': SPANS,
})  # fmt: skip


@pytest.mark.parametrize('count', TIERS)
def test_any_header_and_index_of_weights(tmp_path, count):
  """Lengths that lie, spans that overlap, names that lead elsewhere."""
  folder = tmp_path / 'release'
  release.describe(folder)
  outside = tmp_path / 'outside.safetensors'
  outside.write_bytes(b'secret')
  weights = folder / 'model.safetensors'
  index = folder / 'model.safetensors.index.json'

  @many(count // 2 or 1)
  @given(
    st.dictionaries(st.text(max_size=6), TENSORS, max_size=3),
    st.none() | SIZES,
    st.binary(max_size=64),
  )
  def of_a_file(header, length, body):
    text = json.dumps(header).encode()
    length = len(text) if length is None else length
    weights.write_bytes(struct.pack('<Q', length) + text + body)
    with pytest.raises(UserError):
      released.load_checkpoint(folder)

  @many(count // 2 or 1)
  @given(
    JSONS | st.dictionaries(
      st.text(max_size=4),
      VALUES | st.sampled_from(['../outside.safetensors', str(outside), '.']),
      max_size=3,
    ).map(lambda names: json.dumps({'weight_map': names}).encode())
  )  # fmt: skip
  def of_an_index(content):
    index.write_bytes(content)
    with pytest.raises(UserError) as error:
      released.load_checkpoint(folder)
    assert 'secret' not in str(error.value)
    index.unlink()

  of_a_file()
  of_an_index()
