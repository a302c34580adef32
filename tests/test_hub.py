"""Released checkpoints by the hub's own library, from a hub on loopback."""

import shutil
import sys

import pytest
import xarray as xr

from emergence_jax.base.types import Status, UserError
from emergence_jax.running.sources import folders, hub
from emergence_jax.store import timeseries
from tests import apps, hub_server, release

WEIGHTS = 'model.safetensors'


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  """Two seeds of three revisions; one of them is another's again."""
  folder = tmp_path_factory.mktemp('hub')
  release.train(folder, [1, 2], [0, 1, 2])
  first = folder / 'tiny-seed1'
  shutil.copy(first / 'step2' / WEIGHTS, first / 'step1' / WEIGHTS)
  return folder


def measure(checkpoints, workdir, url, cache):
  """The app, in an environment that knows of one hub alone."""
  return apps.call(
    'measure', '--config=configs/pythia.py:tiny',
    f'--checkpoints={checkpoints}', f'--workdir={workdir}',
    '--measures=choice,barrier', '--config.release.sets=patterns',
    '--config.release.delete=true', HF_ENDPOINT=url, HF_HUB_CACHE=str(cache),
    HF_HUB_DISABLE_TELEMETRY='1',
  )  # fmt: skip


@pytest.mark.nightly
def test_fetched_one_by_one_and_let_go(root, tmp_path):
  cache, both = tmp_path / 'cache', 'hub:org/tiny-seed1,org/tiny-seed2'
  with hub_server.serving(root) as (url, asked):
    done = measure(both, tmp_path / 'far', url, cache)
  assert done.returncode == 0, done.stderr
  assert f'seed 1, step 1 is left out: its {WEIGHTS} is that' in done.stdout
  fetched = [r for r in asked if r.startswith('GET') and WEIGHTS in r]
  # The repeat is known without its weights.
  assert len(set(fetched)) == 5
  # And what there is of a revision is asked for once.
  listed = [r for r in asked if r.startswith('GET') and '/tree/step' in r]
  assert len(listed) == len(set(listed)) == 6
  assert not list(cache.rglob('*.safetensors'))
  near = measure(root, tmp_path / 'near', 'http://127.0.0.1:9', cache)
  assert near.returncode == 0, near.stderr
  far = timeseries.load(tmp_path / 'far').load()
  xr.testing.assert_equal(far, timeseries.load(tmp_path / 'near').load())
  assert far.status.sel(seed=1, step=1) == Status.REPEATED
  # Nothing is marked where the hub does not answer.
  lost = measure(both, tmp_path / 'lost', 'http://127.0.0.1:9', cache)
  assert (
    lost.returncode == 1 and 'could not be fetched from the hub' in lost.stderr
  )
  assert 'Traceback' not in lost.stderr and not (tmp_path / 'lost').exists()


def test_what_is_refused(monkeypatch):
  with pytest.raises(UserError, match='names no repository'):
    hub.find(' , ')
  monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
  with pytest.raises(UserError, match=r"pip install 'emergence_jax\[hub\]'"):
    hub.find('org/name')


@pytest.mark.parametrize(
  'name,step',
  [('step1000', 1000), ('step-5', 5), ('main', None), ('step1x', None)],
)
def test_steps_of_names(name, step):
  assert folders.step_of(name) == step
