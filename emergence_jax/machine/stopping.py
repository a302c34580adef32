"""Turns signals into requests to stop at the next checkpoint or segment."""

import contextlib
import os
import signal
import socket
import sys
import threading

# Exit code of a process that is to be started again (EX_TEMPFAIL of
# sysexits.h), as of a run that a signal stopped.
TRY_AGAIN = 75
# A batch system's two, a person's, and that of a terminal that was closed;
# those that the operating system has.
SIGNALS = tuple(
  getattr(signal, name)
  for name in ('SIGTERM', 'SIGUSR1', 'SIGINT', 'SIGHUP')
  if hasattr(signal, name)
)


def leave(number: int, code: int = TRY_AGAIN, why: str = '') -> None:
  """Ends the process at once, and says by which signal.

  From a handler or a thread: nothing is waited for, and no file that is being
  written takes its place.

  Args:
    number: of the signal.
    code: exit code.
    why: what is kept and how to go on.
  """
  # A progress bar may have hidden the cursor.
  shown = '\x1b[?25h' if sys.stdout.isatty() else ''
  words = f'{shown}stopped by {signal.Signals(number).name}{why}\n'
  # Within a call that writes, a flush raises.
  with contextlib.suppress(OSError, RuntimeError):
    sys.stdout.flush()
  with contextlib.suppress(OSError):
    os.write(sys.stdout.fileno(), words.encode())
  os._exit(code)


class StopRequest:
  """Turns the first of `SIGNALS` into a request to stop."""

  def __init__(self):
    self.name: str | None = None

  @contextlib.contextmanager
  def installed(self):
    """Handles signals inside the context, if this is the main thread."""
    if threading.current_thread() is not threading.main_thread():
      yield self
      return
    old = {}

    def handle(number, frame):
      del frame
      self.name = signal.Signals(number).name
      # A second signal acts at once.
      signal.signal(number, old[number])

    for number in SIGNALS:
      old[number] = signal.signal(number, handle)
    try:
      yield self
    finally:
      for number, handler in old.items():
        signal.signal(number, handler)


@contextlib.contextmanager
def at_once(sentence: str):
  """Ends the process at a signal, with a sentence, also within a long call.

  For work that a kill does not harm. Handlers of Python wait for a compiled
  program to return; a thread that listens does not.

  Args:
    sentence: what is kept and how to go on; behind `stopped by SIGTERM: `.
  """
  if threading.current_thread() is not threading.main_thread():
    yield
    return
  told, telling = socket.socketpair()
  telling.setblocking(False)
  old = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
  before = signal.set_wakeup_fd(telling.fileno())

  def listen():
    for number in iter(lambda: told.recv(1), b''):
      if number[0] in SIGNALS:
        leave(number[0], why=f': {sentence}')

  threading.Thread(target=listen, daemon=True).start()
  try:
    yield
  finally:
    signal.set_wakeup_fd(before)
    for number, handler in old.items():
      signal.signal(number, handler)
    telling.close()
