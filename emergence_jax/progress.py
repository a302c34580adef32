"""What a person sees while a run goes on: a bar, or plain lines."""

import time

from rich import console as rich_console
from rich import progress as rich_progress

_LINE_SECONDS = 10.0


def duration(seconds: float) -> str:
  """`42 s`, `3 min 05 s` or `2 h 07 min`."""
  seconds = max(0, round(seconds))
  if seconds < 60:
    return f'{seconds} s'
  if seconds < 3600:
    return f'{seconds // 60} min {seconds % 60:02d} s'
  return f'{seconds // 3600} h {seconds // 60 % 60:02d} min'


def size(num_bytes: float) -> str:
  """Bytes in a readable unit, for example `1.6 MiB`."""
  for unit in ('B', 'KiB', 'MiB', 'GiB'):
    if num_bytes < 1024:
      return (
        f'{num_bytes:.0f} {unit}' if unit == 'B' else f'{num_bytes:.1f} {unit}'
      )
    num_bytes /= 1024
  return f'{num_bytes:.1f} TiB'


class Progress:
  """Progress of a run of `total` steps of `seeds` seeds, from `start`.

  Time counts from the construction, after compilation, so that neither the
  rate nor the time left contains it. Use it as a context manager.
  """

  def __init__(
    self,
    total: int,
    start: int,
    seeds: int,
    console: rich_console.Console | None = None,
  ):
    self._total, self._start, self._seeds = total, start, seeds
    self._console = console or rich_console.Console()
    self._began = self._printed = time.monotonic()
    self._bar = None
    if self._console.is_terminal:
      self._bar = rich_progress.Progress(
        rich_progress.TextColumn(
          'step {task.completed:,.0f}/{task.total:,.0f}'
        ),
        rich_progress.BarColumn(),
        rich_progress.TextColumn('{task.fields[text]}'),
        console=self._console,
      )
      self._task = self._bar.add_task(
        'train', total=total, completed=start, text='starting'
      )

  def __enter__(self):
    if self._bar:
      self._bar.start()
    return self

  def __exit__(self, *exc):
    if self._bar:
      self._bar.stop()

  def _text(self, step: int, loss: float) -> str:
    spent = time.monotonic() - self._began
    rate = (step - self._start) / spent if spent > 0 else 0.0
    left = duration((self._total - step) / rate) if rate > 0 else '?'
    return (
      f'{self._seeds} seeds · {self._seeds * rate:,.0f} seed-steps/s · '
      f'loss {loss:.3g} · {left} left'
    )

  def update(self, step: int, loss: float) -> None:
    """Shows that `step` steps are done, with the median loss over seeds."""
    text = self._text(step, loss)
    if self._bar:
      self._bar.update(self._task, completed=step, text=text)
      return
    now = time.monotonic()
    if now - self._printed >= _LINE_SECONDS:
      self._printed = now
      self.say(f'step {step:,}/{self._total:,} · {text}')

  def say(self, line: str) -> None:
    """Prints a line above the bar."""
    self._console.print(line, highlight=False, markup=False, soft_wrap=True)


class Stages:
  """Progress over `total` stages that take about equally long.

  Called with the label of each stage as it begins. Use it as a context
  manager.
  """

  def __init__(
    self,
    title: str,
    total: int,
    console: rich_console.Console | None = None,
  ):
    self._title, self._total, self._done = title, total, -1
    self._console = console or rich_console.Console()
    self._began = self._printed = time.monotonic()
    self._bar = None
    if self._console.is_terminal:
      self._bar = rich_progress.Progress(
        rich_progress.TextColumn(title),
        rich_progress.BarColumn(),
        rich_progress.TextColumn('{task.fields[text]}'),
        console=self._console,
        transient=True,
      )
      self._task = self._bar.add_task(title, total=total, text='')

  def __enter__(self):
    if self._bar:
      self._bar.start()
    return self

  def __exit__(self, *exc):
    if self._bar:
      self._bar.stop()

  def __call__(self, label: str) -> None:
    """Says that the stage before is done and that this one begins."""
    self._done += 1
    now = time.monotonic()
    left = '?'
    if self._done:
      each = (now - self._began) / self._done
      left = duration(each * (self._total - self._done))
    text = f'{label} · {left} left'
    if self._bar:
      self._bar.update(self._task, completed=self._done, text=text)
    elif now - self._printed >= _LINE_SECONDS:
      self._printed = now
      self._console.print(
        f'{self._title} {self._done}/{self._total} · {text}',
        highlight=False, markup=False, soft_wrap=True,
      )  # fmt: skip
