"""Modular addition: memorising, then grokking, several seeds at once.

python -m experiments.run --config=configs/modadd.py
"""

from ml_collections import ConfigDict


def get_config(p: str = '31') -> ConfigDict:
  """The laptop-sized run, or (`configs/modadd.py:113`) the published one."""
  config = ConfigDict()
  config.task = dict(
    name='modadd',
    p=int(p),
    train_fraction=0.6,
    symmetric=True,
    batch_size=0,
  )
  config.model = dict(
    num_layers=1,
    d_model=64,
    num_heads=4,
    d_ff=256,
    num_positions=3,
  )
  config.optimizer = dict(
    rate=2e-3,
    warmup=10,
    decay='constant',
    b1=0.9,
    b2=0.98,
    weight_decay=1.0,
    clip_norm=0.0,
  )
  config.train = dict(steps=2400)
  config.seeds = dict(count=8, first=0, devices=0, chunk=0)
  config.checkpoints = dict(schedule='10:200,25', keep=3, keep_period=0)
  config.measures = dict(
    behaviour=dict(every=1),
    rank=dict(every=1, examples=200),
  )
  return config
