"""Makes tests/data/parity: a released model of each kind, and its numbers.

pip install -e '.[parity]' && python -m tests.make_parity
"""

import pathlib

import numpy as np
import torch

from tests import parity_models

OUT = pathlib.Path(__file__).parent / 'data' / 'parity'


def main() -> None:
  """Writes every model with its outputs in float32 and bfloat16."""
  for name in parity_models.COMMITTED:
    model = parity_models.make(name)
    arrays = {'tokens': parity_models.tokens()}
    for dtype in ('float32', 'bfloat16'):
      model = model.to(getattr(torch, dtype))
      if dtype == 'float32':
        parity_models.save(name, model, OUT / name)
      for key, value in parity_models.run(model)._asdict().items():
        arrays[f'{key}_{dtype}'] = value
    np.savez_compressed(OUT / name / 'expected.npz', **arrays)


if __name__ == '__main__':
  main()
