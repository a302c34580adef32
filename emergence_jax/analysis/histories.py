"""Whether checkpoints are the history of one training.

Of every revision there is a sketch: the checksums of its files, and some values
of some of its tensors, the same places in all. Each check looks for what no
training does; what a schedule or a rate may do is none.
"""

import dataclasses
import functools
import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

# A revision lies off the path where both neighbours are so many times further
# from it than from each other, or so many times less correlated with it.
OFF_PATH, UNRELATED = 3.0, 2.0
# A checkpoint is early in this share of all steps: its weights are still near
# the first.
EARLY = 0.01
# Standard errors of a correlation from which two weights are related.
RELATED = 6.0
# So few values may come again by chance, where they have few bits.
FEW = 256


@dataclasses.dataclass(frozen=True)
class Sketch:
  """What is looked at of a revision.

  Attributes:
    files: file of weights → SHA-256 of it.
    tensors: file → tensor → some of its values, the same places everywhere.
    description: checksum of what `config.json` says; empty if unknown.
    problem: why there are no weights to look at; empty if there are.
  """

  files: Mapping[str, str] = dataclasses.field(default_factory=dict)
  tensors: Mapping[str, Mapping[str, np.ndarray]] = dataclasses.field(
    default_factory=dict
  )
  description: str = ''
  problem: str = ''

  @functools.cached_property
  def values(self) -> dict[str, np.ndarray]:
    """Tensor → its values, of all files."""
    return {k: v for some in self.tensors.values() for k, v in some.items()}

  @functools.cached_property
  def marks(self) -> dict[str, bytes]:
    """Tensor → checksum of its values, where there are not few of them."""
    return {
      name: hashlib.blake2b(value.tobytes(), digest_size=8).digest()
      for name, value in self.values.items()
      if value.size >= FEW
    }


class Fault(NamedTuple):
  """What is wrong with a suite.

  Attributes:
    kind: of it.
    seed: number of the seed.
    step: of the revision.
    words: what it is.
    is_wrong: whether it is an error, and not only to be known.
  """

  kind: str
  seed: int
  step: int
  words: str
  is_wrong: bool = True


# step → sketch, increasing.
History = Mapping[int, Sketch]


def _shared(a: Sketch, b: Sketch) -> list[str]:
  """Tensors that both have, of one shape."""
  a_values, b_values = a.values, b.values
  return [
    n
    for n in a_values
    if n in b_values and a_values[n].shape == b_values[n].shape
  ]


def distance(a: Sketch, b: Sketch) -> float:
  """Root mean square difference of what is looked at; nan if nothing is."""
  a_values, b_values = a.values, b.values
  names = _shared(a, b)
  if not names:
    return float('nan')
  total = sum(float(((a_values[n] - b_values[n]) ** 2).sum()) for n in names)
  return float(np.sqrt(total / sum(a_values[n].size for n in names)))


def neighbours(history: History) -> tuple[np.ndarray, np.ndarray]:
  """Steps from the second on [n], and their distances to the one before."""
  pairs = list(itertools.pairwise(history.items()))
  steps = np.array([step for _, (step, _) in pairs], np.int64)
  gaps = [distance(a, b) for (_, a), (_, b) in pairs]
  return steps, np.array(gaps)


def check(
  suite: Mapping[int, History],
  final: Mapping[int, Sketch] | None = None,
  names: Mapping[int, str] | None = None,
) -> list[Fault]:
  """All that is wrong with a suite.

  Args:
    suite: seed → step → sketch.
    final: seed → sketch of the branch that is released as the model.
    names: seed → its name, for sentences.
  """
  faults: list[Fault] = []
  for seed, history in suite.items():
    history = dict(sorted(history.items()))
    faults += [
      Fault('missing', seed, step, sketch.problem)
      for step, sketch in history.items()
      if sketch.problem
    ]
    usable = {s: k for s, k in history.items() if not k.problem}
    faults += _repeats(seed, usable, (final or {}).get(seed))
    faults += _descriptions(seed, usable)
    faults += _off_path(
      seed, usable, {f.step for f in faults if f.seed == seed}
    )
    faults += _gaps(seed, list(history))
  faults += _origins(suite, names or {})
  return sorted(faults, key=lambda f: (not f.is_wrong, f.kind, f.seed, f.step))


def _varying(history: History) -> set[str]:
  """Tensors that are not the same in all revisions: not buffers."""
  sketches = list(history.values())
  first = sketches[0].marks
  return {
    name
    for name, mark in first.items()
    if any(s.marks.get(name, mark) != mark for s in sketches[1:])
  }


def _repeats(seed: int, history: History, final: Sketch | None) -> list[Fault]:
  """Revisions that carry weights of another, by file, shard or tensor."""
  if not history:
    return []
  faults: list[Fault] = []
  steps = list(history)
  last = steps[-1]
  varying = _varying(history) if len(history) > 1 else set()
  for place, step in enumerate(steps):
    others = {f'step {s:,}': history[s] for s in steps[place + 1 :]}
    if final is not None and step != last:
      others = {**others, 'main': final}
    words = _repeat(history[step], others, varying)
    if words:
      faults.append(Fault('repeat', seed, step, words))
  return faults


