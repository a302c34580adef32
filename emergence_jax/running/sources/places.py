"""Where a released revision is."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Protocol

from emergence_jax.models import released

# (first byte, past the last) → these bytes of a file.
ReadRange = Callable[[int, int], bytes]


class Place(Protocol):
  """Where a revision is; its text names it."""

  def describe(self) -> pathlib.Path:
    """A folder with the model's description and tokenizer, at least."""
    ...

  def fetch(self) -> pathlib.Path:
    """A folder with the weights, too."""
    ...

  def drop(self) -> None:
    """Called when the revision is measured."""
    ...

  def fingerprints(self) -> dict[str, str]:
    """Name of each file of weights → SHA-256 of its contents."""
    ...

  def ranges(self, name: str) -> ReadRange:
    """How to read parts of a file."""
    ...


@dataclasses.dataclass(frozen=True)
class Local:
  """A revision on the disk.

  Attributes:
    path: its folder.
  """

  path: pathlib.Path

  def __str__(self) -> str:
    return str(self.path)

  def describe(self) -> pathlib.Path:
    """The folder."""
    return self.path

  def fetch(self) -> pathlib.Path:
    """The folder."""
    return self.path

  def drop(self) -> None:
    """Keeps the folder."""

  def fingerprints(self) -> dict[str, str]:
    """Of the files in the folder."""
    return released.fingerprints(self.path)

  def ranges(self, name: str) -> ReadRange:
    """Of a file in the folder."""

    def read(start: int, stop: int) -> bytes:
      with (self.path / name).open('rb') as file:
        file.seek(start)
        return file.read(stop - start)

    return read


# seed → step → where
Revisions = dict[int, dict[int, Place]]


def repeated(
  shards: Mapping[int, Mapping[str, str]],
) -> dict[int, tuple[int, str]]:
  """Steps that share a file of weights with another one.

  Of those that share one, the last is believed, since it is the one that was
  released as the model; the others are named.

  Args:
    shards: step → file → fingerprint of its contents.

  Returns:
    Step → (the step that has the same, the file).
  """
  last: dict[tuple[str, str], int] = {}
  for step in sorted(shards):
    for name, mark in shards[step].items():
      last[name, mark] = step
  first_seen: dict[int, tuple[int, str]] = {}
  for step in sorted(shards):
    for name, mark in shards[step].items():
      if last[name, mark] != step:
        first_seen.setdefault(step, (last[name, mark], name))
  return first_seen
