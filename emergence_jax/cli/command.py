"""The command `emergence`: every app by one name, from any folder.

emergence run --config=modadd:31
emergence report --workdir=runs/latest
emergence --help
"""

import importlib.metadata
import os
import runpy
import sys

# Name → what it does, in the order of their use.
APPS = {
  'run': 'train a population of seeds and measure it at every checkpoint',
  'measure': 'measure saved checkpoints, of a run or of a released model',
  'watch': 'a page of a run that goes on, which updates itself',
  'list': 'the runs in a folder, with their steps and states',
  'analyze': 'tables of one or several runs',
  'report': 'one HTML page of one or several runs',
  'export': 'a timeseries as CSV, Parquet or TensorBoard events',
  'merge': 'join runs of different seeds',
  'audit': 'whether released checkpoints are the history of one training',
}


def usage() -> str:
  """The apps, and how to see the flags of each."""
  width = max(map(len, APPS))
  lines = [f'  {name:<{width}}  {words}' for name, words in APPS.items()]
  return '\n'.join([
    'usage: emergence APP [flags]', '', *lines, '',
    'emergence APP --help lists the flags of one.',
  ])  # fmt: skip


def _call(app: str) -> None:
  """Runs the module of an app as the main program."""
  from emergence_jax.cli import apps

  apps.NAME = app
  runpy.run_module(
    f'emergence_jax.cli.{app}', run_name='__main__', alter_sys=True
  )


def in_checkout(app: str) -> None:
  """Runs an app for `python -m experiments.APP`; messages name that command."""
  from emergence_jax.cli import apps

  apps.CALLED = 'python -m experiments.'
  _call(app)


def main() -> None:
  """Runs the app that the first argument names."""
  name = sys.argv[1] if len(sys.argv) > 1 else '--help'
  if name in ('--help', '-h', 'help'):
    print(usage())
    return
  if name == '--version':
    print(importlib.metadata.version('emergence_jax'))
    return
  if name not in APPS:
    print(f'error: {name!r} is no app.\n{usage()}', file=sys.stderr)
    sys.exit(1)
  sys.argv = [f'emergence {name}', *sys.argv[2:]]
  # What `module.path:Name` means is looked for in the current folder, too;
  # last, so that a folder of a name of ours does no harm.
  sys.path.append(os.getcwd())
  _call(name)


if __name__ == '__main__':
  main()
