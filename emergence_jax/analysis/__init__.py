"""Analysis of timeseries: NumPy, SciPy and xarray, without JAX."""
