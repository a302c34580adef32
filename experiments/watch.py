"""The app `watch` of the package, as `python -m experiments.watch`."""

from emergence_jax.cli import command

if __name__ == '__main__':
  command.in_checkout('watch')
