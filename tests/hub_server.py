"""A hub on this machine alone, for tests: serves folders as repositories.

Repository `org/NAME` is the folder NAME, and each folder in it a revision.
"""

import contextlib
import hashlib
import http.server
import json
import pathlib
import re
import threading
import urllib.parse
from collections.abc import Callable
from typing import Any

_ANCHOR = 'org'


def _commit(folder: pathlib.Path) -> str:
  return hashlib.sha1(str(folder).encode()).hexdigest()


class Asked(list[str]):
  """The requests that came, and what may answer in the hub's place.

  Attributes:
    lie: takes a request's handler, and says whether it has answered.
    served: bytes of each file, or part of one, that was sent.
  """

  lie: Callable[[Any], bool] | None = None

  def __init__(self):
    super().__init__()
    self.served: list[int] = []


class _Handler(http.server.BaseHTTPRequestHandler):
  """Answers what huggingface_hub asks of an endpoint."""

  root: pathlib.Path
  asked: Asked

  @property
  def served(self) -> list[int]:
    """Bytes of each file or part that was sent."""
    return self.asked.served

  def log_message(self, *args):
    """Says nothing."""

  def _json(self, value, code=200):
    body = json.dumps(value).encode()
    self.send_response(code)
    self.send_header('Content-Type', 'application/json')
    self.send_header('Content-Length', str(len(body)))
    self.end_headers()
    if self.command == 'GET':
      self.wfile.write(body)

  def _revision(self, repo: pathlib.Path, name: str) -> pathlib.Path | None:
    """The folder of a branch or of a commit."""
    for folder in repo.iterdir():
      if name in (folder.name, _commit(folder)):
        return folder
    return None

  def _files(self, folder: pathlib.Path) -> list[dict]:
    found = []
    for path in sorted(folder.iterdir()):
      content = path.read_bytes()
      mark = hashlib.sha256(content).hexdigest()
      one = {'type': 'file', 'path': path.name, 'size': len(content),
             'oid': mark[:40]}  # fmt: skip
      if path.suffix == '.safetensors':
        one['lfs'] = {'oid': mark, 'size': len(content), 'pointerSize': 134}
      found.append(one)
    return found

  def _missing(self):
    self.send_response(404)
    self.send_header('X-Error-Code', 'RepoNotFound')
    self.send_header('Content-Length', '0')
    self.end_headers()

  def do_GET(self):
    """Answers, or sends the file that is asked for."""
    path = urllib.parse.unquote(self.path.partition('?')[0])
    self.asked.append(f'{self.command} {path}')
    if self.asked.lie and self.asked.lie(self):
      return None
    words = path.strip('/').split('/')
    if words[:2] == ['api', 'models']:
      repo, rest = self.root / words[3], words[4:]
      if not repo.is_dir():
        return self._missing()
      return self._api(repo, f'{_ANCHOR}/{words[3]}', rest)
    if len(words) == 5 and words[2] == 'resolve':
      folder = self._revision(self.root / words[1], words[3])
      return self._file(folder, words[4])
    return self._missing()

  do_HEAD = do_GET

  def _api(self, repo: pathlib.Path, name: str, rest: list[str]):
    if rest == ['refs']:
      branches = [
        {'name': p.name, 'ref': f'refs/heads/{p.name}',
         'targetCommit': _commit(p)}
        for p in sorted(repo.iterdir())
      ]  # fmt: skip
      return self._json({'branches': branches, 'converts': [], 'tags': []})
    folder = self._revision(repo, rest[1]) if len(rest) > 1 else None
    if folder is None:
      return self._missing()
    if rest[0] == 'tree':
      return self._json(self._files(folder))
    siblings = [{'rfilename': f['path']} for f in self._files(folder)]
    return self._json(
      {'id': name, 'sha': _commit(folder), 'siblings': siblings,
       'tags': [], 'private': False, 'downloads': 0, 'likes': 0}
    )  # fmt: skip

  def _file(self, folder: pathlib.Path, name: str):
    content = (folder / name).read_bytes()
    part = re.fullmatch(r'bytes=(\d+)-(\d+)', self.headers.get('Range', ''))
    etag = hashlib.sha256(content).hexdigest()
    if part:
      content = content[int(part[1]) : int(part[2]) + 1]
    self.served.append(len(content) if self.command == 'GET' else 0)
    self.send_response(206 if part else 200)
    self.send_header('ETag', f'"{etag}"')
    self.send_header('X-Repo-Commit', _commit(folder))
    self.send_header('Content-Length', str(len(content)))
    self.end_headers()
    if self.command == 'GET':
      self.wfile.write(content)
    return None


@contextlib.contextmanager
def serving(root: pathlib.Path):
  """Serves a folder of repositories.

  Yields:
    The endpoint, and the requests that came, as they come.
  """
  asked = Asked()
  handler = type('Handler', (_Handler,), {'root': root, 'asked': asked})
  server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
  thread = threading.Thread(target=server.serve_forever, daemon=True)
  thread.start()
  try:
    yield f'http://127.0.0.1:{server.server_port}', asked
  finally:
    server.shutdown()
    server.server_close()


@contextlib.contextmanager
def library(root: pathlib.Path, cache: pathlib.Path, monkeypatch):
  """Has huggingface_hub in this process talk to a served folder.

  Yields:
    The requests that come.
  """
  from huggingface_hub import constants, utils
  from huggingface_hub.utils import _cache_manager

  for module in (constants, _cache_manager):
    monkeypatch.setattr(module, 'HF_HUB_CACHE', str(cache))
  utils.disable_progress_bars()
  with serving(root) as (url, asked):
    monkeypatch.setattr(constants, 'ENDPOINT', url)
    template = f'{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}'
    monkeypatch.setattr(constants, 'HUGGINGFACE_CO_URL_TEMPLATE', template)
    yield asked
