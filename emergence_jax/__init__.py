"""Many seeds of small transformers, and the geometry of their learning.

Reading a run needs neither JAX nor a model:

  from emergence_jax import timeseries
  data = timeseries.load('runs/2026-01-31-120000-modadd-31')
  data.accuracy.median('seed').plot(x='step')

The measures take any pytree of parameters and any loss; JAX is imported when
one of them is first named:

  import emergence_jax as ej
  ej.hessian_eigenvalues(loss, params, batch, jax.random.key(0), k=5)
"""

import importlib
import importlib.metadata

# Public name → the module that it lives in; of `numerics`, if no dot is in it.
_PUBLIC = {
  'rankme': 'spectrum',
  'effective_rank': 'spectrum',
  'participation_ratio': 'spectrum',
  'fisher_effective_rank': 'gram',
  'gradient_covariance_rank': 'gram',
  'hessian_eigenvalues': 'hessian',
  'hessian_density': 'hessian',
  'hessian_trace': 'hessian',
  'operator_eigenvalues': 'hessian',
  'estimate_llc': 'llc',
  'calibrate_llc': 'calibration',
  'PAPER_SETTINGS': 'llc',
  'linear_probe': 'probes',
  'loss_barrier': 'barrier',
  'load_checkpoint': 'models.released',
  'load_params': '.loading',
  'measures_of': '.recording',
  'measure_checkpoints': '.recording',
  'from_nnx': 'models.adapters',
  'from_equinox': 'models.adapters',
  'Status': '.types',
}
__all__ = list(_PUBLIC)


def __getattr__(name: str):
  if name == '__version__':
    return importlib.metadata.version('emergence_jax')
  if name not in _PUBLIC:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  place = _PUBLIC[name]
  place = place if '.' in place else f'numerics.{place}'
  module = importlib.import_module(f'{__name__}.{place.lstrip(".")}')
  return getattr(module, name)


def __dir__():
  return sorted([*globals(), *_PUBLIC])
