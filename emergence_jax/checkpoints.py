"""Saving and restoring populations; the only file that knows Orbax."""

import contextlib
import logging
import pathlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from emergence_jax.types import Population, UserError

FOLDER = 'checkpoints'


def fingerprint(population: Population) -> jax.Array:
  """A uint32 that changes with any single word of a population.

  The words of all leaves, weighted by odd numbers, are summed modulo 2³²; it
  costs one pass on the device, also where the population is sharded.
  """
  total = jnp.uint32(0)
  for i, leaf in enumerate(jax.tree.leaves(population)):
    words = jax.lax.bitcast_convert_type(leaf, jnp.uint32).reshape(-1)
    place = jnp.arange(words.size, dtype=jnp.uint32)
    total += (2 * i + 1) * jnp.sum(words * (2 * place + 1), dtype=jnp.uint32)
  return total


_fingerprint = jax.jit(fingerprint)


class Checkpoints:
  """The checkpoints of one run directory.

  A save runs in the background; the next call waits for it. Each checkpoint
  holds its fingerprint, and one whose contents do not match is not used.
  """

  def __init__(
    self, workdir: str | pathlib.Path, *, keep: int = 3, keep_period: int = 0
  ):
    """Opens or creates the folder.

    Args:
      workdir: run directory.
      keep: newest checkpoints to keep; 0 keeps all.
      keep_period: also keep every step that is a multiple of it; 0 for none.
    """
    # What Orbax logs as an error it also raises, and the user sees that.
    logging.getLogger('absl').setLevel(logging.CRITICAL)
    self._folder = pathlib.Path(workdir).absolute() / FOLDER
    self._manager = ocp.CheckpointManager(
      self._folder,
      options=ocp.CheckpointManagerOptions(
        max_to_keep=keep or None,
        keep_period=keep_period or None,
        cleanup_tmp_directories=True,
        enable_async_checkpointing=True,
      ),
    )
    self._pending: int | None = None

  def steps(self) -> list[int]:
    """Steps that have a checkpoint, increasing."""
    return sorted(self._manager.all_steps())

  def save(self, population: Population) -> None:
    """Starts saving a population, once the save before has been committed."""
    self.wait()
    step = int(population.step[0])
    item = {'population': population, 'fingerprint': _fingerprint(population)}
    saved = self._manager.save(step, args=ocp.args.StandardSave(item))
    if not saved:
      raise RuntimeError(f'Orbax declined to save step {step}.')
    self._pending = step

  def wait(self) -> None:
    """Waits for the save under way, and asserts that it is there."""
    if self._pending is None:
      return
    step, self._pending = self._pending, None
    self._manager.wait_until_finished()
    if step not in self._manager.all_steps():
      raise RuntimeError(f'the checkpoint of step {step} is not on the disk.')

  def _read(self, step: int, like: Population):
    """A checkpoint, or None, and why it cannot be used."""
    abstract = {
      'population': like,
      'fingerprint': jax.ShapeDtypeStruct((), jnp.uint32),
    }
    try:
      item = self._manager.restore(
        step, args=ocp.args.StandardRestore(abstract)
      )
      whole = np.array_equal(
        _fingerprint(item['population']), item['fingerprint']
      )
    except Exception as error:  # whatever the storage layers raise
      return None, f'{type(error).__name__} on reading it'
    if not whole:
      return None, 'its contents do not match its fingerprint'
    return item['population'], ''

  def restore(self, step: int, like: Population) -> Population | None:
    """The checkpoint of a step; None if it is absent or damaged."""
    if step not in self.steps():
      return None
    return self._read(step, like)[0]

  def restore_latest(
    self, like: Population, say: Callable[[str], None]
  ) -> Population | None:
    """The newest whole checkpoint; damaged ones are removed, and said.

    Args:
      like: a population of the shapes and shardings to restore, arrays or
        `jax.ShapeDtypeStruct`.
      say: takes a line about each checkpoint that could not be used.

    Returns:
      The population, or None if there is no checkpoint at all.

    Raises:
      UserError: if there are checkpoints and none is whole; all are kept.
    """
    steps = self.steps()
    damaged = []
    for step in reversed(steps):
      population, reason = self._read(step, like)
      if population is not None:
        # Only now: if nothing can be read, the fault may lie elsewhere.
        for bad in damaged:
          self._manager.delete(bad)
        return population
      say(f'checkpoint {step} is damaged ({reason}); falling back.')
      damaged.append(step)
    if steps:
      raise UserError(
        f'none of the checkpoints {steps} in {self._folder} could be read; '
        'start again in another --workdir.'
      )
    return None

  def close(self) -> None:
    """Waits for the save under way and frees the manager's threads."""
    try:
      self.wait()
    finally:
      self._manager.close()

  def __enter__(self):
    return self

  def __exit__(self, kind, error, traceback):
    if error is None:
      self.close()
      return
    # What went wrong first is what the user must see.
    with contextlib.suppress(Exception):
      self.close()
