"""The eight algorithmic tasks, at the paper's six sizes.

  python -m experiments.run --config=configs/algorithmic.py:smoke
  python -m experiments.run --config=configs/algorithmic.py:nano

and so on to `:xlarge`; at any size `:nano,cpu` thins the measures for a CPU and
`:nano,gpu` is for accelerators, on which the training takes minutes.
Measured on 2 CPU cores:

  smoke    2 seeds of 240 steps in 2 min 30 s. The constant answers of the
           easiest tasks begin to appear; RankMe collapses and recovers.
  nano     to step 540 with 2 seeds: at `=` RankMe of the last block falls
           from 7.5 to 2.1 for MOD and 2.2 for ADD, from 6.5 to 1.9 for SORT
           and from 7.1 to 2.1 for MUL, with its minimum between steps 320 and
           380. About 20 seed-steps a second without measures; not measured to
           its end, nor are the larger sizes.
"""

from ml_collections import ConfigDict

# Peak rate and steps by size: arXiv:2602.15997, table 1.
_PROTOCOL = {
  'nano': (3e-4, 100_000),
  'micro': (3e-4, 100_000),
  'small': (3e-4, 100_000),
  'medium': (1e-4, 200_000),
  'large': (1e-4, 200_000),
  'xlarge': (1e-4, 200_000),
}


def _thinned(config: ConfigDict) -> None:
  """What a CPU can do: the same measures, at fewer checkpoints.

  Accuracy is that of 200 fresh examples, whose standard error is at most 3.6%,
  in the place of 1,000; an exam of those has the products of 90 training
  steps. The Hessian is that of 250 examples, and not of 1,000; the LLC that of
  the hard tasks, in minibatches of 16 and not of 64 (its `llc_bias` says what
  their noise adds). RankMe is not taken of each level by itself, for which 600
  examples of a task would go through the model, and not 200.
  Populations are saved often, so that a measure that is left out (by
  `--measures`) can be made up for by `experiments.measure`.
  """
  config.checkpoints.keep_period = 500
  config.measures.behaviour.examples = 200
  config.measures.barrier.update(every=4, examples=200)
  config.measures.rank.levels = False
  for name in ('fisher', 'gradcov', 'alignment', 'probes', 'hessian', 'llc'):
    config.measures[name].every = 4
  config.measures.hessian.examples = 250
  config.measures.llc.update(batch_size=16, tasks='ADD,MOD,SORT,MUL')


def _for_an_accelerator(config: ConfigDict) -> None:
  """Training in minutes, of which measures are to take a tenth.

  Accuracy, RankMe, barrier and norms at every checkpoint, all else at one in
  six, which is 41 of 246; and products that round to TensorFloat-32.
  Populations are kept, so that what is left out can be measured later.
  """
  config.train.precision = 'tensorfloat32'
  config.checkpoints.keep_period = 1000
  for name in ('fisher', 'gradcov', 'alignment', 'probes', 'hessian', 'llc'):
    config.measures[name].every = 6


_PROFILES = {'cpu': _thinned, 'gpu': _for_an_accelerator}


def get_config(argument: str = 'nano') -> ConfigDict:
  """The protocol at one size, or `smoke`: some minutes on a CPU.

  Args:
    argument: a size, or a size and a profile: `,cpu` or `,gpu`.
  """
  size, _, profile = argument.partition(',')
  if profile and profile not in _PROFILES:
    known = ' or '.join(map(repr, _PROFILES))
    raise ValueError(f'the profile {profile!r} is not {known}')
  smoke = size == 'smoke'
  # An unknown size passes through, and is refused with the nearest known one.
  rate, steps = _PROTOCOL.get(size, _PROTOCOL['nano'])
  config = ConfigDict()
  config.reference = dict(name='algorithmic')
  config.task = dict(name='algorithmic', batch_size=64)
  config.model = dict(size='nano' if smoke else size, num_positions=48)
  config.optimizer = dict(
    rate=rate,
    warmup=1000,
    decay='cosine',
    b1=0.9,
    b2=0.95,
    weight_decay=0.1,
    clip_norm=1.0,
  )
  config.train = dict(steps=steps)
  config.seeds = dict(count=8, first=0)
  config.checkpoints = dict(
    schedule='20:1000,100:10000,500:50000,2000', keep=3, keep_period=10_000
  )
  config.measures = dict(
    behaviour=dict(every=1, examples=1000),
    rank=dict(every=1, examples=200),
    fisher=dict(every=1, examples=200),
    gradcov=dict(every=1, batches=32, batch_size=64),
    hessian=dict(every=2, k=20, num_matvecs=60, examples=1000),
    llc=dict(
      every=2,
      step_size=1e-6,
      localization=10_000.0,
      num_chains=2,
      num_draws=200,
      num_burnin=200,
      batch_size=64,
    ),
    barrier=dict(every=1, examples=1000),
    probes=dict(every=1, examples=1000),
    alignment=dict(every=1, examples=200),
    norms=dict(every=1),
  )
  if smoke:
    config.optimizer.update(rate=1e-3, warmup=50)
    config.train.steps = 240
    config.seeds.count = 2
    config.checkpoints.schedule = '20'
    config.measures = dict(
      behaviour=dict(examples=20),
      rank=dict(examples=30),
      fisher=dict(every=2, examples=30),
      gradcov=dict(every=2, batches=8, batch_size=16),
      hessian=dict(every=6, k=3, num_matvecs=10, trace_matvecs=4, examples=48),
      llc=dict(
        every=12,
        examples=48,
        num_chains=1,
        num_draws=8,
        num_burnin=2,
        batch_size=8,
        elevation_draws=8,
        elevation_burnin=2,
      ),
      barrier=dict(points=5, examples=48),
      probes=dict(every=2, examples=60),
      alignment=dict(every=2, examples=24),
    )
  if profile:
    _PROFILES[profile](config)
  return config
