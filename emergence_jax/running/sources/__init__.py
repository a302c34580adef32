"""Sources of parameters: a training, saved populations, a release.

A source gives parameters step by step; `base.measure` is the one way from
those to the rows of a timeseries.
"""
