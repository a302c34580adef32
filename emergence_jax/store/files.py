"""Atomic writes, checksums, and a lock on a folder.

All text is UTF-8, whatever the locale.
"""

import concurrent.futures
import contextlib
import datetime
import json
import os
import pathlib
import re
import shlex
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

import google_crc32c

from emergence_jax.base.types import UserError

try:
  import fcntl
except ImportError:  # Windows has no such locks
  fcntl = None  # type: ignore[assignment]

Path = str | pathlib.Path
LOCK = '.lock'
_CHECKSUM = 'checksum'
# With what a cell begins that a spreadsheet would compute.
_FORMULA = ('=', '+', '-', '@', '\t', '\r')


def _partial(pid: int) -> str:
  """How the name of a file begins that a process of this machine writes."""
  return f'.partial-{socket.gethostname()}-{pid}'


def _lock(number: int, kind: str) -> None:
  """Locks an open file, as `fcntl.flock` does.

  Raises:
    OSError: where that cannot be.
  """
  if fcntl is None:
    raise OSError('this system has no locks of files')
  kinds = {
    'shared': fcntl.LOCK_SH | fcntl.LOCK_NB,
    'own': fcntl.LOCK_EX | fcntl.LOCK_NB,
    'wait': fcntl.LOCK_EX,
  }
  fcntl.flock(number, kinds[kind])


def _is_alive(pid: int) -> bool:
  if os.name == 'nt':  # where signal 0 is one that ends
    return True
  try:
    os.kill(pid, 0)
  except ProcessLookupError:
    return False
  except OSError:  # somebody else's
    return True
  return True


def remove_partial(folder: Path) -> None:
  """Deletes what killed processes of this machine have left half-written."""
  pattern = re.compile(re.escape(_partial(0)[:-1]) + r'(\d+)(\.\w+)?')
  for path in pathlib.Path(folder).iterdir():
    match = pattern.fullmatch(path.name)
    if match and not _is_alive(int(match[1])):
      path.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[pathlib.Path]:
  """A temporary path that replaces `path` once all is written.

  It has the same suffix, by which libraries choose a format.
  """
  path = pathlib.Path(path)
  partial = path.with_name(f'{_partial(os.getpid())}{path.suffix}')
  try:
    yield partial
    partial.replace(path)
  finally:
    partial.unlink(missing_ok=True)


def as_text(frame):
  """A table whose texts no spreadsheet takes for a formula.

  One that begins with `=`, `+`, `-` or `@` gets an apostrophe before it.
  """

  def quoted(cell):
    is_formula = isinstance(cell, str) and cell.startswith(_FORMULA)
    return f"'{cell}" if is_formula else cell

  frame = frame.map(quoted)
  return frame.rename(columns=quoted)


def write_text(path: Path, text: str) -> None:
  """Writes a file atomically.

  What Unicode cannot say (bytes of a file's name that are no text) is written
  as a question mark.
  """
  with replacing(path) as partial:
    partial.write_bytes(text.encode('utf-8', 'replace'))


def sync(paths: Iterable[pathlib.Path]) -> None:
  """Returns when the contents of files, and their names, are on the disk."""
  paths = list(paths)
  folders = {path.parent for path in paths}
  with concurrent.futures.ThreadPoolExecutor(16) as pool:
    list(pool.map(_sync_one, [*paths, *folders]))


def _sync_one(path: pathlib.Path) -> None:
  number = os.open(path, os.O_RDONLY)
  try:
    os.fsync(number)
  finally:
    os.close(number)


def checksum(document: dict) -> str:
  """CRC-32C of a JSON document, whatever its spaces and order of keys."""
  text = json.dumps(document, sort_keys=True, separators=(',', ':'))
  return f'{google_crc32c.value(text.encode()):08x}'


def crc32c_of(path: Path) -> str:
  """The CRC-32C of what is before it, with which a file ends.

  Empty if it is another, or the file is not there.
  """
  try:
    data = pathlib.Path(path).read_bytes()
  except OSError:
    return ''
  crc = int.from_bytes(data[-4:], 'little')
  whole = len(data) > 4 and google_crc32c.value(data[:-4]) == crc
  return data[-4:].hex() if whole else ''


def has_crc32c(path: Path) -> bool:
  """Whether a file is there and ends with the CRC-32C of what is before."""
  return bool(crc32c_of(path))


def end_of(path: pathlib.Path) -> str:
  """The last four bytes of a file, where a chunk has its checksum."""
  with path.open('rb') as file:
    file.seek(max(0, path.stat().st_size - 4))
    return file.read().hex()


