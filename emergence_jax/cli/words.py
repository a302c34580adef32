"""Arguments without a flag: `emergence run modadd:31`, `emergence list all`."""

import pathlib
from collections.abc import Sequence

# App → the flag that a word without one is the value of.
_MEANT = {
  'run': 'config', 'measure': 'workdir', 'list': 'folder',
  'analyze': 'workdir', 'report': 'workdir', 'export': 'workdir',
  'merge': 'workdir', 'watch': 'workdir',
}  # fmt: skip


def as_flags(
  app: str, words: Sequence[str], values: Sequence[str] = ()
) -> list[str]:
  """The arguments of an app, with a flag for each word that has none.

  A folder that `run` is given is that of a run to go on with.

  Args:
    app: its name.
    words: what was written behind it.
    values: names of flags whose value may follow as a word of its own.

  >>> as_flags('report', ['runs/a', 'runs/b', '--out=c'])
  ['--workdir=runs/a', '--workdir=runs/b', '--out=c']
  >>> as_flags('run', ['--workdir', 'a', 'modadd:31'], ['workdir'])
  ['--workdir', 'a', '--config=modadd:31']
  """
  made, before = [], ''
  for word in words:
    takes = before.lstrip('-') in values or before.startswith('--config.')
    is_value = before.startswith('-') and '=' not in before and takes
    if word.startswith('-') or is_value or app not in _MEANT or not word:
      made.append(word)
    else:
      flag = _MEANT[app]
      if app == 'run' and pathlib.Path(word).is_dir():
        flag = 'workdir'
      made.append(f'--{flag}={word}')
    before = word
  return made
