"""Many seeds of small transformers, and the geometry of their learning.

Reading a run needs neither JAX nor a model:

  from emergence_jax import timeseries
  data = timeseries.load('runs/2026-01-31-120000-modadd-31')
  data.accuracy.median('seed').plot(x='step')

The measures take any pytree of parameters and any loss; JAX is imported when
a name that needs it is first used:

  import emergence_jax as ej
  ej.hessian_eigenvalues(loss, params, batch, jax.random.key(0), k=5)

Everything public is an attribute of this package; `docs/api.md` describes it.
Modules behind it may move between versions.
"""

import importlib.metadata

import lazy_loader

# The names are those of `__init__.pyi`.
_lazy, _names, __all__ = lazy_loader.attach_stub(__name__, __file__)
__dir__ = _names


def __getattr__(name: str):
  if name == '__version__':
    return importlib.metadata.version('emergence_jax')
  return _lazy(name)
