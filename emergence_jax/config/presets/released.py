"""Released checkpoints of any architecture that is read.

  python -m experiments.measure --config=configs/released.py \\
    --checkpoints=DIR --workdir=runs/some

DIR holds one folder a revision (`step1000`, with config.json, weights and
tokenizer.json), or one folder a seed that holds those; or it is hub:ORG/NAME.
"""

from ml_collections import ConfigDict


def get_config(size: str = '') -> ConfigDict:
  """What is measured; the model's shape is that of the checkpoints.

  Args:
    size: of the model, as `160m` or `7b`: of billions fewer gradients are in
      memory at once.
  """
  at_once = 1 if size.endswith('b') else 4
  config = ConfigDict()
  config.release = dict(name='', sets='', dtype='float32')
  config.measures = dict(
    choice=dict(every=1, examples_at_once=8),
    rank=dict(every=1, examples=200),
    fisher=dict(every=1, examples=16, examples_at_once=at_once),
    gradcov=dict(every=1, batches=16, batch_size=16, batches_at_once=at_once),
    barrier=dict(every=1, points=5, examples=64, examples_at_once=8),
    # Work for an accelerator; switch them on by --measures.
    hessian=dict(
      on=False, every=4, k=5, num_matvecs=16, trace_matvecs=4, examples=64,
      examples_at_once=8,
    ),
    llc=dict(
      on=False, every=4, examples=16, batch_size=8, num_chains=2,
      num_draws=200, num_burnin=200, step_size=1e-7, localization=100_000.0,
    ),
  )  # fmt: skip
  return config
