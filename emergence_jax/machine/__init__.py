"""Devices, processes, signals, compiling and profiling."""
