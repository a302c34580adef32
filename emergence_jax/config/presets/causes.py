"""Does RankMe before generalisation decide when a network generalises?

  python -m experiments.run --config=configs/causes.py
  python -m experiments.run --config=configs/causes.py:registered
  python -m experiments.run --config=configs/causes.py:eight --parts=4

The first is a small version, of minutes on 2 CPU cores. The second is the
experiment of experiments/results/causes/PLAN.md: 23 arms on the task of
`modadd`, of which a part of eight seeds is run at a time
(--config.seeds.first=0, 8, …), and `emergence merge` joins the parts;
`registered-29` and `registered-37` are the other moduli. The third is its
second part: 11 arms on the eight tasks, at the size nano.

Every arm has the same first weights, split and batches. Before any seed leaves
chance, up to step 60 (of the eight tasks 400), the intervention `rank` adds
strength × log RankMe to the loss (below 0 it raises the rank); `mean` takes a
share of the mean out of the hidden states. Each has its placebo: a push of the
same size in a random direction.
"""

from ml_collections import ConfigDict

from emergence_jax.config.presets import algorithmic, modadd

WINDOW = 60
# Of the eight tasks: RankMe's floor lies at step 350 to 400, and the first
# capability emerges behind 500.
WINDOW_OF_EIGHT = 400


def _eight() -> ConfigDict:
  """The eight tasks at nano, up to the step at which half of them are learnt.

  The rate is constant: of the protocol's cosine, over 100,000 steps, 0.2% are
  gone by then.
  """
  config = algorithmic.get_config('nano,cpu')
  config.train.steps = 3000
  config.optimizer.decay = 'constant'
  config.checkpoints.schedule = '100:400,50:1500,100'
  config.checkpoints.update(keep=2, keep_period=0)
  config.measures = dict(
    behaviour=dict(every=1, examples=64),
    rank=dict(every=1, examples=100, levels=False),
    norms=dict(every=1),
  )
  window = dict(start=0, stop=WINDOW_OF_EIGHT)
  config.interventions = dict(
    rank=dict(strengths='-0.1,0.03', examples=64, **window),
    mean=dict(strengths='-0.5,0.5', **window),
  )
  config.arms = dict(margin=100.0)
  return config


def get_config(which: str = 'small') -> ConfigDict:
  """`small`, `registered`, `registered-P` of another modulus, or `eight`."""
  if which == 'eight':
    return _eight()
  size, _, p = which.partition('-')
  if size not in ('small', 'registered'):
    raise ValueError(
      f'{which!r} is none of small, registered, registered-P and eight'
    )
  config = modadd.get_config(p or '31')
  config.train.steps = 1500
  config.checkpoints.schedule = '10:100,25'
  # What is measured is read at once; populations are for going on alone.
  config.checkpoints.update(keep=2, keep_period=0, save_every=4)
  config.measures = dict(
    behaviour=dict(every=1),
    rank=dict(every=1, examples=200, levels=False),
    norms=dict(every=1),
  )
  rank = dict(strengths='-0.03,0.01', start=0, stop=WINDOW, examples=128)
  config.interventions = dict(rank=rank)
  config.arms = dict(grid='optimizer.weight_decay=1,2')
  if size == 'small':
    return config
  rank['strengths'] = '-0.1,-0.03,-0.01,0.003,0.006,0.01'
  config.interventions = dict(
    rank=rank, mean=dict(strengths='-0.5,0.5', start=0, stop=WINDOW)
  )
  config.arms = dict(
    each=dict(
      decay_half='optimizer.weight_decay=0.5',
      decay_twice='optimizer.weight_decay=2',
      rate_half='optimizer.rate=1e-3',
      rate_twice='optimizer.rate=4e-3',
    ),
    margin=75.0,
  )
  return config
