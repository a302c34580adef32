"""The app `emergence audit` in a checkout: `python -m experiments.audit`."""

from emergence_jax.cli import command

if __name__ == '__main__':
  command.in_checkout('audit')
