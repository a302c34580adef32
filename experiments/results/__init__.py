"""What our own runs say: their packed timeseries, tables and figures."""
