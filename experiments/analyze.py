"""The app `analyze` of the package, as `python -m experiments.analyze`."""

from emergence_jax.cli import command

if __name__ == '__main__':
  command.in_checkout('analyze')
