"""Benchmarks: `python -m experiments.bench train`."""
