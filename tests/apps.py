"""Calling the apps as a person does, in a process of their own."""

import os
import pathlib
import subprocess
import sys

from tests import small

ROOT = pathlib.Path(__file__).parents[1]


def call(app: str, *flags, **environment) -> subprocess.CompletedProcess:
  """Calls `python -m experiments.APP` in the checkout; output is text."""
  return subprocess.run(
    [sys.executable, '-m', f'experiments.{app}', *map(str, flags)], cwd=ROOT,
    capture_output=True, text=True,
    env={**os.environ, **small.QUICK, **environment},
  )  # fmt: skip