def write_json(path: Path, value: dict, *, checked: bool = True) -> None:
  """Writes JSON atomically, with its checksum among its keys."""
  if checked:
    value = {**value, _CHECKSUM: checksum(value)}
  write_text(path, json.dumps(value, indent=2) + '\n')


def read_json(path: Path, *, checked: bool = True) -> dict[str, Any] | None:
  """Reads what `write_json` wrote; None if it is missing or damaged.

  Args:
    path: file.
    checked: whether it must have its checksum; files of older versions have
      none, and are taken as they are.
  """
  try:
    content = json.loads(pathlib.Path(path).read_bytes())
  except (OSError, ValueError, RecursionError):
    return None
  if not isinstance(content, dict):
    return None
  said = content.pop(_CHECKSUM, None)
  if checked and said is not None and said != checksum(content):
    return None
  return content


def check_writable(folder: Path, remedy: str) -> pathlib.Path:
  """Creates a folder, and checks that it can be written to.

  Args:
    folder: where to write; `~` is the user's own folder.
    remedy: end of the sentence if that cannot be, for example `give --out`.

  Raises:
    UserError: if it cannot be made, or not be written to.
  """
  folder = pathlib.Path(folder).expanduser()
  try:
    folder.mkdir(parents=True, exist_ok=True)
    remove_partial(folder)
    probe = folder / _partial(os.getpid())
    probe.touch()
    probe.unlink()
  except (OSError, ValueError) as error:
    why = getattr(error, 'strerror', None) or error
    raise UserError(f'cannot write to {folder} ({why}); {remedy}.') from error
  return folder


def is_locked(folder: Path) -> bool:
  """Whether a process holds the `Lock` of a folder."""
  try:
    with open(pathlib.Path(folder) / LOCK, encoding='utf-8') as file:
      _lock(file.fileno(), 'shared')
  except BlockingIOError:
    return True
  except OSError:  # no lock, or a file system without
    return False
  return False


class Lock:
  """A lock on a folder that the operating system releases with the process.

  Use it as a context manager. The file `.lock` in the folder says who holds
  it, for others to read; it is the lock on the file that counts, and not that
  the file is there.

  Args:
    folder: must be there.
    wait: takes a line, if the lock is to be waited for; otherwise to find it
      held is an error.
  """

  def __init__(self, folder: Path, wait: Callable[[str], None] | None = None):
    self._path = pathlib.Path(folder) / LOCK
    self._wait = wait
    self._file: IO[str] | None = None

  def _holder(self) -> str:
    holder = read_json(self._path, checked=False) or {}
    words = ' '.join(str(holder.get('command', 'another program')).split())
    return (
      f'process {holder.get("pid", "?")} on {holder.get("host", "?")} since '
      f'{holder.get("since", "?")} ({words[:200]})'
    )

  def _take(self) -> None:
    assert self._file
    number = self._file.fileno()
    try:
      _lock(number, 'own')
      return
    except BlockingIOError:
      line = f'{self._path.parent} is in use by {self._holder()}'
    except OSError:
      return  # a file system without locks
    if self._wait is None:
      raise UserError(f'{line}; wait for its end, or stop it.')
    self._wait(f'{line}; waiting for its end.')
    _lock(number, 'wait')

  def __enter__(self):
    try:
      self._file = open(self._path, 'a+', encoding='utf-8')
    except OSError as error:
      raise UserError(
        f'cannot write to {self._path.parent} ({error.strerror}); give a '
        '--workdir that can be written to.'
      ) from error
    try:
      self._take()
    except BaseException:
      self._file.close()
      raise
    said = {
      'pid': os.getpid(), 'host': socket.gethostname(),
      'command': shlex.join(sys.argv),
      'since': datetime.datetime.now().strftime('%Y-%m-%d %H:%M:%S'),
    }  # fmt: skip
    self._file.truncate(0)
    self._file.write(json.dumps(said))
    self._file.flush()
    return self

  def check(self) -> None:
    """Raises a UserError if the folder is no longer where it was."""
    try:
      now = os.stat(self._path)
      assert self._file
      same = os.path.samestat(now, os.fstat(self._file.fileno()))
    except OSError:
      same = False
    if not same:
      raise UserError(
        f'{self._path.parent} was moved or deleted while this program was '
        'writing to it, which has stopped. If it was moved, go on with '
        '--workdir set to where it is now.'
      )

  def __exit__(self, *error):
    self._file.close()
