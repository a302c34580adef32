"""Calling the apps as a person does, in a process of their own."""

import os
import pathlib
import subprocess
import sys

from tests import small

ROOT = pathlib.Path(__file__).parents[1]


def start(app: str, *flags, **environment) -> subprocess.Popen:
  """Starts `python -m experiments.APP` in the checkout; output is text."""
  return subprocess.Popen(
    [sys.executable, '-m', f'experiments.{app}', *map(str, flags)], cwd=ROOT,
    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    env={**os.environ, **small.QUICK, **environment},
  )  # fmt: skip


def wait_for(process: subprocess.Popen, words: str = 'compiled in') -> None:
  """Reads what a process prints, up to a line with these words."""
  for line in process.stdout:
    if words in line:
      return
  raise AssertionError(f'{words!r} was not said: {process.stderr.read()}')


def is_going_on(process: subprocess.Popen, seconds: float = 0.02) -> bool:
  """Whether a process still runs after so long; costs no processor time."""
  try:
    process.wait(timeout=seconds)
  except subprocess.TimeoutExpired:
    return True
  return False


def call(app: str, *flags, **environment) -> subprocess.CompletedProcess:
  """Calls an app to its end."""
  process = start(app, *flags, **environment)
  out, err = process.communicate()
  return subprocess.CompletedProcess(process.args, process.returncode, out, err)
