"""Saving and restoring: equal to the bit, and never from damaged files."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emergence_jax import checkpoints
from emergence_jax.types import Population, UserError


def population(step):
  key = jax.random.key(step)
  return Population(
    jnp.full(2, step, jnp.int32),
    jnp.arange(2, dtype=jnp.int32),
    {'w': jax.random.normal(key, (2, 300, 7)), 'b': jnp.ones((2, 3))},
    {'mu': jax.random.normal(key, (2, 300, 7))},
  )


LIKE = jax.eval_shape(lambda: population(0))
LIKE = jax.tree.map(
  lambda x: jax.ShapeDtypeStruct(
    x.shape, x.dtype,
    sharding=jax.sharding.SingleDeviceSharding(jax.devices()[0]),
  ),
  LIKE,
)  # fmt: skip


def save(workdir, steps, **options):
  manager = checkpoints.Checkpoints(workdir, **options)
  for step in steps:
    manager.save(population(step))
  manager.close()


def restore(workdir):
  lines = []
  manager = checkpoints.Checkpoints(workdir)
  found = manager.restore_latest(LIKE, lines.append)
  manager.close()
  return found, lines


def test_round_trip(tmp_path):
  save(tmp_path, [3, 5])
  found, lines = restore(tmp_path)
  chex.assert_trees_all_equal(found, population(5))
  assert not lines


def test_nothing_saved(tmp_path):
  assert restore(tmp_path) == (None, [])


@pytest.mark.parametrize(
  'options,kept',
  [
    (dict(keep=2), [4, 5]),
    (dict(keep=0), [1, 2, 3, 4, 5]),
    (dict(keep=1, keep_period=2), [2, 4, 5]),
  ],
)
def test_what_is_kept(tmp_path, options, kept):
  save(tmp_path, range(1, 6), **options)
  manager = checkpoints.Checkpoints(tmp_path)
  assert manager.steps() == kept
  manager.close()


def damage(folder, how, which):
  """Damages one file that holds array data; returns whether it did."""
  files = sorted(
    (p for p in folder.rglob('*') if p.is_file()),
    key=lambda p: p.stat().st_size,
  )
  path = files[-which]
  data = bytearray(path.read_bytes())
  if how == 'flip':
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)
  elif how == 'truncate':
    path.write_bytes(data[: len(data) // 2])
  else:
    path.unlink()


@pytest.mark.parametrize('how', ['flip', 'truncate', 'remove'])
@pytest.mark.parametrize('which', [1, 2])
def test_falls_back_from_a_damaged_checkpoint(tmp_path, how, which):
  save(tmp_path, [3, 5])
  damage(tmp_path / checkpoints.FOLDER / '5', how, which)
  found, lines = restore(tmp_path)
  if lines:
    assert 'checkpoint 5 is damaged' in lines[0]
    chex.assert_trees_all_equal(found, population(3))
  else:  # the file did not matter
    chex.assert_trees_all_equal(found, population(5))
  assert lines or which > 1, 'the largest file holds the arrays'


def test_half_written_checkpoints_are_not_seen(tmp_path):
  save(tmp_path, [3])
  folder = tmp_path / checkpoints.FOLDER / '5.orbax-checkpoint-tmp'
  folder.mkdir()
  (folder / 'junk').write_text('junk')
  found, _ = restore(tmp_path)
  assert found.step[0] == 3


def test_no_whole_checkpoint_left(tmp_path):
  save(tmp_path, [3])
  damage(tmp_path / checkpoints.FOLDER / '3', 'truncate', 1)
  with pytest.raises(UserError, match='none of the checkpoints'):
    restore(tmp_path)
  assert (tmp_path / checkpoints.FOLDER / '3').is_dir(), 'kept for a look'


def test_fingerprint_sees_any_word():
  base = population(1)
  rng = np.random.default_rng(0)
  expected = int(checkpoints.fingerprint(base))
  for _ in range(20):
    w = np.array(base.params['w'])
    w.view(np.uint32).reshape(-1)[rng.integers(w.size)] ^= np.uint32(
      1 << rng.integers(32)
    )
    changed = base._replace(params=base.params | {'w': jnp.asarray(w)})
    assert int(checkpoints.fingerprint(changed)) != expected
