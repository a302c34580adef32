"""How much memory the devices have, and checks against it."""

import os
import pathlib

import jax

from emergence_jax.base.checks import LARGEST_INT
from emergence_jax.base.progress import size
from emergence_jax.base.types import UserError

# Where Linux tells of control groups: version 2, and memory's own of version 1.
_GROUPS = {
  '': ('sys/fs/cgroup', 'memory.max'),
  'memory': ('sys/fs/cgroup/memory', 'memory.limit_in_bytes'),
}


def _limit(path: pathlib.Path) -> int | None:
  """A number of bytes in a file; None for no limit, and for no such file."""
  try:
    return int(path.read_text())
  except (OSError, ValueError):  # `max` is no number
    return None


def limit_of_group(root: str = '/') -> int | None:
  """Bytes that a batch system or a container leaves to this process.

  The least limit of its control group and of those that hold it; None where
  there is none.

  Args:
    root: of the file system.
  """
  top = pathlib.Path(root)
  try:
    lines = (top / 'proc/self/cgroup').read_text().splitlines()
  except OSError:
    return None
  limits = []
  for _, controllers, group in (line.split(':', 2) for line in lines):
    for name in {*controllers.split(',')} & _GROUPS.keys():
      folder, file = _GROUPS[name]
      within = pathlib.PurePosixPath(group.lstrip('/'))
      # In a container its own group can be the folder itself.
      for part in (within, *within.parents):
        limits.append(_limit(top / folder / part / file))
  return min((x for x in limits if x is not None), default=None)


def available() -> int:
  """Bytes that the devices can hold together; of a CPU, the machine's.

  Less where a batch system or a container leaves less. Other processes of a run
  are taken to have as much.
  """
  devices = jax.local_devices()
  if devices[0].platform == 'cpu':
    machine = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    return min(machine, limit_of_group() or machine)
  stats = [device.memory_stats() or {} for device in devices]
  here = sum(s.get('bytes_limit', LARGEST_INT**2) for s in stats)
  return here * jax.process_count()


def most_of_process(pid: int | str = 'self') -> int | None:
  """Bytes of the machine's memory that a process has taken up at most.

  None where the system does not say (it is Linux that does), and of a process
  that has ended.

  Args:
    pid: of the process; this one's if absent.
  """
  try:
    with open(f'/proc/{pid}/status') as status:
      of_line = dict(line.split(':', 1) for line in status)
    return int(of_line['VmHWM'].split()[0]) * 1024
  except (OSError, KeyError, ValueError):
    return None


def check(what: str, num_bytes: float, remedy: str) -> None:
  """Raises a UserError for what is larger than the memory there is.

  Args:
    what: needs it; the subject of the sentence.
    num_bytes: how much, at least.
    remedy: a sentence.
  """
  limit = available()
  if num_bytes > limit:
    raise UserError(
      f'{what} would need {size(num_bytes)}, and there are {size(limit)}; '
      f'{remedy}'
    )
