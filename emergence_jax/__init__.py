"""Many seeds of small transformers, and the geometry of their learning.

Reading a run needs neither JAX nor a model:

  from emergence_jax import timeseries
  data = timeseries.load('runs/2026-01-31-120000-modadd-31')
  data.accuracy.median('seed').plot(x='step')
"""
