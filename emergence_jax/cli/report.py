"""One HTML page, figures and tables of one or several runs.

  python -m experiments.report --workdir=runs/nano --workdir=runs/micro

The page opens from the disk and asks nothing of the network.
"""

from absl import flags

from emergence_jax.cli import analysis_flags, apps

flags.adopt_module_key_flags(analysis_flags)


def _report(workdirs, out) -> None:
  """Writes the page and says where it is."""
  from emergence_jax.report import write

  report = write.report(workdirs, out, **analysis_flags.options())
  apps.say(report.answer)
  apps.say(f'wrote {report.page}')


def main(argv):
  """Writes `report.html`, `figures/` and `tables/`."""
  del argv
  analysis_flags.call('report', _report)


if __name__ == '__main__':
  apps.run(main)
