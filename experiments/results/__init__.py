"""What our own runs say: packed timeseries, tables and figures."""
