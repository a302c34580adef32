"""Pythia and PolyPythias, beside what the paper says of them.

  python -m experiments.measure --config=configs/pythia.py:160m \\
    --checkpoints=DIR --workdir=runs/pythia-160m

DIR is as of the preset `released`. Not measured on the published checkpoints.
"""

from ml_collections import ConfigDict

from emergence_jax.config.presets import released


def get_config(size: str = '160m') -> ConfigDict:
  """What is measured; the model's shape is that of the checkpoints."""
  config = released.get_config(size)
  config.reference = dict(name='pythia')
  config.release.name = f'pythia-{size}'
  return config
