"""Figures, tables and the page, made from timeseries alone."""
