"""The app `export` of the package, as `python -m experiments.export`."""

from emergence_jax.cli import command

if __name__ == '__main__':
  command.in_checkout('export')
