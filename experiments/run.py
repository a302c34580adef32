"""The app `run` of the package, as `python -m experiments.run`."""

from emergence_jax.cli import command

if __name__ == '__main__':
  command.in_checkout('run')
