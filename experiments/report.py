"""One HTML page, figures and tables of one or several runs.

  python -m experiments.report --workdir=runs/nano --workdir=runs/micro

The page opens from the disk and asks nothing of the network.
"""

from absl import flags

from experiments import apps, several

flags.adopt_module_key_flags(several)


def _report(workdirs, out) -> None:
  """Writes the page and says where it is."""
  from emergence_jax.report import write

  found = write.report(workdirs, out, **several.options())
  apps.say(found.answer)
  apps.say(f'wrote {found.page}')


def main(argv):
  """Writes `report.html`, `figures/` and `tables/`."""
  del argv
  several.call('report', _report)


if __name__ == '__main__':
  apps.run(main)
