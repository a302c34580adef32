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
# A batch system's, a person's, and that of a terminal that was closed.
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class StopRequest:
  """Turns the first of `_SIGNALS` into a request to stop."""

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

    for number in _SIGNALS:
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
  old = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
  before = signal.set_wakeup_fd(telling.fileno())

  def listen():
    for number in iter(lambda: told.recv(1), b''):
      if number[0] not in _SIGNALS:
        continue
      # A progress bar may have hidden the cursor.
      shown = '\x1b[?25h' if sys.stdout.isatty() else ''
      name = signal.Signals(number[0]).name
      print(f'{shown}stopped by {name}: {sentence}', flush=True)
      os._exit(TRY_AGAIN)

  threading.Thread(target=listen, daemon=True).start()
  try:
    yield
  finally:
    signal.set_wakeup_fd(before)
    for number, handler in old.items():
      signal.signal(number, handler)
    telling.close()
