"""Analyses one or several runs together: tables on the screen and as CSV.

  python -m experiments.analyze --workdir=runs/nano --workdir=runs/micro

For the page that shows the same, see `python -m experiments.report`.
"""

import shutil

from absl import flags

from emergence_jax.cli import analysis_flags, apps

flags.adopt_module_key_flags(analysis_flags)


def _analyze(workdirs, out) -> None:
  """Prints what was found and writes every table."""
  from emergence_jax.analysis import runs
  from emergence_jax.report import terminal, text, write

  study = write.analyse(runs.load(workdirs), **analysis_flags.options())
  width = shutil.get_terminal_size((terminal.NARROWEST, 24)).columns
  apps.say(terminal.study(study, width))
  paths = text.write_tables(study, out)
  apps.say(f'wrote {len(paths)} tables: {out}/*.csv')


def main(argv):
  """Prints what was found and writes every table."""
  del argv
  analysis_flags.call('analysis', _analyze)


if __name__ == '__main__':
  apps.run(main)
