"""Measuring released checkpoints into a timeseries like that of a run.

Rows are steps, and seeds are the folders' seeds. A revision that cannot be
read, or whose weights another step has, leaves its row blank, says so and does
not stop the others.
"""

import dataclasses
import json
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from emergence_jax import config as config_lib
from emergence_jax import (
  files,
  limits,
  prng,
  rows,
  rundir,
  sources,
  store,
  timeseries,
)
from emergence_jax.models import released
from emergence_jax.models.base import FlaxModel
from emergence_jax.objective import Objective
from emergence_jax.progress import duration
from emergence_jax.tasks import probe_sets
from emergence_jax.types import Measure, MeasureSpec, Status, UserError

# Fingerprints of the weights: step → seed → file → SHA-256.
REVISIONS = 'revisions.json'
Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class ReleaseConfig:
  """What to measure of released checkpoints.

  Attributes:
    name: of the model, for tables; the folder's own if empty.
    sets: probe sets by name or path, separated by commas; all if empty.
    dtype: of the parameters, `float32` or `bfloat16`.
  """

  name: str = ''
  sets: str = ''
  dtype: str = 'float32'


class Release(NamedTuple):
  """A release that is about to be measured.

  Attributes:
    revisions: seed → step → folder.
    objective: the model under the probe sets.
    measures: name → when, and what.
    raw: the configuration, for the timeseries.
    dtype: of the parameters.
  """

  revisions: sources.Revisions
  objective: Objective
  measures: dict[str, tuple[MeasureSpec, Measure]]
  raw: dict[str, Any]
  dtype: str


def _first_readable(revisions: sources.Revisions) -> pathlib.Path:
  """A revision whose model and tokenizer can be read."""
  problem = ''
  for steps in revisions.values():
    for _, folder in sorted(steps.items(), reverse=True):
      try:
        released.read_model(folder)
      except UserError as error:
        problem = problem or str(error)
        continue
      if (folder / 'tokenizer.json').exists():
        return folder
      problem = problem or (
        f'{folder} has no tokenizer.json; put that of the model there.'
      )
  raise UserError(problem)


def _encode(folder: pathlib.Path) -> Callable[[str], list[int]]:
  """The tokenizer beside a checkpoint."""
  path = folder / 'tokenizer.json'
  try:
    import tokenizers
  except ImportError as error:
    raise UserError(
      "released models need tokenizers: pip install 'emergence_jax[pythia]'."
    ) from error
  try:
    tokenizer = tokenizers.Tokenizer.from_file(str(path))
  except Exception as error:  # the library raises plain Exceptions
    raise UserError(f'{path} is no tokenizer ({error}).') from error
  return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def prepare(
  given: Mapping[str, Any],
  root: pathlib.Path,
  steps: str = '',
) -> Release:
  """Checks a configuration against the checkpoints that it is for.

  Args:
    given: groups `release` (see `ReleaseConfig`) and `measures`.
    root: folder of the checkpoints.
    steps: range of steps, see `sources.select`.

  Raises:
    UserError: for a wrong value, or if there is nothing to measure.
  """
  raw = config_lib.plain(given)
  config_lib.check_keys('config', raw, {'release', 'measures'})
  options = config_lib.build(
    'config.release', ReleaseConfig, raw.get('release', {})
  )
  if options.dtype not in released.DTYPES:
    raise UserError(
      f'config.release.dtype={options.dtype!r} is unknown; known: '
      f'{", ".join(released.DTYPES)}.'
    )
  specs, _ = config_lib.measures(raw.get('measures', {}))
  if not specs:
    raise UserError('config.measures names nothing to measure.')
  revisions = sources.select(sources.find(root), steps)
  folder = _first_readable(revisions)
  model = released.read_model(folder)
  names = [n for n in options.sets.split(',') if n]
  sets = probe_sets.tokenise(
    probe_sets.choose(names), _encode(folder), model.vocab_size,
    longest=model.config.num_positions,
  )  # fmt: skip
  objective = Objective(model, sets)
  limits.check_memory(
    f'the model of {folder}', 4 * objective.num_params(),
    'take --config.release.dtype=bfloat16, or a larger machine.',
  )  # fmt: skip
  measures = {
    name: (spec, config_lib.make_measure(objective, name, spec))
    for name, spec in specs.items()
  }
  there = sources.union(revisions)
  kept = {
    **raw,
    'task': {'name': 'probe_sets'},
    'model': {'size': options.name or root.resolve().name},
    'train': {'steps': there[-1]},
    'checkpoints': {'steps': there, 'seeds': list(revisions)},
  }
  return Release(revisions, objective, measures, kept, options.dtype)


def _layout(release: Release) -> dict[str, Any]:
  """What the timeseries of a release is made with."""
  sets = release.objective.task
  built = (measure for _, measure in release.measures.values())
  return {
    **store.declared(built, sets.task_names, sets.level_names),
    'chance_KxL': sets.chance_KxL,
    'seeds': np.array(list(release.revisions)),
    'steps': np.array(sources.union(release.revisions)),
    'train_steps': 0,
    'attributes': {
      'title': f'emergence_jax measurements: {release.raw["model"]["size"]}',
      'parameters': release.objective.num_params(),
      'config': json.dumps(release.raw, sort_keys=True),
    },
  }


def _open(workdir: pathlib.Path, release: Release, say: Say) -> None:
  """Makes the timeseries, or mends one that is of the same release."""
  layout = _layout(release)
  if not (workdir / store.NAME).is_dir():
    timeseries.create(workdir, **layout)
    files.write_json(workdir / 'config.json', release.raw, checked=False)
    files.write_json(workdir / 'env.json', rundir.environment())
  elif rundir.read_config(workdir, say) == release.raw:
    rows.mend(workdir, say, **layout)
  else:
    raise UserError(
      f'{workdir} holds measurements of other checkpoints, or by another '
      'configuration; give a new --workdir.'
    )


