"""Seeds over devices: no device waits for another."""

import json
import pathlib
import subprocess
import sys

import pytest

from tests import apps

ROOT = pathlib.Path(__file__).parents[1]
COLLECTIVES = (
  'all-reduce', 'all-gather', 'all-to-all', 'reduce-scatter',
  'collective-permute', 'collective-broadcast',
)  # fmt: skip
# Compiles the training and two measures of eight seeds on four devices.
CODE = """
import json
import jax
jax.config.update('jax_num_cpu_devices', 4)
from emergence_jax.config import schema
from emergence_jax.running import programs
from tests import small
given = small.modadd_config(count=8)
built = programs.Programs(schema.from_mapping(given))
built.compile()
print(json.dumps({
  name: built.program(name).as_text()
  for name in (programs.TRAINING, *built.measures)
}))
"""


@pytest.mark.nightly
def test_compiled_programs_hold_no_collectives():
  done = subprocess.run(
    [sys.executable, '-c', CODE], cwd=ROOT, capture_output=True, text=True
  )
  assert done.returncode == 0, done.stderr
  texts = json.loads(done.stdout.splitlines()[-1])
  assert texts.keys() == {'training', 'behaviour', 'rank', 'barrier'}
  for name, text in texts.items():
    # Four partitions of the same program, and nothing between them.
    assert 'num_partitions=4' in text, name
    for word in COLLECTIVES:
      assert word not in text, f'{name}: {word}'


def test_a_platform_that_is_not_there_is_one_line(tmp_path):
  done = apps.call(
    'run', 'modadd:5', f'--workdir={tmp_path}', JAX_PLATFORMS='cuda'
  )
  assert done.returncode == 1 and "JAX_PLATFORMS='cuda'" in done.stderr
  assert len(done.stderr.splitlines()) == 1
