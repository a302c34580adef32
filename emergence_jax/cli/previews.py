"""The page of a run while it goes on, made beside the training."""

import pathlib
import threading
from collections.abc import Sequence

# Rows before the first page, and pages of a run.
_FIRST, _PAGES = 3, 10


def due(steps: Sequence[int]) -> set[int]:
  """Steps behind whose rows the page is made: early, then at each tenth.

  >>> sorted(due(range(0, 1001, 10)))
  [20, 100, 200, 300, 400, 500, 600, 700, 800, 900]
  """
  steps = list(steps)
  wanted = [k * steps[-1] / _PAGES for k in range(1, _PAGES)]
  tenths = (next(s for s in steps if s >= want) for want in wanted)
  return {*steps[_FIRST - 1 : _FIRST], *tenths} - {steps[-1]}


class Previews:
  """Writes `report/report.html` of a run that goes on: its curves.

  In a thread of its own, since training waits for no page; what goes wrong in
  it costs that page.

  Args:
    workdir: the run's directory.
    steps: its schedule.
  """

  def __init__(self, workdir: pathlib.Path, steps: Sequence[int]):
    self._workdir, self._due = workdir, due(steps)
    self._thread: threading.Thread | None = None
    self.path = workdir / 'report' / 'report.html'

  def __call__(self, step: int) -> None:
    """Makes the page, if it is due at this step and no other is being made."""
    busy = self._thread is not None and self._thread.is_alive()
    if step in self._due and not busy:
      self._thread = threading.Thread(target=self._write, daemon=True)
      self._thread.start()

  def _write(self) -> None:
    from emergence_jax.analysis import runs
    from emergence_jax.base.types import UserError
    from emergence_jax.report import page
    from emergence_jax.store import files

    try:
      content = page.live(runs.load([self._workdir]))
      files.check_writable(self.path.parent, 'free some space')
      files.write_text(self.path, content)
    except (UserError, OSError):
      pass

  def close(self) -> None:
    """Waits for a page that is being made."""
    if self._thread is not None:
      self._thread.join()
