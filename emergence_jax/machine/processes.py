"""Several processes of one run: leadership, agreement and shutdown.

Every process computes its own seeds. What touches files is done by the first
one, and all know its result (`agreed`), so that they take the same way
everywhere and meet in the same collectives. Alone, all of this is free.
"""

import contextlib
import dataclasses
import faulthandler
import os
import pickle
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from emergence_jax.base.types import PyTree, UserError
from emergence_jax.machine.stopping import TRY_AGAIN

_LOST = (
  'this run has lost one of its processes, so that all of them end. It is '
  'whole up to its last checkpoint: start the same command on all machines, '
  'with the same --workdir, to go on.'
)
_FAREWELL_SECONDS = 1.0
# Words of JAX's errors that are about other processes.
_OF_OTHERS = (
  'Gloo', 'NCCL', 'Barrier', 'oordination', 'heartbeat', 'UNAVAILABLE',
  'DEADLINE_EXCEEDED',
)  # fmt: skip
# Reads lines, and prints the last one when their writer is gone. Signals to
# all processes of a job are not meant for it.
_LAST_WORDS = (
  'import signal, sys\n'
  'for name in ("SIGTERM", "SIGINT", "SIGHUP"):\n'
  '  signal.signal(getattr(signal, name), signal.SIG_IGN)\n'
  'line = ""\n'
  'for line in sys.stdin: pass\n'
  'if line.strip(): print(line.strip(), file=sys.stderr, flush=True)\n'
)


@dataclasses.dataclass(frozen=True)
class Options:
  """How processes find each other.

  Attributes:
    coordinator_address: host and port of the first process; None to have it
      found (on TPU pods, Slurm, Open MPI, Kubernetes).
    num_processes: how many there are; None as above.
    process_id: which this one is; None as above.
    local_device_ids: accelerators of this machine that are this process's;
      None for all, or what the cluster says.
    cluster_detection_method: which way to find them; None tries all.
    join_seconds: how long to wait for all to start.
    heartbeat_seconds: after how long a silent process is taken for lost.
    meet_seconds: how long one waits for the others where they meet.
  """

  coordinator_address: str | None = None
  num_processes: int | None = None
  process_id: int | None = None
  local_device_ids: tuple[int, ...] | None = None
  cluster_detection_method: str | None = None
  join_seconds: int = 300
  heartbeat_seconds: int = 100
  meet_seconds: float = 3600.0

  def __post_init__(self):
    given = (self.coordinator_address, self.num_processes, self.process_id)
    if any(v is not None for v in given) and None in given:
      raise UserError(
        '--coordinator_address, --num_processes and --process_id belong '
        f'together; given are {given}. Give all three, or none to have them '
        'found.'
      )
    if self.num_processes is not None and not (
      0 <= self.process_id < self.num_processes
    ):
      raise UserError(
        f'--process_id={self.process_id} must be from 0 to '
        f'{self.num_processes - 1} (--num_processes={self.num_processes}).'
      )
    address = self.coordinator_address
    if address is not None and not address.rpartition(':')[2].isdigit():
      raise UserError(
        f'--coordinator_address={address} has no port; give HOST:PORT.'
      )


