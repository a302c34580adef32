"""Scanned digits: a multilayer perceptron on 200 images (scikit-learn's).

python -m experiments.run --config=configs/digits.py
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """A run of a minute on a laptop."""
  config = ConfigDict()
  config.task = dict(name='digits', num_train=200, batch_size=0)
  config.model = dict(name='mlp', width=128, depth=2)
  config.optimizer = dict(rate=1e-3, decay='constant', weight_decay=1.0)
  config.train = dict(steps=600)
  config.seeds = dict(count=8)
  config.checkpoints = dict(schedule='10', keep=2)
  config.measures = dict(
    behaviour=dict(every=1),
    rank=dict(every=1),
    fisher=dict(every=2, examples=200),
    hessian=dict(every=6, k=5, num_matvecs=40, trace_matvecs=8),
    norms=dict(every=1),
  )
  return config
