"""A run that is nearly all writing, for the test that kills it."""

from tests import small


def get_config():
  """200 steps of a tiny model with a checkpoint after each."""
  config = small.modadd_config(steps=200)
  config.checkpoints.schedule = '1'
  return config
