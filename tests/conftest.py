"""What all tests share: two virtual devices, and programs compiled once."""

import gc
import json
import os
import pathlib
import shutil

import pytest

# Read when NumPy is imported: workers of one session share the cores.
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')

import jax  # noqa: E402

from emergence_jax.machine import compiling  # noqa: E402
from tests import browsing, budget, small  # noqa: E402

# Tests compile much and compute little.
os.environ.setdefault('XLA_FLAGS', small.QUICK['XLA_FLAGS'])

jax.config.update('jax_num_cpu_devices', 2)
# The same small programs are built again and again, by workers, by processes
# that tests start, and by the next session.
CACHE = (
  compiling.default_folder().parents[1]
  / 'tests'
  / (f'{compiling.default_folder().name}-jax-{jax.__version__}')
)
_MOST_BYTES = 2e9
os.environ.setdefault('EMERGENCE_JAX_TEST_CACHE', str(CACHE))
os.environ['JAX_COMPILATION_CACHE_DIR'] = os.environ['EMERGENCE_JAX_TEST_CACHE']
os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0.2'
jax.config.update(
  'jax_compilation_cache_dir', os.environ['JAX_COMPILATION_CACHE_DIR']
)
jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.2)

# Needs PyTorch and transformers, and is run by hand.
# They need torch.
collect_ignore = ['make_parity.py', 'parity_models.py']


def pytest_configure(config):
  """Clears a cache that has grown large, before the workers start."""
  if not hasattr(config, 'workerinput') and CACHE.exists():
    size = sum(p.stat().st_size for p in CACHE.iterdir())
    if size > _MOST_BYTES:
      shutil.rmtree(CACHE, ignore_errors=True)


def pytest_collection_modifyitems(items):
  """Slow tests first: a long one at the end would run alone."""
  items.sort(key=lambda item: 'slow' not in item.keywords)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
  item.stash[budget.CLOCK] = budget.processor_seconds()


def _maps() -> tuple[int, int]:
  """Stretches of memory that this process has mapped, and the most of them."""
  try:
    lines = pathlib.Path('/proc/self/maps').read_text().count('\n')
    most = int(pathlib.Path('/proc/sys/vm/max_map_count').read_text())
  except OSError:  # not Linux
    return 0, 1
  return lines, most


@pytest.fixture(scope='module', autouse=True)
def _memory_maps_suffice():
  """Forgets compiled programs before their maps run out.

  Each has three; where none is left, the compiler crashes (SIGSEGV).
  """
  yield
  mapped, most = _maps()
  if mapped > most / 2:
    jax.clear_caches()
    gc.collect()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
  """Adds to each report the processor time of its phase, children included."""
  report = yield
  now = budget.processor_seconds()
  spent = now - item.stash.get(budget.CLOCK, now)
  item.stash[budget.CLOCK] = now
  report.user_properties = [*report.user_properties, ('processor', spent)]
  return report


def pytest_terminal_summary(terminalreporter):
  """Prints the dearest tests by processor time."""
  for line in budget.dearest(terminalreporter.stats):
    terminalreporter.write_line(line)


@pytest.fixture(scope='session', autouse=True)
def _programs_are_kept():
  """Runs of one configuration share their compiled programs."""
  from emergence_jax.running import programs

  kept = {}

  class Kept(programs.Programs):
    """Programs that compile once a session."""

    def __new__(cls, config):
      key = json.dumps(config.raw, sort_keys=True)
      if key not in kept:
        kept[key] = super().__new__(cls)
      return kept[key]

    def __init__(self, config):
      if not hasattr(self, 'measures'):
        super().__init__(config)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(programs, 'Programs', Kept)
    yield


@pytest.fixture(scope='session')
def finished(tmp_path_factory):
  """The folder of a run of `small.modadd_config`, not to be changed."""
  from emergence_jax.config import schema
  from emergence_jax.running import loop

  workdir = tmp_path_factory.mktemp('finished')
  checked = schema.from_mapping(small.modadd_config())
  assert loop.run(checked, workdir, lambda line: None).name == 'FINISHED'
  return workdir


@pytest.fixture(scope='session')
def chromium():
  """A browser, for the tests that open the page."""
  sync_api = pytest.importorskip('playwright.sync_api')
  with sync_api.sync_playwright() as browsers:
    flags = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
             '--disable-background-networking']  # fmt: skip
    one = browsers.chromium.launch(executable_path=browsing.BROWSER, args=flags)
    yield one
    one.close()
