"""Which revision is which row: seeds and steps of a suite of checkpoints."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from emergence_jax.base.types import UserError
from emergence_jax.config import schedule
from emergence_jax.running.sources import grammar
from emergence_jax.running.sources.places import Place, Revisions

MAIN = 'main'


class Entry(NamedTuple):
  """A revision as it was met.

  Attributes:
    owner: the model that it is of: a folder's name, or a repository's.
    name: its own.
    place: where it is.
  """

  owner: str
  name: str
  place: Place


@dataclasses.dataclass(frozen=True)
class Suite:
  """The revisions of a release, by seed and step.

  Attributes:
    revisions: number of the seed → step → where.
    seed_names: number of the seed → its name.
    tokens: step → tokens seen until then, where names say them and agree.
    notes: what a user should know of the names.
    final: number of the seed → the branch `main`, where there is one.
  """

  revisions: Revisions
  seed_names: Mapping[int, str] = dataclasses.field(default_factory=dict)
  tokens: Mapping[int, int] = dataclasses.field(default_factory=dict)
  notes: tuple[str, ...] = ()
  final: Mapping[int, Place] = dataclasses.field(default_factory=dict)

  def select(self, steps: str) -> 'Suite':
    """The steps within a range, see `schedule.within`.

    Raises:
      UserError: for another form, or if none is left.
    """
    kept = set(schedule.within(union(self.revisions), steps))
    chosen = {
      seed: {step: place for step, place in by_step.items() if step in kept}
      for seed, by_step in self.revisions.items()
    }
    return dataclasses.replace(self, revisions=chosen)


def union(revisions: Mapping[int, Mapping[int, Place]]) -> list[int]:
  """All steps that any seed has, increasing."""
  return sorted({step for steps in revisions.values() for step in steps})


def _of_stage(read, stage: str) -> tuple[list, list[str]]:
  """Entries of a stage, and what is to be said of the others.

  Stages have steps of their own, and are no one history.
  """
  counts: dict[str, int] = {}
  for _, name in read:
    counts[name.stage] = counts.get(name.stage, 0) + 1
  if stage and stage not in counts:
    raise UserError(
      f'config.release.stage={stage!r} is none of the stages that names say: '
      f'{", ".join(sorted(filter(None, counts))) or "none"}.'
    )
  if len(counts) < 2 and not stage:
    return read, []
  own = stage or min(counts, key=lambda s: (s == '', s))
  others = ', '.join(
    f'{s or "no stage"} ({n:,})' for s, n in sorted(counts.items()) if s != own
  )
  kept = [pair for pair in read if pair[1].stage == own]
  note = f'stage {own} is measured, {len(kept):,} revisions'
  if others:
    note += f'; config.release.stage= takes another: {others}'
  return kept, [f'{note}.']


def _numbers(labels: Iterable[str]) -> tuple[dict[str, int], list[str]]:
  """Seed's name → its number, and what is to be said of them."""
  labels = sorted(set(labels))
  said = {label: grammar.seed_of(label) for label in labels}
  if len(labels) == 1:
    return {labels[0]: said[labels[0]] or 0}, []
  # One without a number is the first.
  numbers = {label: said[label] or 0 for label in labels}
  if len(set(numbers.values())) == len(labels):
    return numbers, []
  numbers = {label: i for i, label in enumerate(labels)}
  words = ', '.join(f'{i} is {label}' for label, i in numbers.items())
  return numbers, [f'seeds are numbered by their names: {words}.']


def _tokens(read) -> tuple[dict[int, int], list[str]]:
  """Step → tokens, where names agree."""
  tokens: dict[int, int] = {}
  contradicted = set()
  for _, name in read:
    if name.tokens is None:
      continue
    if tokens.setdefault(name.step, name.tokens) != name.tokens:
      contradicted.add(name.step)
  if contradicted:
    steps = ', '.join(f'{s:,}' for s in sorted(contradicted)[:5])
    return {}, [f'names contradict each other on the tokens of steps {steps}.']
  return tokens, []


def arrange(
  entries: Iterable[Entry], *, pattern: str = '', stage: str = ''
) -> Suite:
  """The revisions that names say a step of, by seed and step.

  Args:
    entries: all revisions.
    pattern: a regular expression in place of the grammar; none if empty.
    stage: which one; the first if empty.

  Raises:
    UserError: if there are none, or two of one seed and step.
  """
  entries = list(entries)
  read_name = grammar.reader(pattern)
  read, unread = [], []
  for entry in entries:
    name = read_name(entry.name)
    if name is None:
      unread.append(entry.name)
    else:
      read.append((entry, name))
  read, notes = _of_stage(read, stage)
  owners = {entry.owner for entry, _ in read}

  def label(entry: Entry, name: grammar.Name) -> str:
    if not name.seed:
      return entry.owner
    return f'{entry.owner} {name.seed}' if len(owners) > 1 else (
      f'seed {name.seed}' if name.seed.isdigit() else name.seed
    )  # fmt: skip

  numbers, of_seeds = _numbers(label(*pair) for pair in read)
  revisions: Revisions = {}
  names: dict[tuple[int, int], str] = {}
  for entry, name in read:
    seed = numbers[label(entry, name)]
    if name.step in revisions.setdefault(seed, {}):
      raise UserError(
        f'{names[seed, name.step]} and {entry.place} are both of step '
        f'{name.step:,}; keep one.'
      )
    revisions[seed][name.step] = entry.place
    names[seed, name.step] = str(entry.place)
  tokens, of_tokens = _tokens(read)
  unread = sorted(set(unread) - {MAIN})
  notes += of_seeds + of_tokens
  if unread:
    shown = ', '.join(unread[:5]) + (' …' if len(unread) > 5 else '')
    notes.append(
      f'{len(unread):,} names say no step and are left out: {shown}. Names '
      f'are {grammar.PATTERNS}; config.release.pattern= reads others.'
    )
  return Suite(
    {s: dict(sorted(revisions[s].items())) for s in sorted(revisions)},
    {number: label for label, number in numbers.items()},
    tokens,
    tuple(notes),
    {
      numbers[entry.owner]: entry.place
      for entry in entries
      if entry.name == MAIN and entry.owner in numbers
    },
  )
