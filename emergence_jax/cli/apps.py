"""What all the apps share: their output, and how they end."""

import contextlib
import os
import pathlib
import signal
import sys
import warnings
from collections.abc import Callable, Iterator

from absl import app, flags, logging

from emergence_jax.cli import words
from emergence_jax.machine import stopping

# How people call an app, for messages that say what to do next; the thin apps
# of a checkout set their own.
CALLED = 'emergence '
# Name of the app that is called; empty where one is called otherwise.
NAME = ''
# Apps whose work the same command goes on with.
_GO_ON = {'run', 'measure'}


def command(app: str) -> list[str]:
  """The words that start another app in a process of its own.

  In a checkout as a module; elsewhere without the current folder on the path,
  where a folder of a name of ours may lie.
  """
  if CALLED.startswith('python'):
    return [sys.executable, '-m', f'experiments.{app}']
  return [sys.executable, '-P', '-m', 'emergence_jax.cli.command', app]


def say(line: str) -> None:
  """Prints at once, also into a pipe or a batch job's log."""
  print(line, flush=True)


def path(flag: str, value: str | None) -> pathlib.Path:
  """The path that a flag gives; `~` is the user's own folder.

  Raises:
    UserError: if it is empty, or no path can be so.
  """
  from emergence_jax.base.types import UserError

  if value is None or not value.strip() or '\0' in value:
    raise UserError(f'--{flag}={value!r} is no path; give a folder.')
  try:
    return pathlib.Path(value).expanduser()
  except RuntimeError as error:
    raise UserError(f'--{flag}={value}: {error}') from error


def define_compile_cache() -> flags.FlagHolder:
  """The flag that says where compiled programs are kept."""
  return flags.DEFINE_string(
    'compile_cache', None, "Folder of compiled programs, or 'off'; one in the "
    "user's cache if absent, so that the next start takes seconds.",
  )  # fmt: skip


def _start() -> None:
  """Makes output, figures and speed independent of where it is started."""
  # Threads of LAPACK wait by spinning: where others are busy, of XLA or of a
  # run beside this one, decompositions take many times as long, and by itself
  # no less. Read once, when NumPy and SciPy are loaded.
  os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
  for stream in (sys.stdout, sys.stderr):
    # A locale without the letters must not end a run.
    if hasattr(stream, 'reconfigure'):
      stream.reconfigure(errors='replace')
  # A notebook's own, for example, which is not there in this process.
  os.environ.pop('MPLBACKEND', None)
  for number in stopping.SIGNALS:
    signal.signal(number, _end)
  # JAX tells at level INFO which accelerators a machine does not have.
  logging.set_verbosity(logging.WARNING)
  warnings.showwarning = _show_warning


def _end(number, frame) -> None:
  """Ends at once: whatever is written is whole, and a call that is cut is not.

  Handlers that go on (a run that saves) take the place of this one, and it
  theirs at a second signal.
  """
  del frame
  called = {pathlib.Path(sys.argv[0]).stem, *sys.argv[1:2]}
  # What can be gone on with asks for it; else as a shell says it.
  code = stopping.TRY_AGAIN if _GO_ON & called else 128 + number
  stopping.leave(number, code, '.')


def _show_warning(message, category, filename, lineno, file=None, line=None):
  """Warnings of this package are one line; others as ever."""
  if category.__module__.startswith('emergence_jax'):
    print(f'warning: {message}', file=sys.stderr, flush=True)
    return
  text = warnings.formatwarning(message, category, filename, lineno, line)
  (file or sys.stderr).write(text)


def _end_of_pipe() -> None:
  """Ends quietly: `… | head` has seen enough."""
  os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
  sys.exit(1)


@contextlib.contextmanager
def errors() -> Iterator[None]:
  """Ends the program with one message and code 1 on a user's error.

  So it does where files cannot be read or written.
  """
  from emergence_jax.base.types import UserError

  try:
    yield
  except UserError as error:
    print(f'error: {error}', file=sys.stderr)
    sys.exit(1)
  except BrokenPipeError:
    _end_of_pipe()
  except OSError as error:
    name = f': {error.filename}' if error.filename else ''
    print(f'error: {error.strerror or error}{name}', file=sys.stderr)
    sys.exit(1)
  except KeyboardInterrupt:
    sys.exit(130)


def run(
  main: Callable[[list[str]], None],
  *,
  known_only: bool = False,
  arguments: int = 0,
) -> None:
  """Parses flags and calls `main`.

  Args:
    main: takes the arguments that are no flags.
    known_only: whether flags that are not defined are left to `main`.
    arguments: most that are no flags.
  """
  _start()

  def parse(arguments):
    try:
      return flags.FLAGS(arguments, known_only=known_only)
    except flags.Error as error:
      said = ' '.join(str(error).split())
      print(f'error: {said} See --help.', file=sys.stderr)
      sys.exit(1)
    except BrokenPipeError:
      _end_of_pipe()

  checked = main if known_only else _at_most(arguments, main)
  given = ['--help' if word == '-h' else word for word in sys.argv[1:]]
  takes_value = [name for name in flags.FLAGS if not flags.FLAGS[name].boolean]
  sys.argv[1:] = words.as_flags(NAME, given, takes_value)
  try:
    app.run(checked, flags_parser=parse)
  except SystemExit as end:
    # Who asked for help has got it.
    asked = {'--help', '--helpfull', '--helpshort'} & set(sys.argv[1:])
    if end.code == 1 and asked:
      sys.exit(0)
    raise


def _at_most(count, main):
  def checked(argv):
    if len(argv) > 1 + count:
      print(
        f'error: unexpected arguments {argv[1 + count :]}. See --help.',
        file=sys.stderr,
      )
      sys.exit(1)
    main(argv)

  return checked
