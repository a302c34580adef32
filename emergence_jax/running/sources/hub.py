"""Fetches released checkpoints from the hub, one at a time.

Which weights repeat is known from the hub's own SHA-256 of every file, before
anything is fetched.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any

from emergence_jax.base.types import UserError
from emergence_jax.models import released
from emergence_jax.running.sources import grammar, suites
from emergence_jax.running.sources.suites import Entry, Suite

PREFIX = 'hub:'
_DESCRIPTION = ('config.json', 'tokenizer.json')
_WEIGHTS = {
  '.safetensors': ('*.safetensors', '*.safetensors.index.json'),
  '.bin': ('pytorch_model*.bin', 'pytorch_model.bin.index.json'),
}


def _library() -> Any:
  try:
    import huggingface_hub
  except ImportError as error:
    raise UserError(
      "the hub needs huggingface_hub: pip install 'emergence_jax[hub]'."
    ) from error
  return huggingface_hub


@functools.cache
def _bounded(library: Any) -> Any:
  """A progress bar that ends a download of more than was announced.

  One class for all downloads: each has a thread of its own, which stays.
  """

  class Bounded(library.utils.tqdm):
    """Counts bytes, also where nothing is shown."""

    came: float = 0

    def update(self, n: float | None = 1) -> bool | None:
      """Raises an OSError past the total."""
      self.came += n or 0
      if self.total is not None and self.came > self.total:
        raise OSError(f'more came than the {self.total:,.0f} bytes announced')
      return super().update(n)

  return Bounded


class Unreachable(UserError):
  """The hub does not answer; the revision may well exist."""


@dataclasses.dataclass(frozen=True)
class Remote:
  """A revision on the hub, as `places.Local` is one on the disk.

  Attributes:
    repo: `organisation/name`.
    revision: name of a branch, for example `step1000`.
    delete: whether it leaves the cache once it is measured.
  """

  repo: str
  revision: str
  delete: bool = False

  def __str__(self) -> str:
    return f'{self.repo} at {self.revision}'

  def _error(self, error: Exception) -> Unreachable:
    words = ' '.join(str(error).split())[:300]
    return Unreachable(
      f'{self} could not be fetched from the hub '
      f'({type(error).__name__}: {words}).'
    )

  def _fetch(self, patterns) -> pathlib.Path:
    library = _library()
    if self.delete:
      _ = self._before  # what is there now
    try:
      return pathlib.Path(
        library.snapshot_download(
          self.repo, revision=self.revision, allow_patterns=list(patterns),
          tqdm_class=_bounded(library),
        )
      )  # fmt: skip
    except Exception as error:  # of the network, the cache or the library
      raise self._error(error) from error

  @functools.cached_property
  def _weights(self) -> tuple[str, dict[str, str]]:
    """The kind of file that is taken, and SHA-256 of each of that kind.

    Asked for once, by whoever comes first.
    """
    library = _library()
    try:
      tree = library.HfApi().list_repo_tree(self.repo, revision=self.revision)
      marks = {
        f.path: f.lfs.sha256
        for f in tree
        if getattr(f, 'lfs', None) is not None
      }
    except Exception as error:
      raise self._error(error) from error
    for suffix in _WEIGHTS:
      matching = {n: m for n, m in marks.items() if n.endswith(suffix)}
      if matching:
        return suffix, matching
    raise UserError(f'{self} holds no weights.')

  def describe(self) -> pathlib.Path:
    """A folder with the model's description and tokenizer alone."""
    return self._fetch(_DESCRIPTION)

  def fetch(self) -> pathlib.Path:
    """A folder with the weights, in the user's cache.

    Raises:
      UserError: if they are not what the hub says that they are.
    """
    suffix, said = self._weights
    folder = self._fetch((*_DESCRIPTION, *_WEIGHTS[suffix]))
    for name, mark in said.items():
      path = folder / name
      if not path.exists():
        raise UserError(f'{self}: {name} did not come.')
      if released.fingerprint(path) != mark:
        path.resolve().unlink()  # so that it is fetched again
        raise UserError(
          f'{self}: {name} has another SHA-256 than the hub says; it was '
          'deleted, and the same command fetches it again.'
        )
    return folder

  def _in_cache(self) -> list[Any]:
    """Revisions of this repository in the cache, as the library has them."""
    from huggingface_hub.errors import CacheNotFound

    try:
      cache = _library().scan_cache_dir()
    except CacheNotFound:
      return []
    return [
      revision
      for repo in cache.repos
      if repo.repo_id == self.repo and repo.repo_type == 'model'
      for revision in repo.revisions
    ]

  @functools.cached_property
  def _before(self) -> frozenset[pathlib.Path]:
    """Files that were in the cache before anything was fetched here."""
    try:
      return frozenset(f.file_path for r in self._in_cache() for f in r.files)
    except Exception as error:
      raise self._error(error) from error

  def drop(self) -> None:
    """Deletes what this call fetched from the cache, if that was requested.

    Not what was there before, nor what another revision has, too.
    """
    if not self.delete:
      return
    try:
      revisions = self._in_cache()
      for revision in revisions:
        if revision.refs == frozenset({self.revision}):
          self._delete(revision, [r for r in revisions if r is not revision])
    except Exception as error:
      raise self._error(error) from error

  def _delete(self, revision, others) -> None:
    fetched = [f for f in revision.files if f.file_path not in self._before]
    if len(fetched) == len(revision.files):
      cache = _library().scan_cache_dir()
      cache.delete_revisions(revision.commit_hash).execute()
      return
    shared = {f.blob_path for r in others for f in r.files}
    for file in fetched:
      file.file_path.unlink()
      if file.blob_path not in shared:
        file.blob_path.unlink(missing_ok=True)

  def ranges(self, name: str) -> Callable[[int, int], bytes]:
    """(first byte, past the last) → these bytes of a file."""
    library = _library()
    url = library.hf_hub_url(self.repo, name, revision=self.revision)

    def read(start: int, stop: int) -> bytes:
      if start == stop:
        return b''
      headers = library.utils.build_hf_headers()
      headers['Range'] = f'bytes={start}-{stop - 1}'
      try:
        answer = library.utils.get_session().get(url, headers=headers)
        answer.raise_for_status()
      except Exception as error:
        raise self._error(error) from error
      if len(answer.content) > stop - start:
        raise UserError(f'{self}: the hub does not serve ranges of files.')
      return answer.content

    return read

  def fingerprints(self) -> dict[str, str]:
    """Name of each file of weights → SHA-256 of its contents."""
    return self._weights[1]


