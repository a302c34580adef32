"""The run of kill_config on a machine whose memory holds two of its seeds."""

from emergence_jax.machine import memory
from tests import kill_config

# Two arms of a seed take 12 bytes for each of their 608 parameters.
_HELD = 40_000


def get_config():
  """Two arms of three seeds."""
  memory.available = lambda: _HELD
  config = kill_config.get_config()
  config.seeds.update(count=3, devices=1)
  config.arms = dict(grid='optimizer.rate=1e-2')
  return config
