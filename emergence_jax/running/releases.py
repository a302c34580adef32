"""Measures released checkpoints into a timeseries like that of a run.

Rows are steps, and seeds are the folders' seeds.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from emergence_jax.base import checks, progress
from emergence_jax.base.types import UserError
from emergence_jax.config import building, schema
from emergence_jax.config import measures as measure_specs
from emergence_jax.machine import memory
from emergence_jax.machine import mesh as mesh_lib
from emergence_jax.models import released
from emergence_jax.models.objective import Objective
from emergence_jax.running import fingerprints, growing, recording
from emergence_jax.running import programs as programs_lib
from emergence_jax.running.sources import (
  folders,
  hub,
  measuring,
  places,
  suites,
)
from emergence_jax.running.sources.measuring import Log
from emergence_jax.running.sources.revisions import Revisions
from emergence_jax.tasks import probe_sets


@dataclasses.dataclass(frozen=True)
class ReleaseConfig:
  """What to measure of released checkpoints.

  Attributes:
    name: of the model, for tables; the folder's own if empty.
    sets: probe sets by name or path, separated by commas; all if empty.
    dtype: of the parameters, `float32` or `bfloat16`.
    delete: whether what was fetched from the hub leaves the cache once it is
      measured.
    devices: that share a model, where one has too little memory for it.
    pattern: regular expression of the revisions' names, with groups `step` or
      `tokens`, and `seed` and `stage`; the package's own grammar if empty.
    stage: of training, where names say several; the first if empty.
  """

  name: str = ''
  sets: str = ''
  dtype: str = 'float32'
  delete: bool = False
  devices: int = 1
  pattern: str = ''
  stage: str = ''

  def __post_init__(self):
    checks.in_range('config.release.devices', self.devices, 1)


class Release(NamedTuple):
  """A checked release: its revisions, model, sets and measures.

  Attributes:
    suite: which revision is which row.
    subject: what is measured of them.
    model: that they are of.
    sets: what it is examined on.
    dtype: of the parameters.
    devices: that share a model.
  """

  suite: suites.Suite
  subject: recording.Subject
  model: released.FlaxModel
  sets: probe_sets.ProbeSets
  dtype: str
  devices: int


def find(root: str, options: ReleaseConfig) -> suites.Suite:
  """Revisions of a release, from its folder or its repositories.

  Raises:
    UserError: if there are none.
  """
  pattern, stage = options.pattern, options.stage
  if root.startswith(hub.PREFIX):
    return hub.find(
      root.removeprefix(hub.PREFIX), delete=options.delete, pattern=pattern,
      stage=stage,
    )  # fmt: skip
  return folders.find(root, pattern=pattern, stage=stage)


def _name_of(root: str) -> str:
  """Name of a release: of its folder, or of its first repository."""
  if root.startswith(hub.PREFIX):
    first = root.removeprefix(hub.PREFIX).partition(',')[0]
    return first.rpartition('/')[2]
  return pathlib.Path(root).resolve().name


def _first_readable(revisions: places.Revisions) -> pathlib.Path:
  """Folder of the first revision whose model and tokenizer are readable."""
  problem = ''
  for steps in revisions.values():
    for _, place in sorted(steps.items(), reverse=True):
      try:
        folder = place.describe()
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


def _encode(
  folder: pathlib.Path, log: Log = print
) -> Callable[[str], list[int]]:
  """The tokenizer beside a checkpoint, which neither cuts nor fills up."""
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
  on = [w for w in ('truncation', 'padding') if getattr(tokenizer, w)]
  if on:
    log(f'{path} switches {" and ".join(on)} on, which measuring leaves off.')
    tokenizer.no_truncation()
    tokenizer.no_padding()
  return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def _named(suite: suites.Suite) -> dict[str, Any]:
  """Names of seeds and tokens of steps, where there are any to be kept."""
  kept: dict[str, Any] = {}
  if set(suite.revisions) != {0} or len(suite.seed_names) > 1:
    kept['seed_names'] = [suite.seed_names[seed] for seed in suite.revisions]
  if suite.tokens:
    steps = suites.union(suite.revisions)
    kept['tokens'] = [suite.tokens.get(step) for step in steps]
  return kept


def _table(suite: suites.Suite) -> Iterator[str]:
  """Which revision is which row."""
  yield f'  {"seed":>6}{"step":>14}{"tokens":>20}  revision'
  for seed, steps in suite.revisions.items():
    for step, place in steps.items():
      tokens = suite.tokens.get(step)
      said = '–' if tokens is None else f'{tokens:,}'
      yield f'  {seed:>6}{step:>14,}{said:>20}  {place}'


def prepare(
  given: Mapping[str, Any],
  root: str | pathlib.Path,
  steps: str = '',
  log: Log = print,
) -> Release:
  """Checks a configuration against the checkpoints that it is for.

  Args:
    given: groups `release` (see `ReleaseConfig`) and `measures`.
    root: folder of the checkpoints, or `hub:ORG/NAME,…`.
    steps: range of steps, see `schedule.within`.
    log: takes lines of text for the user.

  Raises:
    UserError: for a wrong value, or if there is nothing to measure.
  """
  raw = schema.plain(given)
  building.check_keys('config', raw, ('release', 'measures', 'reference'))
  schema.check_reference(raw)
  options = building.build(
    'config.release', ReleaseConfig, raw.get('release', {})
  )
  if options.dtype not in released.DTYPES:
    raise UserError(
      f'config.release.dtype={options.dtype!r} is unknown; known: '
      f'{", ".join(released.DTYPES)}.'
    )
  mesh_lib.model_mesh(options.devices)  # raises where there are not so many
  specs, _ = measure_specs.parse(raw.get('measures', {}))
  suite = find(str(root), options).select(steps)
  revisions = suite.revisions
  for note in suite.notes:
    log(note)
  folder = _first_readable(revisions)
  model = released.read_model(folder)
  names = [n for n in options.sets.split(',') if n]
  chosen = probe_sets.choose(names)
  for note in probe_sets.notes(chosen):
    log(note)
  sets = probe_sets.tokenise(
    chosen, _encode(folder, log), model.vocab_size,
    longest=model.config.num_positions,
  )  # fmt: skip
  objective = Objective(model, sets)
  memory.check(
    f'the model of {folder}', 4 * objective.num_params(),
    'take --config.release.dtype=bfloat16, or a larger machine.',
  )  # fmt: skip
  built, unavailable = measure_specs.build(objective, specs)
  for sentence in unavailable.values():
    log(f'left out: {sentence}')
  if not built:
    raise UserError('config.measures names nothing that can be measured.')
  all_steps = suites.union(revisions)
  kept = {
    **raw,
    'task': {'name': 'probe_sets'},
    'model': {
      'size': options.name or _name_of(str(root)),
      'parameters': objective.num_params(),
    },
    'train': {'steps': all_steps[-1]},
    'checkpoints': {
      'steps': all_steps,
      'seeds': list(revisions),
      **_named(suite),
    },
    growing.MEASURED: {
      'sets': fingerprints.of_sets(chosen),
      'tokenizer': released.fingerprint(folder / 'tokenizer.json'),
      'description': fingerprints.of_description(model),
    },
  }
  subject = recording.Subject(
    objective, {name: specs[name] for name in built}, built, all_steps,
    list(revisions), kept,
  )  # fmt: skip
  return Release(suite, subject, model, sets, options.dtype, options.devices)


def measure(
  given: Mapping[str, Any],
  root: str | pathlib.Path,
  workdir: pathlib.Path,
  *,
  steps: str = '',
  log: Log = print,
) -> int:
  """Measures every revision of released checkpoints; goes on where it stopped.

  Args:
    given: the configuration, see `prepare`.
    root: folder of the checkpoints, or `hub:ORG/NAME,…`.
    workdir: where the timeseries is to be.
    steps: range of steps, see `schedule.within`.
    log: takes lines of text for the user.

  Returns:
    How many rows were measured now.

  Raises:
    UserError: for what is wrong with the configuration or the folder.
  """
  release = prepare(given, root, steps, log)

  def source_of(programs: programs_lib.OneSeed) -> Revisions:
    return Revisions(
      workdir, release.suite, release.model, release.dtype,
      release.devices,
      programs, log,
    )  # fmt: skip

  return recording.record(workdir, release.subject, source_of, log)


def describe(
  given: Mapping[str, Any],
  root: str | pathlib.Path,
  *,
  steps: str = '',
) -> Iterator[str]:
  """What measuring a release would take: lines of text; nothing is loaded.

  Weights need not be there. Memory is what the compiler plans for this
  machine, parameters included; on an accelerator it differs somewhat.

  Args:
    given: the configuration, see `prepare`.
    root: folder of the checkpoints, or `hub:ORG/NAME,…`.
    steps: range of steps, see `schedule.within`.
  """
  lines: list[str] = []
  release = prepare(given, root, steps, lines.append)
  subject, exams = release.subject, release.sets
  yield from lines
  number = subject.objective.num_params()
  dtype = np.dtype(released.DTYPES[release.dtype])
  revisions = release.suite.revisions
  count = sum(map(len, revisions.values()))
  items = ', '.join(
    f'{name} {int(n)}'
    for name, n in zip(exams.task_names, exams.is_item.sum((1, 2)))
  )
  yield from _table(release.suite)
  yield f'parameters    {number:,}, {progress.size(number * dtype.itemsize)}'
  yield f'revisions     {count} of {len(subject.seeds)} seeds'
  yield f'items         {items}; {exams.length} tokens'
  if release.devices > 1:
    yield f'memory        of each of {release.devices} devices'
  yield f'  {"":12}{"memory":>10}{"revisions":>12}'
  shapes = jax.eval_shape(subject.objective.init, jax.random.key(0))
  mesh = mesh_lib.model_mesh(release.devices)
  params = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(
      x.shape, dtype, sharding=mesh_lib.placed_alone(mesh, x)
    ),
    shapes,
  )
  pairs = {name for name, measure in subject.measures.items() if measure.pair}
  times = measuring.times(subject.specs, pairs, subject.steps)
  for name, measure in subject.measures.items():
    lowered = jax.jit(measure.fn).lower(
      *programs_lib.shapes_of(measure, params)
    )
    peak = programs_lib.peak_of(lowered.compile())
    size = progress.size(peak) if peak else 'unknown'
    yield f'  {name:<12}{size:>10}{times[name]:>12,}'
