"""One HTML page, figures and tables of one or several runs.

  python -m experiments.report --workdir=runs/nano --workdir=runs/micro

The page opens from the disk and asks nothing of the network.
"""

from absl import app

from experiments import several


def _report(workdirs, out) -> None:
  """Writes the page and says where it is."""
  from emergence_jax.report import write

  found = write.report(workdirs, out, **several.options())
  print(found.answer)
  print(f'wrote {found.page}')


def main(argv):
  """Writes `report.html`, `figures/` and `tables/`."""
  several.call(argv, 'report', _report)


if __name__ == '__main__':
  app.run(main)
