"""The documentation is built, its notebook runs, and its links lead there."""

import html.parser
import pathlib
import subprocess
import sys
import urllib.parse

import pytest

import emergence_jax as ej

ROOT = pathlib.Path(__file__).parents[1]
PAGES = (
  'index', 'tutorial', 'gallery', 'running', 'configuration', 'measures',
  'method', 'extending', 'howto', 'calibrating', 'pod',
  'results', 'api',
)  # fmt: skip


class _Links(html.parser.HTMLParser):
  """What a page refers to, what it loads, and what can be referred to."""

  def __init__(self, text: str):
    super().__init__()
    self.links: list[str] = []
    self.loads: list[str] = []
    self.ids: set[str] = set()
    self.feed(text)

  def handle_starttag(self, tag, attrs):
    found = dict(attrs)
    if 'id' in found:
      self.ids.add(found['id'])
    if tag == 'a' and found.get('href'):
      self.links.append(found['href'])
    if tag in ('img', 'script', 'iframe') and found.get('src'):
      self.loads.append(found['src'])
    if tag == 'link' and found.get('rel') == 'stylesheet':
      self.loads.append(found['href'])


def _built(folder):
  """The built site, by pages; a warning is an error."""
  done = subprocess.run(
    [sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-q', '-D',
     f'nb_execution_cache_path={folder / "cache"}', 'docs', folder / 'html'],
    cwd=ROOT, capture_output=True, text=True,
  )  # fmt: skip
  assert not done.returncode, done.stdout + done.stderr
  pages = (folder / 'html').glob('*.html')
  return {p.name: _Links(p.read_text(encoding='utf-8')) for p in pages}, folder


def _the_notebook_ran_to_its_end(site):
  text = (site[1] / 'html' / 'tutorial.html').read_text(encoding='utf-8')
  assert 'RankMe moved first in' in text  # the answer
  assert 'after: RankMe' in text  # the last cell
  assert text.count('<img') >= 1


def _every_link_within_leads_somewhere(site):
  pages, folder = site
  assert {f'{name}.html' for name in PAGES} <= set(pages)
  for name, page in pages.items():
    for link in page.links:
      parts = urllib.parse.urlsplit(link)
      if parts.scheme:
        assert parts.scheme in ('https', 'mailto'), link
        continue
      path = urllib.parse.unquote(parts.path) or name
      assert (folder / 'html' / path).exists(), f'{name}: {link}'
      if parts.fragment and path in pages:
        fragment = urllib.parse.unquote(parts.fragment)
        assert fragment in pages[path].ids, f'{name}: {link}'


def _every_public_function_has_its_place(site):
  text = (site[1] / 'html' / 'api.html').read_text(encoding='utf-8')
  functions = set(ej.__all__) - {
    'Status', 'PAPER_SETTINGS', 'timeseries', 'precedence', 'emergence',
  }  # fmt: skip
  assert [n for n in functions if f'id="emergence_jax.{n}"' not in text] == []


def _it_opens_from_the_disk_without_a_request(site):
  pages, folder = site
  for name, page in pages.items():
    for source in page.loads:
      parts = urllib.parse.urlsplit(source)
      assert not parts.netloc, f'{name} loads {source}'
      assert (folder / 'html' / parts.path).exists(), f'{name}: {source}'


@pytest.mark.nightly
def test_the_site(tmp_path):
  """In one test, since workers would build it once each."""
  site = _built(tmp_path)
  _the_notebook_ran_to_its_end(site)
  _every_link_within_leads_somewhere(site)
  _every_public_function_has_its_place(site)
  _it_opens_from_the_disk_without_a_request(site)
