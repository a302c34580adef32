"""A page of runs that go on, served to this machine."""

import contextlib
import http.server
import json
import pathlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from emergence_jax.analysis import runs as runs_lib
from emergence_jax.base.types import UserError
from emergence_jax.report import page, payload
from emergence_jax.store import damage, timeseries

_WAITING = (
  '<!doctype html><meta http-equiv="refresh" content="3">'
  '<link rel="icon" href="data:,"><title>waiting</title>'
  '<p>No run has two checkpoints yet; this page looks again.'
)
# Of a core, which the training needs, so much at most goes into reading.
_SHARE = 0.2


class Watched:
  """The newest data of runs, read again when rows were added.

  The longer that takes, the more seldom.

  Args:
    workdirs: run directories.
  """

  def __init__(self, workdirs: Sequence[pathlib.Path]):
    self._workdirs = list(workdirs)
    self._lock = threading.Lock()
    self._at: list[list[int]] = []
    self._again = 0.0
    self._runs: runs_lib.Runs = {}
    self._data = ''

  def _reached(self, workdir: pathlib.Path) -> list[int]:
    """Steps of the rows of a run, none before it has begun.

    Raises:
      UserError: if it was there, and is gone.
    """
    try:
      damage.root(workdir)
    except UserError:
      if self._runs:
        raise
      return []
    return timeseries.reached(workdir)

  def _look(self) -> bool:
    """Reads what is new; whether there is anything to show."""
    with self._lock:
      at = [self._reached(w) for w in self._workdirs]
      began = time.monotonic()
      if at != self._at and began >= self._again:
        begun = [w for w, rows in zip(self._workdirs, at) if len(rows) > 1]
        if not begun:
          return False
        self._runs = runs_lib.load(begun)
        self._data = payload.packed(self._runs)
        self._at = at
        now = time.monotonic()
        self._again = now + (now - began) * (1 / _SHARE - 1)
      return bool(self._runs)

  def page(self) -> str:
    """The page, or that of waiting."""
    return page.live(self._runs, watched=True) if self._look() else _WAITING

  def data(self) -> str:
    """State and data, as the page's script takes them."""
    self._look()
    return json.dumps({'state': page.state(self._runs), 'data': self._data})


def _handler(watched: Watched, secret: str) -> type:
  """Answers two addresses below the secret, and no other."""
  answers: dict[str, tuple[Callable[[], str], str]] = {
    f'/{secret}/': (watched.page, 'text/html; charset=utf-8'),
    f'/{secret}/data': (watched.data, 'application/json'),
  }

  class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
      if self.path not in answers:
        self.send_error(404)
        return
      make, kind = answers[self.path]
      try:
        content = make().encode()
      except (UserError, OSError) as error:  # moved, damaged, deleted
        self.send_error(503, explain=str(error))
        return
      self.send_response(200)
      self.send_header('Content-Type', kind)
      self.send_header('Content-Length', str(len(content)))
      self.send_header('Cache-Control', 'no-store')
      self.end_headers()
      self.wfile.write(content)

    def log_message(self, *arguments):
      """Says nothing of every request."""

  return Handler


@contextlib.contextmanager
def server(
  workdirs: Sequence[pathlib.Path], port: int = 0
) -> Iterator[tuple[str, Callable[[], None]]]:
  """A server at 127.0.0.1; gives its address, and what serves until the end.

  That is in a thread of its own, or until an exception.

  Args:
    workdirs: run directories.
    port: one that is free if 0.

  Raises:
    UserError: where the port is taken.
  """
  secret = secrets.token_urlsafe(12)
  handler = _handler(Watched(workdirs), secret)
  try:
    made = http.server.ThreadingHTTPServer(('127.0.0.1', port), handler)
  except OSError as error:
    raise UserError(
      f'--port={port}: {error.strerror}; give another, or none.'
    ) from error
  begun = threading.Event()

  def serve() -> None:
    begun.set()
    made.serve_forever()

  with made:
    try:
      yield f'http://127.0.0.1:{made.server_address[1]}/{secret}/', serve
    finally:
      if begun.is_set():  # else there is no end to wait for
        made.shutdown()
