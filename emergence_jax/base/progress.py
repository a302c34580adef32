"""Progress of a run: a bar on a terminal, plain lines elsewhere."""

import concurrent.futures
import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import humanize
from rich import console as rich_console
from rich import progress as rich_progress

_LINE_SECONDS, _LOOK_SECONDS = 10.0, 0.2
_FILES = 'reading and writing'
# After so many seconds what was seen counts half as much.
_HALF_LIFE = 120.0
# Work that takes so many times as long as of late, and a minute or more, was
# interrupted: a laptop slept, or the process was stopped (SIGSTOP).
_INTERRUPTED, _LEAST_PAUSE = 10.0, 60.0


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
  return humanize.naturalsize(num_bytes, binary=True)


def watch(
  futures: Mapping[str, concurrent.futures.Future],
  doing: str,
  log: Callable[[str], None],
  until: Callable[[], bool] = lambda: False,
) -> None:
  """Waits for all of some work, and says every few seconds what is left.

  Args:
    futures: name → its work.
    doing: what is done, as the line begins.
    log: takes a line.
    until: asked a few times a second whether to wait no longer.
  """
  left, said = set(futures.values()), time.monotonic()
  while left and not until():
    _, left = concurrent.futures.wait(left, timeout=_LOOK_SECONDS)
    if left and time.monotonic() - said >= _LINE_SECONDS:
      said = time.monotonic()
      names = ', '.join(name for name, f in futures.items() if f in left)
      done = len(futures) - len(left)
      log(f'{doing}: {done} of {len(futures)} done; at {names}.')


class _Shown:
  """A bar on a terminal, lines now and then elsewhere; a context manager."""

  def __init__(
    self,
    console: rich_console.Console | None,
    title: str,
    total: int,
    completed: int = 0,
    **options,
  ):
    # A bar into a file, as FORCE_COLOR would have it, is a line a refresh.
    moves = console is not None or sys.stdout.isatty()
    # Nor is every line an output of its own in a notebook.
    self._plain = not moves
    self._console = console or rich_console.Console()
    self._began = self._printed = time.monotonic()
    self._bar = None
    dumb = self._console.is_dumb_terminal
    if self._console.is_terminal and moves and not dumb:
      self._bar = rich_progress.Progress(
        rich_progress.TextColumn(title),
        rich_progress.BarColumn(),
        rich_progress.TextColumn('{task.fields[text]}'),
        console=self._console,
        **options,
      )
      self._task = self._bar.add_task(
        '', total=total, completed=completed, text='starting'
      )

  def __enter__(self):
    if self._bar:
      self._bar.start()
    return self

  def __exit__(self, *exc):
    if self._bar:
      self._bar.stop()

  def _show(self, completed: int, text: str, line: str) -> None:
    """Moves the bar, or prints a line if the last one is old enough."""
    now = time.monotonic()
    if self._bar:
      self._bar.update(self._task, completed=completed, text=text)
    elif now - self._printed >= _LINE_SECONDS:
      self._printed = now
      self.log(line)

  def log(self, line: str) -> None:
    """Prints a line above the bar."""
    if self._plain and not self._console.quiet:
      print(line, flush=True)
      return
    self._console.print(line, highlight=False, markup=False, soft_wrap=True)


class _Recent:
  """Recent cost of work: an exponentially decaying mean.

  A machine that had something else to do for a while is soon forgotten, and an
  interruption, which is not followed by another, at once.
  """

  def __init__(self):
    self._units, self._seconds = 0.0, 0.0
    self._interrupted = False
    self.total = 0.0  # seconds, of which nothing fades
    self._at = time.monotonic()

  def add(self, units: float, seconds: float) -> None:
    """Adds finished work."""
    now = time.monotonic()
    self.total += seconds
    usual = self.cost * units if self._units else math.inf
    paused = seconds > max(_INTERRUPTED * usual, _LEAST_PAUSE)
    self._interrupted = paused and not self._interrupted
    if self._interrupted:
      self._at = now
      return
    fade = 0.5 ** ((now - self._at) / _HALF_LIFE)
    self._at = now
    self._units = fade * self._units + units
    self._seconds = fade * self._seconds + seconds

  @property
  def cost(self) -> float:
    """Seconds of a unit; nan before anything is known."""
    return self._seconds / self._units if self._units else math.nan

  @property
  def rate(self) -> float:
    """Units of a second; 0 before anything is known."""
    return self._units / self._seconds if self._seconds else 0.0


