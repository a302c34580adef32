"""The app `report` of the package, as `python -m experiments.report`."""

from emergence_jax.cli import command

if __name__ == '__main__':
  command.in_checkout('report')
