"""The app `merge` of the package, as `python -m experiments.merge`."""

from emergence_jax.cli import command

if __name__ == '__main__':
  command.in_checkout('merge')
