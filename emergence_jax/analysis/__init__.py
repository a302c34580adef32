"""Analysis of timeseries: NumPy, SciPy and xarray, without JAX."""

import lazy_loader

# Public as attributes of `emergence_jax`, too.
__getattr__, __dir__, __all__ = lazy_loader.attach(
  __name__, ['emergence', 'precedence']
)
