"""A run that is nearly all writing, for the test that kills it."""

from tests import small


def get_config():
  """120 steps of a tiny model with a checkpoint after each."""
  config = small.modadd_config(steps=120)
  config.checkpoints.schedule = '1'
  return config