class _LastWords:
  """Reports the reason if JAX kills this process.

  JAX ends a process from within when it loses the others, and no handler of
  Python is called. Another small process holds the sentence until then.
  """

  def __init__(self):
    self._child = subprocess.Popen(
      [sys.executable, '-S', '-E', '-c', _LAST_WORDS],
      stdin=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip

  def set(self, line: str) -> None:
    """Sets the sentence to report; none if empty."""
    with contextlib.suppress(BrokenPipeError, ValueError):
      self._child.stdin.write(line.replace('\n', ' ') + '\n')
      self._child.stdin.flush()

  def close(self) -> None:
    """Ends without a report."""
    self.set('')
    with contextlib.suppress(BrokenPipeError):
      self._child.stdin.close()
    self._child.wait()


_meet_seconds = Options.meet_seconds


def several() -> bool:
  """Whether this is one of several processes; does not start JAX."""
  return jax.distributed.is_initialized() and jax.process_count() > 1


def leads() -> bool:
  """Whether this process writes files and logs to the user."""
  return not several() or jax.process_index() == 0


def of_first(log: Callable[[str], None]) -> Callable[[str], None]:
  """A log function that only the first process prints from."""
  return log if leads() else lambda line: None


def _give_up(what: str, seconds: float) -> None:
  print(
    f'error: waited {seconds:g} s for the other processes ({what}); {_LOST}',
    file=sys.stderr, flush=True,
  )  # fmt: skip
  os._exit(TRY_AGAIN)


@contextlib.contextmanager
def _meeting(what: str) -> Iterator[None]:
  """Ends the process if the others do not come within `meet_seconds`."""
  timer = threading.Timer(_meet_seconds, _give_up, [what, _meet_seconds])
  timer.daemon = True
  timer.start()
  try:
    yield
  finally:
    timer.cancel()


def exchange(value: Any, what: str = 'exchange') -> list[Any]:
  """The values that all processes give, in the order of the processes."""
  if not several():
    return [value]
  data = np.frombuffer(pickle.dumps(value), np.uint8)
  with _meeting(what):
    sizes = multihost_utils.process_allgather(np.int32(data.size))
    # Powers of two, so that few programs are compiled.
    room = np.zeros(max(256, 1 << int(sizes.max() - 1).bit_length()), np.uint8)
    room[: data.size] = data
    everyone = multihost_utils.process_allgather(room)
  return [
    pickle.loads(row[:n].tobytes())
    for row, n in zip(everyone, sizes.tolist(), strict=True)
  ]


def agreed(fn: Callable[[], Any], what: str = 'the first process') -> Any:
  """Calls a function on the first process; returns its result on all.

  It is called there only, and must not meet the others itself. What it raises
  is raised everywhere.
  """
  if not several():
    return fn()
  value, error = None, None
  if leads():
    try:
      value = fn()
    except Exception as raised:
      error = raised
  said = error
  if error is not None and not isinstance(error, UserError):
    said = RuntimeError(f'{type(error).__name__} on the first process: {error}')
  value, told = exchange((value, said), what)[0]
  if error is not None:
    raise error
  if told is not None:
    raise told
  return value


class _Led:
  """An object of the first process, whose methods all call together."""

  def __init__(self, make: Callable[[], Any]):
    self.own = None

    def hold():
      self.own = make()

    agreed(hold)

  def __enter__(self):
    def enter():
      self.own.__enter__()

    agreed(enter)
    return self

  def __exit__(self, *error):
    # The others may not come any more.
    if self.own is not None:
      self.own.__exit__(*error)

  def __getattr__(self, name: str):
    def call(*args, **kwargs):
      return agreed(lambda: getattr(self.own, name)(*args, **kwargs), name)

    return call


def lead(make: Callable[[], Any]) -> Any:
  """An object that only the first process makes; all call its methods.

  Alone, it is the object itself.
  """
  return _Led(make) if several() else make()


def to_host(tree: PyTree) -> PyTree:
  """NumPy arrays of a pytree, whole also where other processes hold a part."""
  if not several():
    return jax.device_get(tree)

  def gather(leaf):
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
      return multihost_utils.process_allgather(leaf, tiled=True)
    return jax.device_get(leaf)

  with _meeting('gathering results'):
    return jax.tree.map(gather, tree)


def check_same(
  mine: Mapping[str, Any],
  differences: Callable[[Mapping, Mapping], Mapping[str, tuple[Any, Any]]],
) -> None:
  """Raises a UserError on all if processes were given different things.

  Args:
    mine: what this process was given, plain values.
    differences: key → values of two such mappings.
  """
  everyone = exchange(dict(mine), 'comparing configurations')
  lines = [
    f'  {key}: process 0 has {old!r}, process {i} has {new!r}'
    for i, other in enumerate(everyone)
    for key, (old, new) in differences(everyone[0], other).items()
  ]
  if lines:
    rows = '\n'.join(lines)
    raise UserError(
      f'the processes were started with different flags:\n{rows}\nStart all '
      'with the same command, but for --process_id.'
    )


def _join(options: Options, words: _LastWords) -> None:
  """Connects with the others; ends the process if they are not there."""
  where = options.coordinator_address or 'the one that the cluster names'
  words.set(
    f'error: not all processes met at the coordinator ({where}) within '
    f'{options.join_seconds} s. Check the address, that its machine can be '
    'reached on that port, and that all processes were started '
    '(--num_processes); --join_seconds waits longer.'
  )
  # A signal is a request to stop, which the loop passes on itself.
  jax.config.update('jax_enable_preemption_service', False)
  method = options.cluster_detection_method
  if options.process_id is not None and method is None:
    method = 'deactivate'
  ids = options.local_device_ids
  try:
    jax.distributed.initialize(
      options.coordinator_address,
      options.num_processes,
      options.process_id,
      None if ids is None else list(ids),
      method,
      initialization_timeout=options.join_seconds,
      heartbeat_timeout_seconds=options.heartbeat_seconds,
    )
  except (ValueError, TypeError) as error:
    words.close()
    raise UserError(
      f'--multihost: {error} No cluster was found from which it would follow; '
      'give --coordinator_address, --num_processes and --process_id.'
    ) from error
  words.set(f'error: {_LOST}')


@contextlib.contextmanager
def joined(options: Options | None) -> Iterator[None]:
  """Context in which this is one of several processes.

  An error in one process ends all of them, at the latest when its heartbeats
  are missed: they may wait for one another where it does not come any more.
  """
  if options is None:
    yield
    return
  global _meet_seconds
  _meet_seconds = options.meet_seconds
  # What is said of a lost process is no stack of every thread.
  faulthandler.disable()
  words = _LastWords()
  _join(options, words)
  try:
    yield
  except SystemExit as end:
    if end.code not in (None, 0, TRY_AGAIN):
      if isinstance(end.code, str):
        print(end.code, file=sys.stderr)
      _leave(words, end.code if isinstance(end.code, int) else 1)
    jax.distributed.shutdown()
    words.close()
    raise
  except Exception as error:
    lines = str(error).splitlines()
    why = [x for x in lines if any(word in x for word in _OF_OTHERS)]
    if not why:
      traceback.print_exc()
      _leave(words, 1)
    print(f'error: {_LOST} ({why[0][:300]})', file=sys.stderr, flush=True)
    _leave(words, TRY_AGAIN)
  except BaseException:
    traceback.print_exc()
    _leave(words, 1)
  jax.distributed.shutdown()
  words.close()


def _leave(words: _LastWords, code: int) -> None:
  """Ends at once: at a usual end JAX would wait for the others."""
  words.close()
  sys.stdout.flush()
  sys.stderr.flush()
  if leads():
    # With the first, JAX ends the others, who may be about to say as much.
    time.sleep(_FAREWELL_SECONDS)
  os._exit(code)
