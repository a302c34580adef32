"""What all tests share: two virtual devices, and programs compiled once."""

import os
import tempfile

import pytest

from tests import small

# Tests compile much and compute little.
os.environ.setdefault('XLA_FLAGS', small.QUICK['XLA_FLAGS'])
# Workers of one session share the cores; see `emergence_jax/cli/apps.py`.
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')

import jax  # noqa: E402

jax.config.update('jax_num_cpu_devices', 2)
# The same small programs are built again and again; each is compiled once.
# Workers of one session inherit the folder.
CACHE = os.environ.setdefault(
  'EMERGENCE_JAX_TEST_CACHE', tempfile.mkdtemp('-jax-cache')
)
jax.config.update('jax_compilation_cache_dir', CACHE)
jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.2)
# So do the processes that tests start.
os.environ['JAX_COMPILATION_CACHE_DIR'] = CACHE
os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0.2'


def pytest_collection_modifyitems(items):
  """Slow tests first: a long one at the end would run alone."""
  items.sort(key=lambda item: 'slow' not in item.keywords)


# Needs PyTorch and transformers, and is run by hand.
collect_ignore = ['make_parity.py']


@pytest.fixture(scope='session')
def finished(tmp_path_factory):
  """The folder of a run of `small.modadd_config`, not to be changed."""
  from emergence_jax.config import schema
  from emergence_jax.running import loop

  workdir = tmp_path_factory.mktemp('finished')
  checked = schema.from_mapping(small.modadd_config())
  assert loop.run(checked, workdir, lambda line: None).name == 'FINISHED'
  return workdir
