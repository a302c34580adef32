"""A signal ends what a kill does not harm, at once and with a sentence."""

import signal
import subprocess
import sys

import pytest

from emergence_jax.machine import stopping

# A call that Python's own handlers would wait for, some minutes long.
_WORK = """
import jax
import jax.numpy as jnp
from emergence_jax.machine import stopping

@jax.jit
def long(x):
  # Said by the compiled program itself.
  jax.debug.callback(lambda: print('begun', flush=True))
  return jax.lax.fori_loop(0, 10**7, lambda i, x: jnp.sin(x @ x), x)

with stopping.at_once('all is kept.'):
  long(jnp.ones((200, 200))).block_until_ready()
  print('ended', flush=True)
"""


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_within_a_long_call(number):
  process = subprocess.Popen(
    [sys.executable, '-c', _WORK], stdout=subprocess.PIPE, text=True
  )
  assert process.stdout.readline() == 'begun\n'
  process.send_signal(number)
  out, _ = process.communicate(timeout=60)
  assert out == f'stopped by {number.name}: all is kept.\n'
  assert process.returncode == stopping.TRY_AGAIN


def test_handlers_are_put_back():
  before = signal.getsignal(signal.SIGTERM)
  with stopping.at_once(''):
    assert signal.getsignal(signal.SIGTERM) is not before
  assert signal.getsignal(signal.SIGTERM) is before
