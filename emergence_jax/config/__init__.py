"""Configurations: their schema, defaults and checks."""
