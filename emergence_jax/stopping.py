"""Signals as requests to stop at the next good moment."""

import contextlib
import signal
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
