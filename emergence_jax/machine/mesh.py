"""Devices, and mapping one-seed functions over the seed axis."""

import os
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from emergence_jax.base.types import PyTree, UserError

SEED_AXIS = 'seed'
# Over it, devices share a seed.
MODEL_AXIS = 'model'


def largest_divisor(count: int, limit: int) -> int:
  """The largest divisor of `count` that is at most `limit`."""
  return max(d for d in range(1, min(count, limit) + 1) if count % d == 0)


def available_cores() -> int:
  """Cores that this process may use."""
  if hasattr(os, 'sched_getaffinity'):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def start(
  count: int, devices: int | None = None, per_seed: int | None = None
) -> None:
  """Gives the CPU backend one virtual device per core, before it starts.

  Does nothing to accelerators, or once JAX has started its backends.

  Args:
    count: number of seeds.
    devices: devices wanted; if None, the most that fit `count`.
    per_seed: devices that share a seed; one if None.
  """
  per_seed = per_seed or 1
  cores = available_cores()
  if not jax.distributed.is_initialized():
    cores = devices or _on_cores(count, max(cores, per_seed), per_seed)
  # Of how many processes is not known before the backend is up.
  try:
    jax.config.update('jax_num_cpu_devices', cores)
  except RuntimeError:
    pass  # the backend is up already (in tests, or in a notebook)
  check_backend()


def check_backend() -> None:
  """Starts JAX's backend.

  Raises:
    UserError: where the one that was asked for is not there.
  """
  try:
    jax.devices()
  except Exception as error:  # of JAX, of many kinds, some without a word
    why = (str(error).splitlines() or [type(error).__name__])[0]
    asked = os.environ.get('JAX_PLATFORMS', '')
    raise UserError(
      f'JAX has no device (JAX_PLATFORMS={asked!r}: {why}); take another '
      "platform, or none, or install its plugin: pip install 'emergence_jax"
      "[gpu]' or '[tpu]'."
    ) from error


