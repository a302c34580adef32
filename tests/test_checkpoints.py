"""Saving and restoring: equal to the bit, and never from damaged files."""

import shutil
import subprocess
import sys

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emergence_jax.base.types import Population, UserError
from emergence_jax.store import checkpoints


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
    what = 'is damaged' if 'fingerprint' in lines[0] else 'could not be read'
    assert f'checkpoint 5 {what}' in lines[0]
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


def test_what_cannot_be_read_is_moved_and_not_deleted(tmp_path, monkeypatch):
  """The fault may lie in the machine: a good checkpoint was deleted once."""
  save(tmp_path, [3, 5])
  manager = checkpoints.Checkpoints(tmp_path)
  restore_ = manager._manager.restore

  def fails(step, **options):
    if step == 5:
      raise OSError('the disk is away\nfor now')
    return restore_(step, **options)

  monkeypatch.setattr(manager._manager, 'restore', fails)
  lines = []
  found = manager.restore_latest(LIKE, lines.append)
  assert found.step[0] == 3 and manager.steps() == [3]
  assert lines == [
    'checkpoint 5 could not be read (OSError: the disk is away); falling back.'
  ]
  monkeypatch.undo()
  manager.save(population(5))
  manager.close()
  assert restore(tmp_path)[0].step[0] == 5
  aside = tmp_path / 'checkpoints-unread' / '5'
  assert aside.is_dir() and any(aside.iterdir())


# Saves or restores a population of four seeds over so many devices.
SCRIPT = """
import sys
import jax
workdir, devices, step = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
jax.config.update('jax_num_cpu_devices', devices)
import jax.numpy as jnp
from emergence_jax.machine import mesh
from emergence_jax.store import checkpoints
from emergence_jax.base.types import Population
spread = mesh.sharded(mesh.seed_mesh(4, devices), 4)
population = Population(
  jnp.full(4, step, jnp.int32), jnp.arange(4, dtype=jnp.int32),
  {'w': jnp.arange(40.0).reshape(4, 10) + step}, {'m': jnp.ones((4, 3))})
like = jax.tree.map(
  lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=spread), population)
lines = []
with checkpoints.Checkpoints(workdir, keep=0) as manager:
  if step > 1:
    found = manager.restore_latest(like, lines.append)
    assert not lines, lines
    assert int(found.step[0]) == step - 1
    assert len(found.params['w'].sharding.device_set) == devices
    assert jnp.array_equal(found.params['w'], population.params['w'] - 1)
  manager.save(jax.device_put(population, spread))
"""


@pytest.mark.nightly
def test_restored_on_any_number_of_devices(tmp_path):
  """Saved and gone on with in processes of 2, 1, 4 and 2 devices."""
  for step, devices in enumerate((2, 1, 4, 2), 1):
    done = subprocess.run(
      [sys.executable, '-c', SCRIPT, str(tmp_path), str(devices), str(step)],
      capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_population_in_another_s_place_is_not_used(tmp_path):
  """One copied over another: whole, and of another step."""
  save(tmp_path, [5, 6])
  folder = tmp_path / checkpoints.FOLDER
  shutil.rmtree(folder / '6')
  shutil.copytree(folder / '5', folder / '6')
  lines = []
  with checkpoints.Checkpoints(tmp_path, read_only=True) as found:
    assert found.restore(6, LIKE, lines.append) is None
    assert found.restore(5, LIKE, lines.append) is not None
  assert 'holds the population of step 5' in lines[0]
