"""Benchmarks, beside a peer and the physical limit, in one run.

python -m experiments.bench train
python -m experiments.bench measures
python -m experiments.bench --seeds=16 analysis
python -m experiments.bench calibration

and trials of what a run has to live through:

python -m experiments.bench --trials=672 damage
python -m experiments.bench --trials=60 kills
"""

from absl import app, flags

_PEERS = flags.DEFINE_string(
  'peers',
  None,
  "Folder of the peers' environment; made if it is not there. "
  'Default: emergence_jax/peers in the user cache.',
)
_OURS = flags.DEFINE_bool('ours', False, 'Time our own layouts only.')
_SEEDS = flags.DEFINE_integer('seeds', 4, 'Number of seeds.')


_TRIALS = flags.DEFINE_integer('trials', 60, 'Of damage, or of kills.')


def main(argv):
  """Runs the benchmark that the first argument names."""
  from experiments.bench import (
    analysis,
    calibration,
    damage,
    kills,
    measures,
    train,
  )

  benchmarks = {
    'train': train.run,
    'measures': measures.run,
    'analysis': analysis.run,
    'calibration': calibration.run,
  }
  trials = {'damage': damage.run, 'kills': kills.run}
  known = [*benchmarks, *trials]
  if len(argv) != 2 or argv[1] not in known:
    raise app.UsageError(f'name one benchmark of: {", ".join(known)}')
  if argv[1] in trials:
    trials[argv[1]](_TRIALS.value)
    return
  benchmarks[argv[1]](_PEERS.value, _SEEDS.value, with_peers=not _OURS.value)


if __name__ == '__main__':
  app.run(main)
