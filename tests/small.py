"""Small configurations that the tests share."""

from ml_collections import ConfigDict

from configs import algorithmic, modadd


def modadd_config(steps: int = 6, count: int = 2, **groups) -> ConfigDict:
  """Modular addition mod 5 with a tiny decoder."""
  config = modadd.get_config('5')
  config.model = dict(
    num_layers=1, d_model=8, num_heads=2, d_ff=16, num_positions=3
  )
  config.train.steps = steps
  config.seeds.count = count
  config.checkpoints.schedule = '2'
  config.measures.rank.examples = 10
  for name, values in groups.items():
    config[name].update(values)
  return config


def algorithmic_config(steps: int = 4, count: int = 2) -> ConfigDict:
  """The eight tasks with a tiny decoder."""
  config = algorithmic.get_config('smoke')
  config.model = dict(
    num_layers=2, d_model=16, num_heads=2, d_ff=32, num_positions=48
  )
  config.task.batch_size = 8
  config.optimizer.warmup = 2
  config.train.steps = steps
  config.seeds.count = count
  config.checkpoints.schedule = '2'
  config.measures.behaviour.examples = 4
  config.measures.rank.examples = 6
  return config