def _marks(workdir, revisions: sources.Revisions, say: Say) -> dict:
  """(step, seed) → status, of the revisions that are not to be measured."""
  path = workdir / REVISIONS
  known = files.read_json(path) or {}
  marks: dict[tuple[int, int], Status] = {}
  for seed, steps in revisions.items():
    shards = {}
    for step, folder in steps.items():
      key = f'{seed}/{step}'
      try:
        if key not in known:
          known[key] = released.fingerprints(folder)
        shards[step] = known[key]
      except (UserError, OSError) as error:
        marks[step, seed] = Status.MISSING
        say(f'seed {seed}, step {step:,} is left out: {error}')
    for step, (other, file) in sources.repeated(shards).items():
      marks[step, seed] = Status.REPEATED
      say(
        f'seed {seed}, step {step:,} is left out: its {file} is that of step '
        f'{other:,}.'
      )
  files.write_json(path, known)
  return marks


class _Measuring:
  """One pass over the revisions that are not measured yet."""

  def __init__(self, workdir, release: Release, say: Say):
    self._release, self._say = release, say
    self._clock = rundir.Clock(workdir)
    self._writer = rows.Writer(workdir)
    self._marks = _marks(workdir, release.revisions, say)
    self._programs = {
      name: jax.jit(measure.fn)
      for name, (_, measure) in release.measures.items()
    }
    self._probes = {
      name: jax.jit(measure.probe)(np.int32(0))
      for name, (_, measure) in release.measures.items()
    }
    self._pairs = {n for n, (_, m) in release.measures.items() if m.pair}

  def _load(self, seed: int, step: int):
    """Parameters of a revision; None, with a mark, if there are none."""
    folder = self._release.revisions[seed].get(step)
    if folder is None:
      self._marks.setdefault((step, seed), Status.MISSING)
    if (step, seed) in self._marks:
      return None
    try:
      model, params = released.load_checkpoint(
        folder, dtype=self._release.dtype
      )
      _check_same(folder, model, self._release.objective.model)
    except UserError as error:
      self._marks[step, seed] = Status.MISSING
      self._say(f'seed {seed}, step {step:,} is left out: {error}')
      return None
    return params

  def _before(self, seed: int, row: int, steps: list[int]):
    """Parameters at the seed's last usable revision before a row.

    They are read again, since to keep them would take a model a seed.
    """
    for step in reversed(steps[:row]):
      params = self._load(seed, step)
      if params is not None:
        return params
    return None

  def _one(self, seed, row, step, steps) -> dict[str, np.ndarray]:
    """All measures of one revision that are due; blank if there is none."""
    due = {
      n for n, (spec, _) in self._release.measures.items()
      if spec.is_due(row, step)
    }  # fmt: skip
    params = self._load(seed, step)
    if params is None:
      return {}
    previous = self._before(seed, row, steps) if due & self._pairs else None
    found = {}
    for name in sorted(due):
      if name in self._pairs and previous is None:
        continue
      pair = (previous,) if name in self._pairs else ()
      key = prng.measure_key(name, seed, step)
      values = self._programs[name](params, self._probes[name], key, *pair)
      found |= jax.device_get(values)
    return found

  def row(self, row: int, step: int, steps: list[int]) -> None:
    """Measures one step of all seeds and writes it."""
    seeds = list(self._release.revisions)
    measured = [self._one(seed, row, step, steps) for seed in seeds]
    values, status = {}, np.zeros(len(seeds), np.int8)
    for i, (seed, one) in enumerate(zip(seeds, measured)):
      finite = rows.finite_seeds({k: v[None] for k, v in one.items()})
      status[i] = Status.OK if np.all(finite) else Status.NON_FINITE
      status[i] = self._marks.get((step, seed), status[i])
    for name in {name for one in measured for name in one}:
      like = next(one[name] for one in measured if name in one)
      fill = store.fill_value(like.dtype)
      blank = np.full(like.shape, fill, like.dtype)
      values[name] = np.stack([one.get(name, blank) for one in measured])
    self._writer.write_row(step, values, status)

  def run(self) -> int:
    """Measures what is left; returns how many rows."""
    steps = sources.union(self._release.revisions)
    done = set(self._writer.reached()) - set(self._writer.damaged())
    left = [(r, s) for r, s in enumerate(steps) if s not in done]
    began = time.monotonic()
    for i, (row, step) in enumerate(left):
      self.row(row, step, steps)
      self._clock.record(step)
      spent = time.monotonic() - began
      more = duration(spent / (i + 1) * (len(left) - i - 1))
      self._say(f'step {step:,}: {i + 1} of {len(left)}, {more} left')
    return len(left)


def _check_same(folder, model: FlaxModel, wanted: FlaxModel) -> None:
  if model.module != wanted.module:
    raise UserError(f'{folder} is a model of another shape than the others.')


def measure(
  given: Mapping[str, Any],
  root: pathlib.Path,
  workdir: pathlib.Path,
  *,
  steps: str = '',
  say: Say = print,
) -> int:
  """Measures every revision of released checkpoints; goes on where it stopped.

  Args:
    given: the configuration, see `prepare`.
    root: folder of the checkpoints.
    workdir: where the timeseries is to be.
    steps: range of steps, see `sources.select`.
    say: takes lines of text for the user.

  Returns:
    How many rows were measured now.

  Raises:
    UserError: for what is wrong with the configuration or the folder.
  """
  release = prepare(given, root, steps)
  workdir.mkdir(parents=True, exist_ok=True)
  with files.Lock(workdir):
    _open(workdir, release, say)
    return _Measuring(workdir, release, say).run()
