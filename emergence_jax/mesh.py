"""Devices, and mapping one-seed functions over the seed axis."""

import os
from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from emergence_jax.types import PyTree, UserError

SEED_AXIS = 'seed'


def largest_divisor(count: int, limit: int) -> int:
  """The largest divisor of `count` that is at most `limit`."""
  return max(d for d in range(1, min(count, limit) + 1) if count % d == 0)


def available_cores() -> int:
  """Cores that this process may use."""
  if hasattr(os, 'sched_getaffinity'):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def start(count: int, devices: int | None = None) -> None:
  """Gives the CPU backend one virtual device per core, before it starts.

  Does nothing to accelerators, or once JAX has started its backends.

  Args:
    count: number of seeds.
    devices: devices wanted; if None, the most that divide `count`.
  """
  if jax.distributed.is_initialized():
    # Of how many processes is not known before the backend is up.
    cores = available_cores()
  else:
    cores = devices or largest_divisor(count, available_cores())
  try:
    jax.config.update('jax_num_cpu_devices', cores)
  except RuntimeError:
    pass  # the backend is up already (in tests, or in a notebook)


def seed_mesh(count: int, devices: int | None = None) -> Mesh:
  """A mesh of one axis, `seed`, over which `count` seeds divide evenly.

  Args:
    count: number of seeds.
    devices: devices to use, of all processes together and as many of each; if
      None, on a CPU the most that divide `count`, and on accelerators all.

  Raises:
    UserError: if the seeds do not divide over the processes and devices, or
      there are not so many devices.
  """
  there = jax.devices()
  machines = jax.process_count()
  _check_processes(count, devices, machines)
  if not devices:
    on_cpu = there[0].platform == 'cpu'
    here = len(there) // machines
    each = largest_divisor(count // machines, here) if on_cpu else here
    devices = each * machines
  if devices > len(there):
    raise UserError(
      f'config.seeds.devices={devices}, but JAX sees {len(there)} '
      f'{there[0].platform} devices; ask for at most {len(there)}, or leave it '
      'out for a number that fits.'
    )
  if count % devices:
    raise UserError(
      f'config.seeds.count={count} must be a multiple of {devices} devices; '
      f'try {count + -count % devices}, or --config.seeds.devices='
      f'{machines * largest_divisor(count // machines, devices // machines)}.'
    )
  chosen = [
    device
    for process in range(machines)
    for device in [d for d in there if d.process_index == process][
      : devices // machines
    ]
  ]
  return Mesh(np.array(chosen), (SEED_AXIS,))


def _check_processes(count: int, devices: int | None, machines: int) -> None:
  """Raises a UserError unless all processes get as much to do."""
  if count % machines:
    raise UserError(
      f'config.seeds.count={count} must be a multiple of the {machines} '
      f'processes; try {count + -count % machines}, or start '
      f'{largest_divisor(count, machines)} of them.'
    )
  if devices and devices % machines:
    raise UserError(
      f'config.seeds.devices={devices} counts the devices of all {machines} '
      f'processes and must be a multiple of them; try '
      f'{devices + -devices % machines}.'
    )


def sharded(mesh: Mesh) -> NamedSharding:
  """Sharding of arrays whose leading axis is the seed axis."""
  return NamedSharding(mesh, PartitionSpec(SEED_AXIS))


def replicated(mesh: Mesh) -> NamedSharding:
  """Sharding of arrays that all seeds share."""
  return NamedSharding(mesh, PartitionSpec())


def default_at_once(mesh: Mesh) -> int | None:
  """Seeds at once on a device: one on a CPU, all on an accelerator.

  On a CPU one seed's state stays in cache while it trains, and a seed's
  numbers cannot depend on its neighbours; BUILD_NOTES.md has the timings.
  """
  return 1 if mesh.devices.flat[0].platform == 'cpu' else None


def map_seeds(
  fn: Callable[..., PyTree],
  mesh: Mesh,
  *,
  per_seed: tuple[bool, ...],
  at_once: int | None,
) -> Callable[..., PyTree]:
  """Maps a one-seed function over a population, sharded over the mesh.

  Args:
    fn: function of one seed's arguments.
    mesh: from `seed_mesh`.
    per_seed: for each argument, whether it has a leading seed axis; the
      others are the same for all seeds.
    at_once: seeds at once on a device: 1 is `lax.map`, None is `vmap` over
      all, and k is a `lax.map` over groups of k.

  Returns:
    A function of the same arguments; every output has a leading seed axis.
  """
  spec = [PartitionSpec(SEED_AXIS) if s else PartitionSpec() for s in per_seed]

  def local(*args):
    split = tuple(a for a, s in zip(args, per_seed) if s)
    shared = tuple(a for a, s in zip(args, per_seed) if not s)

    def one(split):
      split, rest = iter(split), iter(shared)
      return fn(*(next(split) if s else next(rest) for s in per_seed))

    if at_once is None:
      return jax.vmap(one)(split)
    return jax.lax.map(one, split, batch_size=None if at_once == 1 else at_once)

  return jax.shard_map(
    local,
    mesh=mesh,
    in_specs=tuple(spec),
    out_specs=PartitionSpec(SEED_AXIS),
    check_vma=False,
  )
