"""Sparse parity: a multilayer perceptron that learns 3 of 30 bits, suddenly.

  python -m experiments.run --config=configs/sparse_parity.py

The bits that count tell nothing by themselves, so that the loss stays where it
was until all three are known.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """A run of a minute or two on a laptop.

  Source: Barak et al., arXiv:2207.08799; sizes and rates are ours.
  """
  config = ConfigDict()
  config.task = dict(
    name='sparse_parity',
    n=30,
    k=3,
    num_train=2000,
    num_test=1000,
    batch_size=256,
  )
  config.model = dict(name='mlp', width=128, depth=2)
  config.optimizer = dict(rate=1e-3, decay='constant', weight_decay=1.0)
  config.train = dict(steps=1500)
  config.seeds = dict(count=8)
  config.checkpoints = dict(schedule='20', keep=2)
  config.measures = dict(
    behaviour=dict(every=1),
    rank=dict(every=1),
    fisher=dict(every=2, examples=200),
    gradcov=dict(every=2, batches=32, batch_size=64),
    hessian=dict(every=5, k=5, num_matvecs=40, trace_matvecs=8),
    norms=dict(every=1),
    barrier=dict(every=1),
  )
  return config
