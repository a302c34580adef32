"""Saving and restoring populations; the only file that knows Orbax."""

import contextlib
import functools
import logging
import pathlib
import sys
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from emergence_jax.base.types import Population, UserError
from emergence_jax.machine import processes

FOLDER = 'checkpoints'


@jax.jit
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


def _ignore_closed_loops() -> None:
  """Leaves out what the storage layers print once a read of theirs failed.

  Their other reads come to an end when nobody waits for them any more, and
  each would print a traceback that says so and nothing else.
  """
  before = sys.unraisablehook
  if getattr(before, 'ignores_closed_loops', False):
    return

  def hook(unraisable):
    if str(unraisable.exc_value) != 'Event loop is closed':
      before(unraisable)

  # What tells the next call that it is there already.
  vars(hook)['ignores_closed_loops'] = True
  sys.unraisablehook = hook


class _Found(NamedTuple):
  """Result of reading a checkpoint.

  Attributes:
    population: or None.
    reason: why it cannot be used, as the end of a sentence about it.
    is_damaged: whether its contents differ from its fingerprint.
  """

  population: Population | None
  reason: str
  is_damaged: bool


def _everywhere(like: Population):
  """The sharding of a scalar on all devices of a population.

  Without one a scalar would be looked for on the devices that saved it.
  """
  sharding = getattr(jax.tree.leaves(like)[0], 'sharding', None)
  if isinstance(sharding, jax.sharding.NamedSharding):
    return jax.sharding.NamedSharding(
      sharding.mesh, jax.sharding.PartitionSpec()
    )
  return sharding


class Checkpoints:
  """The checkpoints of one run directory.

  A save runs in the background; the next call waits for it. Each checkpoint
  holds its fingerprint, and one whose contents do not match is not used.
  """

  def __init__(
    self,
    workdir: str | pathlib.Path,
    *,
    keep: int = 3,
    keep_period: int = 0,
    run: int = 0,
    read_only: bool = False,
  ):
    """Opens or creates the folder.

    Unless it is read only, half-written saves in it are cleaned away, so that
    no other process may be saving there.

    Args:
      workdir: run directory.
      keep: newest checkpoints to keep; 0 keeps all.
      keep_period: also keep every step that is a multiple of it; 0 for none.
      run: a uint32 that says which run the populations are of; those of
        another are refused.
      read_only: whether nothing is to be written, created or cleaned.
    """
    self._run = run
    # What Orbax logs as an error it also raises, and the user sees that.
    logging.getLogger('absl').setLevel(logging.CRITICAL)
    self._folder = pathlib.Path(workdir).absolute() / FOLDER
    self._manager = ocp.CheckpointManager(
      self._folder,
      options=ocp.CheckpointManagerOptions(
        max_to_keep=keep or None,
        keep_period=keep_period or None,
        cleanup_tmp_directories=not read_only,
        enable_async_checkpointing=not read_only,
        create=not read_only,
        read_only=read_only,
      ),
    )
    self._pending: int | None = None

  def steps(self) -> list[int]:
    """Steps that have a checkpoint, increasing."""
    return sorted(self._manager.all_steps())

  def save(
    self, population: Population, words: jax.Array | None = None
  ) -> None:
    """Starts saving a population, once the save before has been committed.

    Args:
      population: what is saved.
      words: its fingerprint; computed if it is not given, by a program that
        waits for those which the devices are busy with.
    """
    self.wait()
    step = population.now()
    item = {
      'population': population,
      'fingerprint': fingerprint(population) if words is None else words,
      'run': jax.device_put(np.uint32(self._run), _everywhere(population)),
    }
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

  def _read(self, step: int, like: Population) -> _Found:
    """A checkpoint, on the devices of `like`, or why it cannot be used."""
    _ignore_closed_loops()
    population = self._read_here(step, like)
    # What one process cannot use, none does.
    said = processes.exchange(population[1:], 'reading a checkpoint')
    for reason, is_damaged in said:
      if reason:
        return _Found(None, reason, is_damaged)
    return population

  def _read_here(self, step: int, like: Population) -> _Found:
    word = jax.ShapeDtypeStruct((), jnp.uint32, sharding=_everywhere(like))
    abstract = {'population': like, 'fingerprint': word, 'run': word}
    try:
      item = self._manager.restore(
        step, args=ocp.args.StandardRestore(abstract)
      )
      whole = np.array_equal(
        fingerprint(item['population']), item['fingerprint']
      )
    except Exception as error:  # whatever the storage layers raise
      lines = str(error).strip().splitlines() or ['']
      reason = f'{type(error).__name__}: {lines[0][:200]}'
      return _Found(None, f'could not be read ({reason})', False)
    if not whole:
      reason = 'is damaged (its contents do not match its fingerprint)'
      return _Found(None, reason, True)
    if (reached := item['population'].now()) != step:
      reason = f'holds the population of step {reached}, which is not its place'
      return _Found(None, reason, False)
    if int(item['run']) != self._run:
      return _Found(None, 'is of a run of another configuration', False)
    return _Found(item['population'], '', False)

  def restore(
    self,
    step: int,
    like: Population,
    log: Callable[[str], None] = lambda line: None,
  ) -> Population | None:
    """The checkpoint of a step; None if it is absent or cannot be used.

    Args:
      step: of the checkpoint.
      like: as for `restore_latest`.
      log: takes a line that says why it cannot be used.
    """
    if step not in self.steps():
      return None
    population = self._read(step, like)
    if population.population is None:
      log(f'checkpoint {step} {population.reason}.')
    return population.population

  def restore_latest(
    self, like: Population, log: Callable[[str], None]
  ) -> Population | None:
    """The newest whole checkpoint; newer, damaged ones are moved and logged.

    Only one whose contents differ from its fingerprint is deleted. One that
    could not be read may be good (the fault may lie in the machine, or in this
    program), and is moved to the folder `checkpoints-unread`.

    Args:
      like: a population of the shapes and shardings to restore, arrays or
        `jax.ShapeDtypeStruct`; any number of devices will do.
      log: takes a line about each checkpoint that could not be used.

    Returns:
      The population, or None if there is no checkpoint at all.

    Raises:
      UserError: if there are checkpoints and none is whole; all are kept.
    """
    steps = self.steps()
    bad: dict[int, _Found] = {}
    for step in reversed(steps):
      population = self._read(step, like)
      if population.population is not None:
        # Only now: if nothing can be read, the fault may lie elsewhere.
        self._clear(bad)
        return population.population
      log(f'checkpoint {step} {population.reason}; falling back.')
      bad[step] = population
    if steps:
      raise UserError(
        f'none of the checkpoints {steps} in {self._folder} could be used; '
        f'they are kept. The last {bad[steps[-1]].reason}. If that cannot be '
        'mended, start again in another --workdir.'
      )
    return None

  def _clear(self, bad: dict[int, _Found]) -> None:
    """Deletes damaged checkpoints, and moves unread ones aside."""
    for step, reason in bad.items():
      if reason.is_damaged:
        self._manager.delete(step)
      else:
        processes.agreed(functools.partial(self._put_aside, step))
    self._manager.reload()

  def _put_aside(self, step: int) -> None:
    aside = self._folder.with_name(f'{FOLDER}-unread')
    aside.mkdir(exist_ok=True)
    names = (f'{step}{i}' for i in ('', *(f'-{n}' for n in range(1, 1000))))
    target = next(n for n in names if not (aside / n).exists())
    (self._folder / str(step)).rename(aside / target)

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
    if processes.several():
      return  # the others may not come to finish a save together
    # What went wrong first is what the user must see.
    with contextlib.suppress(Exception):
      self.close()
