"""The app `measure` of the package, as `python -m experiments.measure`."""

from emergence_jax.cli import command

if __name__ == '__main__':
  command.in_checkout('measure')
