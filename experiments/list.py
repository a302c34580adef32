"""The app `list` of the package, as `python -m experiments.list`."""

from emergence_jax.cli import command

if __name__ == '__main__':
  command.in_checkout('list')