def _fitting(count: int, available: int, processes: int, per_seed: int) -> int:
  """The most devices on which seeds divide evenly; 0 if none do."""
  return max(
    (
      devices
      for devices in range(processes, available + 1, processes)
      if devices % per_seed == 0 and count % (devices // per_seed) == 0
    ),
    default=0,
  )


def _on_cores(count: int, cores: int, per_seed: int) -> int:
  """The fewest devices of one CPU on which seeds take the fewest turns.

  They need not divide: a device that has one less repeats its last.
  """
  turns = [-(-count // groups) for groups in range(1, cores // per_seed + 1)]
  return per_seed * (1 + turns.index(min(turns)))


def seed_mesh(
  count: int, devices: int | None = None, per_seed: int | None = None
) -> Mesh:
  """A mesh over whose axis `seed` so many seeds are spread.

  They divide evenly, but on the cores of one CPU, which share their memory:
  there each device sees all of a population that does not (`map_seeds`).

  Args:
    count: number of seeds.
    devices: devices to use, of all processes together and as many of each; if
      None, on a CPU as many as shorten the work, and on accelerators all.
    per_seed: devices that share a seed; one if None, and more than one are an
      axis `model`.

  Raises:
    UserError: if the seeds do not divide over the processes and devices, or
      there are not so many devices.
  """
  per_seed = per_seed or 1
  available = jax.devices()
  processes = jax.process_count()
  kind = available[0].platform
  best = _fitting(count, len(available), processes, per_seed)
  shares_memory = kind == 'cpu' and processes == 1
  if not devices and shares_memory and per_seed <= len(available):
    devices = _on_cores(count, len(available), per_seed)
  elif not devices:
    devices = best if kind == 'cpu' else len(available)
  if devices > len(available) or per_seed > len(available):
    key, value = 'devices', devices
    if per_seed > len(available):
      key, value = 'devices_per_seed', per_seed
    raise UserError(
      f'config.seeds.{key}={value}, but JAX sees {len(available)} {kind} '
      f'devices; ask for at most {len(available)}, or leave it out for a '
      'number that fits.'
    )
  groups = devices // per_seed
  spread = groups and (
    count >= groups if shares_memory else count % groups == 0
  )
  if not spread or devices % processes or devices % per_seed:
    raise UserError(_misfit(count, devices, processes, per_seed, best))
  chosen = [
    device
    for process in range(processes)
    for device in [d for d in available if d.process_index == process][
      : devices // processes
    ]
  ]
  if per_seed == 1:
    return Mesh(np.array(chosen), (SEED_AXIS,))
  return Mesh(
    np.array(chosen).reshape(groups, per_seed),
    (SEED_AXIS, MODEL_AXIS),
    axis_types=(AxisType.Auto, AxisType.Auto),
  )


def _misfit(count, devices, processes, per_seed, best) -> str:
  """Why seeds do not divide over devices, and what would do."""
  if processes > 1 and (count * per_seed) % processes:
    most = largest_divisor(count * per_seed, processes)
    return (
      f'config.seeds.count={count} must be a multiple of the {processes} '
      f'processes; try {count + -count % processes}, or start {most} of them.'
    )
  where = f'{devices} devices'
  if processes > 1:
    where += f' of {processes} processes'
  if per_seed > 1:
    where += f', {per_seed} for each (config.seeds.devices_per_seed)'
  step = max(1, devices // per_seed)
  return (
    f'config.seeds.count={count} does not divide over {where}; try '
    f'{count + -count % step}, or --config.seeds.devices={best}.'
  )


def sharded(mesh: Mesh, count: int) -> NamedSharding:
  """Sharding of arrays whose leading axis is that of `count` seeds."""
  return NamedSharding(mesh, PartitionSpec(_seed_axis(mesh, count)))


def _seed_axis(mesh: Mesh, count: int) -> str | None:
  """The axis over which seeds are spread; None where they do not divide."""
  return None if count % mesh.shape[SEED_AXIS] else SEED_AXIS


def replicated(mesh: Mesh) -> NamedSharding:
  """Sharding of arrays that all seeds share."""
  return NamedSharding(mesh, PartitionSpec())


def placed(mesh: Mesh, leaf: jax.ShapeDtypeStruct) -> NamedSharding:
  """Sharding of a population's leaf [S, ...].

  Where devices share a seed, each holds a part of the longest axis that
  divides; a leaf without such an axis is on all of them.
  """
  count, *shape = leaf.shape
  if MODEL_AXIS not in mesh.shape:
    return sharded(mesh, count)
  return NamedSharding(
    mesh, PartitionSpec(_seed_axis(mesh, count), *_parts(mesh, tuple(shape)))
  )


def model_mesh(devices: int) -> Mesh:
  """A mesh of devices that share a single model.

  Raises:
    UserError: if there are not so many.
  """
  available = jax.local_devices()
  if devices > len(available):
    raise UserError(
      f'{devices} devices are to share a model, but JAX sees {len(available)} '
      f'{available[0].platform} devices; ask for at most {len(available)}.'
    )
  return Mesh(
    np.array(available[:devices]), (MODEL_AXIS,), axis_types=(AxisType.Auto,)
  )


def placed_alone(
  mesh: Mesh, leaf: jax.Array | jax.ShapeDtypeStruct
) -> NamedSharding:
  """Sharding of a leaf of a model that has no seed axis."""
  return NamedSharding(mesh, PartitionSpec(*_parts(mesh, leaf.shape)))


def _parts(mesh: Mesh, shape: tuple[int, ...]) -> list[str | None]:
  """The axis of a leaf of which each device holds a part; none if none."""
  devices = mesh.shape.get(MODEL_AXIS, 1)
  spec: list[str | None] = [None] * len(shape)
  axes = [a for a, size in enumerate(shape) if size % devices == 0]
  if devices > 1 and axes:
    spec[max(axes, key=lambda a: shape[a])] = MODEL_AXIS
  return spec


def spread_examples(mesh: Mesh, batch: PyTree) -> PyTree:
  """Spreads a seed's batch [B, ...] over the devices that share the seed.

  To be called inside a function that `map_seeds` maps; elsewhere, and where
  the examples do not divide, the batch stays as it is.
  """
  per_seed = mesh.shape.get(MODEL_AXIS, 1)
  if per_seed == 1:
    return batch
  inside = jax.sharding.get_abstract_mesh()

  def spread(x):
    if x.ndim == 0 or x.shape[0] % per_seed:
      return x
    sharding = NamedSharding(inside, PartitionSpec(MODEL_AXIS))
    return jax.lax.with_sharding_constraint(x, sharding)

  return jax.tree.map(spread, batch)


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

  Where seeds do not divide over the mesh, the last is computed again until
  they do, and what comes of that is left out.

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

    def one_seed(split):
      split, rest = iter(split), iter(shared)
      return fn(*(next(split) if s else next(rest) for s in per_seed))

    if at_once is None:
      return jax.vmap(one_seed)(split)
    return jax.lax.map(
      one_seed, split, batch_size=None if at_once == 1 else at_once
    )

  mapped = jax.shard_map(
    local,
    mesh=mesh,
    in_specs=tuple(spec),
    out_specs=PartitionSpec(SEED_AXIS),
    # Along the other axis the compiler divides the work (GSPMD).
    axis_names={SEED_AXIS},
    check_vma=False,
  )

  def filled_up(*args):
    first = args[per_seed.index(True)]
    count = jax.tree.leaves(first)[0].shape[0]
    missing = -count % mesh.shape[SEED_AXIS]
    if not missing:
      return mapped(*args)

    def fill(x):
      return jnp.concatenate([x, jnp.repeat(x[-1:], missing, 0)])

    filled = (jax.tree.map(fill, a) if s else a for a, s in zip(args, per_seed))
    return jax.tree.map(lambda x: x[:count], mapped(*filled))

  return filled_up
