"""Small configurations that the tests share."""

import contextlib
import inspect

import jax
import jaxlib.version
import pytest
from ml_collections import ConfigDict

from emergence_jax.config.presets import algorithmic, modadd
from emergence_jax.measures import MEASURES

# What compiles in half of the time, for those who compute little. XLA ends a
# process for a flag that it does not know; a newer one may not know the last.
_QUICK = {
  'xla_backend_optimization_level': 0,
  'xla_llvm_disable_expensive_passes': True,
}
if jaxlib.version.__version_info__ < (0, 12):
  _QUICK['xla_cpu_use_fusion_emitters'] = False
QUICK = {
  'XLA_FLAGS': ' '.join(f'--{k}={str(v).lower()}' for k, v in _QUICK.items())
}
# What XLA does without those flags.
_USUAL = {
  name: 3 if name.endswith('level') else not value
  for name, value in _QUICK.items()
}


@contextlib.contextmanager
def compiled_as_for_users():
  """Programs of runs are compiled without `QUICK`.

  Where two programs are to give the same bits: how XLA fuses decides of that.
  """
  compile_ = jax.stages.Lowered.compile
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(
      jax.stages.Lowered,
      'compile',
      lambda self: compile_(self, compiler_options=_USUAL),
    )
    yield


# Every measure, with as little to do as can be.
ALL = dict(
  behaviour=dict(examples=4),
  rank=dict(examples=6),
  fisher=dict(examples=12),
  gradcov=dict(batches=4, batch_size=4, prefix=100),
  hessian=dict(k=3, num_matvecs=8, trace_matvecs=2, examples=12),
  llc=dict(
    examples=12, num_draws=8, num_burnin=2, num_chains=2, batch_size=4,
    elevation_draws=8, elevation_burnin=2,
  ),
  barrier=dict(points=3, examples=12),
  probes=dict(examples=60),
  alignment=dict(examples=6),
)  # fmt: skip


def options(name: str) -> dict:
  """Options with which a measure has little to do; few examples if new."""
  known = inspect.signature(MEASURES[name]).parameters
  few = {'examples': 12} if 'examples' in known else {}
  return ALL.get(name, few)


# Enough for what does not depend on which measures there are.
_SOME = dict(
  behaviour=dict(), rank=dict(examples=10), barrier=ALL['barrier']
)  # fmt: skip


def modadd_config(steps: int = 6, count: int = 2, **groups) -> ConfigDict:
  """Modular addition mod 5 with a tiny decoder."""
  config = modadd.get_config('5')
  config.model = dict(
    num_layers=1, d_model=8, num_heads=2, d_ff=16, num_positions=3
  )
  config.train.steps = steps
  config.seeds.count = count
  config.checkpoints.schedule = '2'
  config.measures = ConfigDict(_SOME)
  for name, values in groups.items():
    config[name].update(values)
  return config


def algorithmic_config(steps: int = 4, count: int = 2) -> ConfigDict:
  """The eight tasks with a tiny decoder."""
  config = algorithmic.get_config('smoke')
  config.model = dict(
    num_layers=2, d_model=16, num_heads=2, d_ff=32, num_positions=48
  )
  config.task.batch_size = 8
  config.optimizer.warmup = 2
  config.train.steps = steps
  config.seeds.count = count
  config.checkpoints.schedule = '2'
  config.measures = dict(behaviour=dict(examples=4), rank=dict(examples=6))
  return config
