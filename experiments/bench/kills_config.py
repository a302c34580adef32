"""A run with every measure, small enough to be killed many times."""

from emergence_jax.config.presets import modadd


def get_config(first: str = '0'):
  """60 steps of a tiny model from a seed on, a checkpoint every second step."""
  config = modadd.get_config('5')
  config.model = dict(
    num_layers=1, d_model=8, num_heads=2, d_ff=16, num_positions=3
  )
  config.train.steps = 60
  config.seeds = dict(first=int(first), count=2)
  config.checkpoints = dict(schedule='2', keep=0, keep_period=0)
  config.measures = dict(
    behaviour=dict(), rank=dict(examples=10), fisher=dict(examples=12),
    gradcov=dict(batches=4, batch_size=4, prefix=100),
    hessian=dict(k=3, num_matvecs=8, trace_matvecs=2, examples=12),
    llc=dict(
      examples=12, num_draws=8, num_burnin=2, num_chains=2, batch_size=4,
      elevation_draws=8, elevation_burnin=2,
    ),
    probes=dict(examples=60),
    barrier=dict(points=3, examples=12, on=False),
    alignment=dict(examples=6, on=False),
  )  # fmt: skip
  return config
