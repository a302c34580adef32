"""The flags by which the processes of one run find each other."""

import contextlib
from collections.abc import Iterator

from absl import flags

_MULTIHOST = flags.DEFINE_bool(
  'multihost', False, 'This is one of several processes, all started with the '
  'same command on a shared --workdir; found by themselves on TPU pods, Slurm, '
  'Open MPI and Kubernetes.',
)  # fmt: skip
_ADDRESS = flags.DEFINE_string(
  'coordinator_address', None, 'HOST:PORT of the first process.'
)
_COUNT = flags.DEFINE_integer('num_processes', None, 'How many there are.')
_ID = flags.DEFINE_integer('process_id', None, 'Which this one is, from 0.')
_DEVICES = flags.DEFINE_list(
  'local_device_ids', None, 'GPUs of this machine that are this process\'s, '
  'by commas.',
)  # fmt: skip
_METHOD = flags.DEFINE_string(
  'cluster_detection_method', None, "As JAX calls it, for example 'slurm'."
)
_JOIN = flags.DEFINE_integer(
  'join_seconds', 300, 'How long to wait for all processes to start.'
)
_HEARTBEAT = flags.DEFINE_integer(
  'heartbeat_seconds', 100, 'A process that is silent for so long is lost, '
  'and the others end.',
)  # fmt: skip
_MEET = flags.DEFINE_float(
  'meet_seconds', 3600, 'How long processes wait for each other where they '
  'meet; longer than a row takes to be measured.',
)  # fmt: skip


def _options():
  from emergence_jax.base import checks
  from emergence_jax.base.types import UserError
  from emergence_jax.machine import processes

  given = [f.name for f in (_ADDRESS, _COUNT, _ID) if f.value is not None]
  if not _MULTIHOST.value:
    if given:
      raise UserError(f'--{given[0]} is of several processes: add --multihost.')
    return None
  for flag in (_JOIN, _HEARTBEAT, _MEET):
    checks.in_range(f'--{flag.name}', flag.value, 1)
  devices = _DEVICES.value
  if devices is not None:
    if not all(d.isdigit() for d in devices):
      raise UserError(
        f'--local_device_ids={",".join(devices)} must be numbers, by commas.'
      )
    devices = tuple(map(int, devices))
  return processes.Options(
    coordinator_address=_ADDRESS.value,
    num_processes=_COUNT.value,
    process_id=_ID.value,
    local_device_ids=devices,
    cluster_detection_method=_METHOD.value,
    join_seconds=_JOIN.value,
    heartbeat_seconds=_HEARTBEAT.value,
    meet_seconds=_MEET.value,
  )


def is_one_of_several() -> bool:
  """Whether the flags say that there are other processes."""
  return _MULTIHOST.value


def check(possible: bool) -> None:
  """Raises a UserError if several processes are asked for what takes one."""
  from emergence_jax.base.types import UserError

  if _MULTIHOST.value and not possible:
    raise UserError(
      '--multihost: a release is measured by one process; leave the flag out.'
    )


@contextlib.contextmanager
def joined() -> Iterator[None]:
  """Context in which this is one of several processes, if the flags say so."""
  options = _options()
  if options is None:
    yield
    return
  from emergence_jax.machine import processes

  with processes.joined(options):
    yield
