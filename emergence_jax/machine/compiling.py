"""Compiled programs: kept between processes, counted and timed."""

import os
import pathlib
import platform
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterable, Mapping
from concurrent import futures
from typing import Any

import jax

from emergence_jax.base import progress
from emergence_jax.machine import mesh

_SECONDS = '/jax/core/compile/backend_compile_duration'
_HITS = '/jax/compilation_cache/cache_hits'
OFF = 'off'
# Lines of /proc/cpuinfo that say what a processor can do (x86, Arm).
_FLAGS = ('flags', 'Features')
# XLA cannot store programs that call some libraries, oneDNN for one. They are
# compiled at every start, and nobody can do anything about it.
_NOT_STORED = 'Error writing persistent compilation cache entry.*MemoryError'


def _machine() -> str:
  """A word for this kind of processor.

  What was compiled for one with more instructions would crash on another, and
  a home may be shared by several.
  """
  try:
    lines = pathlib.Path('/proc/cpuinfo').read_text(encoding='utf-8')
    kind = next(x for x in lines.splitlines() if x.startswith(_FLAGS))
  except (OSError, StopIteration):
    kind = platform.processor()
  return f'{platform.machine()}-{zlib.crc32(kind.encode()):08x}'


def default_folder() -> pathlib.Path:
  """Where compiled programs are kept, in the user's cache folder."""
  root = os.environ.get('XDG_CACHE_HOME')
  if not root:
    try:
      root = str(pathlib.Path.home() / '.cache')
    except RuntimeError:  # a user of a container who has no home
      root = tempfile.gettempdir()
  return pathlib.Path(root) / 'emergence_jax' / 'compiled' / _machine()


def keep(folder: str | None = None) -> None:
  """Keeps compiled programs between processes.

  JAX's own setting (JAX_COMPILATION_CACHE_DIR), if there is one, stays.

  Args:
    folder: where; the user's cache if None, nowhere if `off`.
  """
  warnings.filterwarnings('ignore', _NOT_STORED)
  config: Any = jax.config  # type checkers do not know its names
  if folder == OFF:
    jax.config.update('jax_compilation_cache_dir', None)
  elif folder is not None:
    jax.config.update('jax_compilation_cache_dir', folder)
  elif config.jax_compilation_cache_dir is None:
    jax.config.update('jax_compilation_cache_dir', str(default_folder()))


class Compiles:
  """Counts what is compiled from its construction on."""

  def __init__(self):
    self.count, self.hits, self.seconds = 0, 0, 0.0
    jax.monitoring.register_event_duration_secs_listener(self._took)
    jax.monitoring.register_event_listener(self._happened)

  def _took(self, name: str, seconds: float, **details) -> None:
    del details
    if name == _SECONDS:
      self.count += 1
      self.seconds += seconds

  def _happened(self, name: str, **details) -> None:
    del details
    if name == _HITS:
      self.hits += 1

  def text(self) -> str:
    """A sentence on how many programs were compiled, and for how long."""
    fresh = self.count - self.hits
    kept = f', and read {self.hits} from the cache' if self.hits else ''
    return f'compiled {fresh} programs{kept}, in {self.seconds:.0f} s.'


def run_once(fn: Callable, out_shardings: Any, *args: Any) -> Any:
  """`fn(*args)` by a program that is not needed again.

  On a CPU it is compiled without optimising, in half of the time.

  Args:
    fn: pure function of arrays.
    out_shardings: of its results; JAX's choice if None.
    *args: its arguments.
  """
  cpu = jax.default_backend() == 'cpu'
  options = {'xla_backend_optimization_level': 0} if cpu else {}
  placed = {} if out_shardings is None else {'out_shardings': out_shardings}
  return jax.jit(fn, compiler_options=options, **placed)(*args)


class InThreads:
  """Work that is done in threads, by name, each once.

  Several processes, which compile the same in the same order, have one thread
  each.

  Args:
    doing: what is done, in lines about it.
  """

  def __init__(self, doing: str):
    self._doing = doing
    self._begun: dict[str, futures.Future] = {}

  def __contains__(self, name: str) -> bool:
    return name in self._begun

  def begin(self, work: Mapping[str, Callable[[], Any]]) -> None:
    """Begins some work; what comes first is done first."""
    alone = jax.process_count() == 1
    pool = futures.ThreadPoolExecutor(mesh.available_cores() if alone else 1)
    self._begun |= {name: pool.submit(fn) for name, fn in work.items()}
    pool.shutdown(wait=False)  # its threads end when nothing is left

  def left(self, names: Iterable[str]) -> list[str]:
    """Those of some names that are not done."""
    return [name for name in names if not self._begun[name].done()]

  def result(self, name: str) -> Any:
    """What some work came to; waits for it, and raises what it raised."""
    return self._begun[name].result()

  def wait(
    self,
    names: Iterable[str],
    log: Callable[[str], None] = lambda line: None,
    until: Callable[[], bool] = lambda: False,
  ) -> None:
    """Waits for some work, or until something else holds.

    Args:
      names: of the work.
      log: takes a line every few seconds, on what is being done.
      until: asked a few times a second.

    Raises:
      Exception: what the work raised.
    """
    own = {name: self._begun[name] for name in names}
    progress.watch(own, self._doing, log, until)
    for future in own.values():
      if future.done():
        future.result()
