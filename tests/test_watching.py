"""The page of a run that goes on."""

import contextlib
import html
import json
import shutil
import threading
import urllib.error
import urllib.request

import pytest

from emergence_jax.analysis import runs
from emergence_jax.base.types import UserError
from emergence_jax.cli import previews
from emergence_jax.config import schema
from emergence_jax.report import page, watching
from emergence_jax.running import loop
from emergence_jax.store import rows
from tests import small


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('run') / 'whole'
  loop.run(
    schema.from_mapping(small.modadd_config()), workdir, lambda line: None
  )
  return workdir


@pytest.fixture
def begun(run, tmp_path):
  """The same, as it was at step 2 of 6."""
  shutil.copytree(run, tmp_path / 'begun')
  rows.Writer(tmp_path / 'begun').drop_after(2)
  return tmp_path / 'begun'


@contextlib.contextmanager
def serving(workdir):
  """The address of a server; its thread ends with it."""
  with watching.server([workdir]) as (address, serve):
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield address
  thread.join(timeout=30)
  assert not thread.is_alive()


@pytest.fixture(autouse=True)
def clock(monkeypatch):
  """A clock that is set by hand."""
  now = [0.0]
  monkeypatch.setattr(watching.time, 'monotonic', lambda: now[0])
  return now


@pytest.fixture
def served(begun):
  with serving(begun) as address:
    yield begun, address


def get(address):
  with urllib.request.urlopen(address, timeout=30) as answer:
    return answer.read().decode()


def test_it_shows_what_is_new(served, run):
  begun, address = served
  assert address.startswith('http://127.0.0.1:')
  content = html.unescape(get(address))
  assert 'data-watched="data"' in content and "connect-src 'self'" in content
  assert '2 seeds at step 2 of 6. What moved first is tested at' in content
  first = json.loads(get(f'{address}data'))
  assert first['data'] in content
  shutil.rmtree(begun)
  shutil.copytree(run, begun)
  second = json.loads(get(f'{address}data'))
  assert second['state'].endswith(
    'at step 6. All is there; the report tests what moved first.'
  )
  assert second['data'] != first['data']


def test_reading_takes_a_share_of_the_time(served, run, clock, monkeypatch):
  begun, address = served
  load = runs.load

  def slow(workdirs):
    clock[0] += 3
    return load(workdirs)

  monkeypatch.setattr(watching.runs_lib, 'load', slow)
  first = json.loads(get(f'{address}data'))
  assert clock[0] == 3
  shutil.rmtree(begun)
  shutil.copytree(run, begun)
  for seconds, is_new in ((11, False), (2, True)):
    clock[0] += seconds
    assert (json.loads(get(f'{address}data')) != first) == is_new


def test_nobody_gets_anything_without_the_address(served):
  _, address = served
  root = address.rsplit('/', 2)[0]
  for path in ('/', '/data', '/../', '/x/data'):
    with pytest.raises(urllib.error.HTTPError, match='404'):
      get(f'{root}{path}')


def test_before_the_first_rows_and_after_the_last(served):
  begun, address = served
  get(address)
  rows.Writer(begun).drop_after(0)
  with serving(begun) as other:
    assert 'this page looks again' in get(other)
  shutil.rmtree(begun)
  with pytest.raises(urllib.error.HTTPError, match='503'):
    get(address)


def test_a_port_that_is_taken(begun):
  with watching.server([begun]) as (address, _):
    port = int(address.split(':')[2].split('/')[0])
    with pytest.raises(UserError, match=f'--port={port}: .*give another'):
      with watching.server([begun], port):
        pass


def test_the_page_is_made_while_the_run_goes_on(begun):
  pages = previews.Previews(begun, [0, 1, 2, 3, 4, 5, 6])
  pages(1)
  assert not pages.path.exists()
  pages(2)
  pages.close()
  content = pages.path.read_text()
  assert content == page.live(runs.load([begun]))
  assert 'step 2 of 6' in content and "connect-src 'self'" not in content
  # What goes wrong costs a page, and not the run.
  shutil.rmtree(begun)
  pages(3)
  pages.close()


def test_a_run_tells_of_its_rows(tmp_path):
  said = []
  config = schema.from_mapping(small.modadd_config())
  loop.run(config, tmp_path / 'run', lambda line: None, on_row=said.append)
  assert said == config.steps.tolist()
