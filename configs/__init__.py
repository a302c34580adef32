"""Configurations of runs; each file opens with the command that runs it."""
