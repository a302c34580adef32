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
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what editors and type checkers see; see `__getattr__`
  from emergence_jax.loading import load_params as load_params
  from emergence_jax.models.adapters import from_equinox as from_equinox
  from emergence_jax.models.adapters import from_nnx as from_nnx
  from emergence_jax.models.released import load_checkpoint as load_checkpoint
  from emergence_jax.numerics.barrier import loss_barrier as loss_barrier
  from emergence_jax.numerics.calibration import calibrate_llc as calibrate_llc
  from emergence_jax.numerics.gram import (
    fisher_effective_rank as fisher_effective_rank,
  )
  from emergence_jax.numerics.gram import (
    gradient_covariance_rank as gradient_covariance_rank,
  )
  from emergence_jax.numerics.hessian import hessian_density as hessian_density
  from emergence_jax.numerics.hessian import (
    hessian_eigenvalues as hessian_eigenvalues,
  )
  from emergence_jax.numerics.hessian import hessian_trace as hessian_trace
  from emergence_jax.numerics.hessian import (
    operator_eigenvalues as operator_eigenvalues,
  )
  from emergence_jax.numerics.llc import PAPER_SETTINGS as PAPER_SETTINGS
  from emergence_jax.numerics.llc import estimate_llc as estimate_llc
  from emergence_jax.numerics.probes import linear_probe as linear_probe
  from emergence_jax.numerics.spectrum import effective_rank as effective_rank
  from emergence_jax.numerics.spectrum import (
    participation_ratio as participation_ratio,
  )
  from emergence_jax.numerics.spectrum import rankme as rankme
  from emergence_jax.recording import measure_checkpoints as measure_checkpoints
  from emergence_jax.recording import measures_of as measures_of
  from emergence_jax.types import Status as Status

  __version__: str

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


if not TYPE_CHECKING:  # who would take any name for one

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
  return sorted([*(n for n in globals() if n[0] == '_'), *_PUBLIC])
