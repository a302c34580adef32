"""A tiny configuration for the test of benchmarks."""

from tests import small


def get_config(argument):
  """The eight tasks, or modular addition, with a tiny decoder."""
  if argument == 'modadd':
    return small.modadd_config()
  return small.algorithmic_config()