def find(
  text: str, *, delete: bool = False, pattern: str = '', stage: str = ''
) -> Suite:
  """Revisions of repositories `ORG/NAME`, separated by commas.

  Seeds are told apart by the repositories' names, and by what revisions say.

  Args:
    text: the repositories.
    delete: whether what is fetched leaves the cache once it is measured.
    pattern: a regular expression in place of `grammar`.
    stage: of training; the first if empty.

  Raises:
    UserError: if a repository could not be fetched, or has no step's revision.
  """
  library = _library()
  repos = [r.strip() for r in text.split(',') if r.strip()]
  if not repos:
    raise UserError(f'--checkpoints={PREFIX} names no repository.')
  if len(set(repos)) < len(repos):
    raise UserError(f'{text} names a repository twice; give each once.')
  shortened = [repo.rpartition('/')[2] for repo in repos]
  entries = []
  for repo, short in zip(repos, shortened):
    owner = short if shortened.count(short) == 1 else repo
    try:
      refs = library.HfApi().list_repo_refs(repo)
    except Exception as error:
      raise Remote(repo, 'any revision')._error(error) from error
    own = [
      Entry(owner, branch.name, Remote(repo, branch.name, delete))
      for branch in refs.branches
    ]
    if not suites.arrange(own, pattern=pattern).revisions:
      raise UserError(
        f'{repo} has no revisions that are named by their step '
        f'({grammar.PATTERNS}), or as config.release.pattern= says.'
      )
    entries += own
  return suites.arrange(entries, pattern=pattern, stage=stage)
