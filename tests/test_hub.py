"""Released checkpoints by the hub's own library, from a hub on loopback."""

import collections
import contextlib
import random
import shutil
import sys
import threading
import time

import pytest
import xarray as xr

from emergence_jax.base.types import Status, UserError
from emergence_jax.models import released
from emergence_jax.running import releases
from emergence_jax.running.sources import hub
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


@pytest.fixture
def here(root, tmp_path, monkeypatch):
  """The library talks to the hub on loopback; the requests that came."""
  cache = tmp_path / 'cache'
  with hub_server.library(root, cache, monkeypatch) as asked:
    yield cache, asked


@pytest.mark.parametrize('there', ['nothing', 'description', 'all', 'other'])
def test_only_what_was_fetched_here_is_deleted(here, there):
  cache, _ = here
  before = hub.find('org/tiny-seed2').revisions[2][2]
  if there == 'description':
    before.describe()
  if there == 'all':
    before.fetch()
  if there == 'other':
    hub.find('org/tiny-seed2').revisions[2][0].fetch()

  def kept():
    every = (p for p in cache.rglob('*') if p.is_file())
    return {p for p in every if {'blobs', 'snapshots'} & set(p.parts)}

  files = kept()
  place = hub.find('org/tiny-seed2', delete=True).revisions[2][2]
  assert (place.fetch() / WEIGHTS).exists()
  place.drop()
  assert kept() == files


def test_downloads_leave_no_thread_behind(here):
  """A class of progress bars has a thread that stays, and suites are long."""
  every = hub.find('org/tiny-seed2').revisions[2]
  every[0].fetch()
  before = threading.active_count()
  for place in every.values():
    place.fetch()
  assert threading.active_count() == before


class _Lying:
  """Answers that are not what they ought to be, by a source of chance."""

  KINDS = (
    'redirect', 'elsewhere', 'endless', 'long', 'short', 'other', 'code',
    'no json', 'nothing', 'outside', 'wrong types',
  )  # fmt: skip

  def __init__(self, rng, place, kind):
    self.rng, self.place, self.kind, self.count = rng, place, kind, 0

  def __call__(self, handler):
    """Whether it has answered in the handler's place."""
    self.count += 1
    if self.count != self.place:
      return False
    body = self.rng.choice([
      b'{', b'[' * 9000, b'[]', b'{"branches": [{"name": 3}]}', b'null',
      b'{"siblings": [{"rfilename": "../../out.safetensors"}], "sha": "x"}',
      b'[{"type": "file", "path": "../x", "size": -1, "oid": 7}]',
    ])  # fmt: skip
    if self.kind in ('redirect', 'elsewhere'):
      handler.send_response(302)
      where = handler.path if self.kind == 'redirect' else 'file:///etc/passwd'
      handler.send_header('Location', where)
      handler.send_header('Content-Length', '0')
      handler.end_headers()
      return True
    if self.kind == 'code':
      handler.send_response(self.rng.choice([400, 401, 403, 404, 451]))
      handler.send_header('Content-Length', '0')
      handler.end_headers()
      return True
    handler.send_response(200)
    handler.send_header('ETag', '"abc"')
    handler.send_header('X-Repo-Commit', 'a' * 40)
    length = {'long': 10 * len(body), 'short': 1, 'nothing': 0}
    if self.kind != 'endless' or handler.command == 'HEAD':
      length = length.get(self.kind, len(body))
      handler.send_header('Content-Length', str(length))
    handler.end_headers()
    handler.close_connection = True
    if handler.command == 'HEAD' or self.kind == 'nothing':
      return True
    with contextlib.suppress(OSError):
      handler.wfile.write(body)
      for _ in range(64 if self.kind == 'endless' else 0):
        handler.wfile.write(b' ' * 2**20)
    return True


@pytest.mark.parametrize(
  'count', [11, pytest.param(400, marks=pytest.mark.nightly)]
)
def test_answers_that_are_made_to_mislead(root, here, tmp_path, count):
  """Ends in a message, with nothing outside of the cache; or it is right."""
  cache, asked = here
  right = released.fingerprints(root / 'tiny-seed2' / 'step2')
  before = set(tmp_path.iterdir())
  rng = random.Random(0)
  outcomes = collections.Counter()
  for case in range(count):
    shutil.rmtree(cache, ignore_errors=True)
    kind = _Lying.KINDS[case % len(_Lying.KINDS)]
    asked.lie = _Lying(rng, rng.randint(1, 9), kind)
    began = time.monotonic()
    try:
      place = hub.find('org/tiny-seed2').revisions[2][2]
      releases._encode(place.describe())
      folder = place.fetch()
      released.load_checkpoint(folder)
      assert released.fingerprints(folder) == right
      outcomes['right'] += 1
    except UserError as error:
      assert str(error)
      outcomes['refused'] += 1
    assert time.monotonic() - began < 20
    assert set(tmp_path.iterdir()) <= before | {cache}
    size = sum(p.stat().st_size for p in cache.rglob('*') if p.is_file())
    assert size < 2**24
  assert min(outcomes.values()) > 0 and len(outcomes) == 2


def test_what_is_refused(monkeypatch):
  with pytest.raises(UserError, match='names no repository'):
    hub.find(' , ')
  monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
  with pytest.raises(UserError, match=r"pip install 'emergence_jax\[hub\]'"):
    hub.find('org/name')
