"""Files on disk: timeseries, saved populations, damage checks, export."""

import lazy_loader

# Public as attributes of `emergence_jax`, too.
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ['timeseries'])