def _repeat(
  own: Sketch, others: Mapping[str, Sketch], varying: set[str]
) -> str:
  """Which of the others has the same weights, in words; the last of them."""
  for name, other in reversed(others.items()):
    common = [f for f, m in own.files.items() if m and m == other.files.get(f)]
    if len(common) == len(own.files) and common:
      return f'its weights are those of {name}'
    if common:
      return f'its {", ".join(common)} is that of {name}'
  for name, other in reversed(others.items()):
    shards = [
      file
      for file, tensors in own.tensors.items()
      if _are_same(own, other, set(tensors) & varying)
    ]
    if shards:
      what = 'that was looked at' if len(shards) == len(own.tensors) else (
        f'of its {shards[0]}'
      )  # fmt: skip
      return f'all {what} is that of {name}, in another file'
  # A tensor that comes again after it has been another one.
  left: set[str] = set()
  for name, other in others.items():
    again = sorted(t for t in left if _are_same(own, other, {t}))
    if again:
      return f'tensors are those of {name} again: {", ".join(again[:3])}'
    left |= {t for t in varying if not _are_same(own, other, {t})}
  return ''


def _are_same(a: Sketch, b: Sketch, names: set[str]) -> bool:
  """Whether tensors, of which there are some, are the same in both."""
  return bool(names) and all(
    name in a.marks and a.marks[name] == b.marks.get(name) for name in names
  )


def _descriptions(seed: int, history: History) -> list[Fault]:
  """Where `config.json` says another model than at the step before."""
  return [
    Fault(
      'description', seed, step,
      f'config.json says another model than that of step {before:,}',
    )
    for (before, a), (step, b) in itertools.pairwise(history.items())
    if a.description and b.description and a.description != b.description
  ]  # fmt: skip


def _off_path(seed: int, history: History, known: set[int]) -> list[Fault]:
  """Revisions far from both neighbours, which are near to each other.

  What lies between two states of one training is not much further from either
  than they are, nor less correlated.
  """
  usable = {s: k for s, k in history.items() if s not in known}
  steps = list(usable)
  _, gaps = neighbours(usable)
  ties = [_relation(a, b) for a, b in itertools.pairwise(usable.values())]
  faults = []
  for i, step in enumerate(steps[1:-1]):
    before, after = steps[i], steps[i + 2]
    across = _relation(usable[before], usable[after])
    direct = distance(usable[before], usable[after])
    far = min(gaps[i], gaps[i + 1]) / max(direct, 1e-300)
    own = max(ties[i].correlation, ties[i + 1].correlation)
    unrelated = (
      across.errors > RELATED and across.correlation > UNRELATED * max(own, 0)
    )
    which = f'its neighbours, {before:,} and {after:,}'
    words = ''
    if far > OFF_PATH:
      words = f'{which}, are {far:.1f} times as far from it as from each other'
    elif unrelated and across.correlation > 0.5:
      words = (
        f'{which}, correlate by {across.correlation:.2f} with each other, and '
        f'by {own:.2f} at most with it'
      )
    if words:
      faults.append(Fault('off the path', seed, step, words))
  return faults


def _gaps(seed: int, steps: Sequence[int]) -> list[Fault]:
  """Steps that a regular schedule would have and the suite has not."""
  strides = np.diff(steps)
  faults = []
  for i in range(1, len(strides) - 1):
    usual = strides[i - 1]
    if usual == strides[i + 1] and strides[i] > usual:
      lost = int(strides[i] // usual) - 1
      if strides[i] % usual == 0:
        faults.append(Fault(
          'gap', seed, int(steps[i + 1]),
          f'{lost} revisions of every {usual:,} steps are not there before it',
          is_wrong=False,
        ))  # fmt: skip
  return faults


class _Relation(NamedTuple):
  """Attributes: correlation of two weights, and its standard errors from 0."""

  correlation: float
  errors: float


def _relation(a: Sketch, b: Sketch) -> _Relation:
  """How two revisions' weights go together, means of tensors left out."""
  a_values, b_values = a.values, b.values
  pairs = [
    (a_values[n] - a_values[n].mean(), b_values[n] - b_values[n].mean())
    for n in _shared(a, b)
    # Not what never changes, nor what is one number.
    if not np.array_equal(a_values[n], b_values[n])
    and a_values[n].std() > 0
    and b_values[n].std() > 0
  ]
  if not pairs:
    return _Relation(float('nan'), float('nan'))
  x = np.concatenate([(p / p.std()).ravel() for p, _ in pairs])
  y = np.concatenate([(q / q.std()).ravel() for _, q in pairs])
  correlation = float((x * y).mean())
  return _Relation(correlation, correlation * np.sqrt(x.size))


def _origins(
  suite: Mapping[int, History], names: Mapping[int, str]
) -> list[Fault]:
  """Seeds whose later steps do not descend from their own step 0."""
  firsts = {
    seed: dict(sorted(history.items()))[0]
    for seed, history in suite.items()
    if 0 in history and not history[0].problem
  }
  faults = []
  for seed in firsts:
    later = sorted(
      s for s in suite[seed] if s > 0 and not suite[seed][s].problem
    )
    # One that is not the first itself.
    later = [s for s in later if distance(firsts[seed], suite[seed][s]) > 0]
    if not later:
      continue
    step = later[0]
    sketch = suite[seed][step]
    own = _relation(firsts[seed], sketch)
    others = {
      other: _relation(first, sketch)
      for other, first in firsts.items()
      if other != seed
    }
    best = max(
      others, key=lambda s: np.nan_to_num(others[s].correlation, nan=-1),
      default=None,
    )  # fmt: skip
    foreign = best is not None and (
      others[best].errors > RELATED
      and others[best].correlation > 2 * max(own.correlation, 0.0)
    )
    is_early = step <= EARLY * max(suite[seed])
    if foreign:
      faults.append(Fault(
        'origin', seed, step,
        f'it descends from step 0 of {names.get(best, f"seed {best}")}, and '
        'not from its own',
      ))  # fmt: skip
    elif is_early and own.errors < RELATED:
      faults.append(Fault(
        'origin', seed, step,
        'it does not descend from its own step 0: their weights are unrelated',
      ))  # fmt: skip
  return faults
