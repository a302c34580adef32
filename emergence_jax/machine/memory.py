"""How much memory the devices have, and checks against it."""

import os

import jax

from emergence_jax.base.checks import LARGEST_INT
from emergence_jax.base.progress import size
from emergence_jax.base.types import UserError


def available() -> int:
  """Bytes that the devices can hold together; of a CPU, the machine's.

  Other processes of a run are taken to have as much.
  """
  devices = jax.local_devices()
  if devices[0].platform == 'cpu':
    return os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
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
