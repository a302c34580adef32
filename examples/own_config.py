"""A task and a measure from one's own modules, at some minutes on a CPU.

python -m experiments.run --config=examples/own_config.py
"""


def get_config() -> dict:
  """A plain mapping will do where keys have dots."""
  return {
    'task': {'name': 'examples.majority:Majority', 'batch_size': 32},
    'model': {'num_layers': 1, 'd_model': 32, 'num_heads': 2, 'd_ff': 64,
              'num_positions': 9},
    'optimizer': {'rate': 3e-3, 'warmup': 20, 'decay': 'constant'},
    'train': {'steps': 400},
    'seeds': {'count': 2},
    'checkpoints': {'schedule': '20', 'keep': 2},
    'measures': {
      'behaviour': {'examples': 200},
      'rank': {'examples': 60},
      'examples.weight_norm:make': {'power': 2.0},
    },
  }  # fmt: skip