class Forecast:
  """The time that is left: steps to come, and measures still due.

  Each counts at what it has cost of late, so that measures which are dense at
  the beginning of a run do not double the time that is left. Nor do steps in
  which interventions act, of which few may be to come: steps within the same
  windows cost alike. What no step was in yet costs what the last steps did.

  Args:
    work: step → names of what is done there, besides training.
    windows: first and last step, the latter not included, between which steps
      are dearer.
  """

  def __init__(
    self,
    work: Mapping[int, Sequence[str]],
    windows: Sequence[tuple[int, int]] = (),
  ):
    self._work, self._windows = work, windows
    self._training: dict[frozenset[int], _Recent] = {}
    self._latest: frozenset[int] = frozenset()
    self._others: dict[str, _Recent] = {}

  def _open(self, step: int) -> frozenset[int]:
    """The windows that a step is in."""
    return frozenset(
      i for i, (start, stop) in enumerate(self._windows) if start <= step < stop
    )

  def _alike(self, step: int, last: int) -> Iterator[tuple[int, int]]:
    """First and last steps of stretches that are in the same windows."""
    inside = {
      end for ends in self._windows for end in ends if step < end < last
    }
    return itertools.pairwise([step, *sorted(inside), last])

  def until(self, step: int, last: int) -> int:
    """The step up to which steps are in the same windows; `last` at most."""
    return next(self._alike(step, last))[1]

  def trained(self, first: int, steps: int, seconds: float) -> None:
    """Adds the time of trained steps, all in the windows of the first."""
    self._latest = self._open(first)
    self._training.setdefault(self._latest, _Recent()).add(steps, seconds)

  def _cost(self, step: int) -> float:
    """Seconds of a step; nan before anything is known."""
    known = self._training.get(self._open(step)) or self._training.get(
      self._latest
    )
    return known.cost if known else math.nan

  def bound(self, step: int, last: int) -> str:
    """What `left` is before a stretch of other windows: a bound."""
    unknown = {self._open(a) for a, _ in self._alike(step, last)}
    unknown -= self._training.keys()
    if unknown and all(kind < self._latest for kind in unknown):
      return '≤ '
    if unknown and all(kind > self._latest for kind in unknown):
      return '≥ '
    return ''

  def done(self, name: str, seconds: float) -> None:
    """Adds the time of a measure or a save."""
    self._others.setdefault(name, _Recent()).add(1, seconds)

  def left(self, step: int, last: int) -> float:
    """Seconds from a step to the last one; nan before anything is known."""
    if step >= last:
      return self.due(step)
    training = sum((b - a) * self._cost(a) for a, b in self._alike(step, last))
    return training + self.due(step)

  def due(self, step: int) -> float:
    """Seconds of the work that is due at the checkpoints after a step."""
    each = {name: measure.cost for name, measure in self._others.items()}
    known = sum(each.values()) / len(each) if each else 0.0
    return sum(
      each.get(name, known)
      for at, names in self._work.items()
      if at > step
      for name in names
    )

  def spent(self) -> str:
    """Time by kind of work, the largest first; empty before any."""
    parts = {name: part.total for name, part in self._others.items()}
    parts['training'] = sum(part.total for part in self._training.values())
    total = sum(parts.values())
    if not total:
      return ''
    each = ', '.join(
      f'{name} {duration(seconds)} ({seconds / total:.0%})'
      for name, seconds in sorted(parts.items(), key=lambda x: -x[1])
      if seconds
    )
    return f'the time went to {each}.'


class Progress(_Shown):
  """Progress of a run of `total` steps of `seeds` seeds, from `start`.

  Time counts from the construction, after compilation, so that the rate does
  not contain it; it is that of the last minutes, with what is measured between
  the steps. If quiet, nothing is shown. Use it as a context manager.
  """

  def __init__(
    self,
    total: int,
    start: int,
    seeds: int,
    console: rich_console.Console | None = None,
    *,
    quiet: bool = False,
  ):
    self._total, self._step, self._seeds = total, start, seeds
    self._at, self._recent = time.monotonic(), _Recent()
    if quiet:
      console = rich_console.Console(quiet=True)
    title = 'step {task.completed:,.0f}/{task.total:,.0f}'
    super().__init__(console, title, total, start)

  def _text(self, step: int, loss: float, left: float, bound: str) -> str:
    now = time.monotonic()
    self._recent.add(self._seeds * (step - self._step), now - self._at)
    self._step, self._at = step, now
    rate = self._recent.rate
    words = '?' if math.isnan(left) else f'{bound}{duration(left)}'
    shown = f'{rate:,.0f}' if rate >= 100 else f'{rate:.3g}'
    return f'{shown} seed-steps/s · loss {loss:.2g} · {words} left'

  def update(
    self, step: int, loss: float, left: float, bound: str = ''
  ) -> None:
    """Shows that `step` steps are done.

    Args:
      step: where the run is.
      loss: median over seeds.
      left: seconds to its end, see `Forecast`; nan if not known.
      bound: what they are, if it is a bound: '≤ '.
    """
    text = self._text(step, loss, left, bound)
    self._show(step, text, f'step {step:,}/{self._total:,} · {text}')


class Left:
  """Lines that say how many of some steps are done, and the time left.

  Args:
    work: step → names of what is measured there.
    log: takes a line after each.
  """

  def __init__(
    self, work: Mapping[int, Sequence[str]], log: Callable[[str], None]
  ):
    self._total, self._log, self._done = len(work), log, 0
    # What is not measuring is done at every step, too.
    self._forecast = Forecast({s: [*n, _FILES] for s, n in work.items()})
    self._at = time.monotonic()

  def __call__(self, step: int, seconds: Mapping[str, float]) -> None:
    """Logs that a step is done.

    Args:
      step: which.
      seconds: name → what each measure took; the rest of the time since the
        step before went to reading and writing.
    """
    now = time.monotonic()
    rest = now - self._at - sum(seconds.values())
    for name, spent in {**seconds, _FILES: max(0.0, rest)}.items():
      self._forecast.done(name, spent)
    self._at, self._done = now, self._done + 1
    left = duration(self._forecast.due(step))
    self._log(f'step {step:,}: {self._done} of {self._total}, {left} left')

  def log_spent(self) -> None:
    """Logs the time by kind of work, if there was any."""
    if spent := self._forecast.spent():
      self._log(spent)


class Stages(_Shown):
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
    super().__init__(console, title, total, transient=True)

  def __call__(self, label: str) -> None:
    """Shows that a stage begins."""
    self._done += 1
    left = '?'
    if self._done:
      each = (time.monotonic() - self._began) / self._done
      left = duration(each * (self._total - self._done))
    text = f'{label} · {left} left'
    head = f'{self._title} {self._done}/{self._total}'
    self._show(self._done, text, f'{head} · {text}')
