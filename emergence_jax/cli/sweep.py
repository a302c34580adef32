"""Several configurations one after the other, each in a run of its own."""

import pathlib
import re
import signal
import subprocess
import sys
from collections.abc import Sequence

from emergence_jax.cli import apps, run_table
from emergence_jax.machine import stopping


def _folder(config: str) -> str:
  """The name of a configuration's run, for example `algorithmic-nano-cpu`.

  >>> _folder('configs/algorithmic.py:nano,cpu')
  'algorithmic-nano-cpu'
  """
  file, _, argument = config.partition(':')
  words = f'{pathlib.Path(file).stem}-{argument}'
  return re.sub(r'[^A-Za-z0-9_.]+', '-', words).strip('-')


def call(command: Sequence[str]) -> int:
  """Runs a command to its end, and passes a signal to stop on to it.

  Returns:
    Its exit code; 75 where it was told to stop, however it ended.
  """
  told: list[int] = []
  child: subprocess.Popen | None = None

  def tell(number, frame):
    del frame
    told.append(number)
    # The terminal has told the child of an interruption, too.
    if child is not None and number != signal.SIGINT:
      child.send_signal(number)

  before = {n: signal.signal(n, tell) for n in stopping.SIGNALS}
  try:
    child = subprocess.Popen(command)
    if told:  # before there was anyone to tell
      child.send_signal(signal.SIGTERM)
    code = child.wait()
    return stopping.TRY_AGAIN if told else code
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)


def others(own: Sequence[str]) -> list[str]:
  """The words of the command line but some flags, which have values."""
  mine = re.compile(rf'--?({"|".join(own)})(=|$)')
  left, passed = sys.argv[1:], []
  while left:
    word = left.pop(0)
    if not (match := mine.match(word)):
      passed.append(word)
    elif not match[2]:
      left.pop(0)  # its value, behind a space
  return passed


def run(
  configs: Sequence[str],
  folder: pathlib.Path,
  flags: Sequence[str],
  *,
  blind: bool,
) -> int:
  """Runs configurations, each in a folder of its own, and prints a table.

  Args:
    configs: as `--config` takes them.
    folder: where the runs lie; those that are there are gone on with.
    flags: of `emergence run`, the same for all.
    blind: whether nothing is shown of them, nor the table.

  Returns:
    An exit code: 75 if a signal stopped a run, 1 if one has failed.

  Raises:
    UserError: if two of them would lie in one folder.
  """
  from emergence_jax.base.types import UserError
  from emergence_jax.store import files, listing

  names = [_folder(config) for config in configs]
  for name in names:
    if names.count(name) > 1:
      raise UserError(
        f'two configurations of --sweep would both be run in {folder / name}; '
        'sweep them into folders of their own (--workdir).'
      )
  files.check_writable(folder, 'give another --workdir')
  failed = []
  for place, (config, name) in enumerate(zip(configs, names, strict=True), 1):
    apps.say(f'— {place} of {len(configs)}: {config}')
    code = call([
      *apps.command('run'), f'--config={config}', f'--workdir={folder / name}',
      *flags,
    ])  # fmt: skip
    if code == stopping.TRY_AGAIN:
      apps.say('the same --sweep with the same --workdir goes on.')
      return code
    if code:
      failed.append(name)
  finished = [r for r in listing.runs(folder) if r.path.name in names]
  if finished and not blind:
    run_table.show(finished)
  if failed:
    apps.say(f'failed, for the reasons above: {", ".join(failed)}.')
  workdirs = ' '.join(
    f'--workdir={folder / n}' for n in names if n not in failed
  )
  if workdirs:
    apps.say(f'Next: {apps.CALLED}report {workdirs}')
  return 1 if failed else 0
