"""Trains a population of seeds and measures it at every checkpoint.

  python -m experiments.run --config=configs/modadd.py
  python -m experiments.run --config=configs/algorithmic.py:nano --dry_run

A run directory that exists is gone on with. Values of the configuration can
be set on the command line, for example --config.seeds.count=4.
"""

import pathlib
import sys

from absl import app, flags, logging
from ml_collections import config_flags

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'Configuration file, and after a colon its argument.'
)
_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'Run directory; a dated folder under runs/ if absent.'
)
_MEASURES = flags.DEFINE_list(
  'measures', None, "Only these of the configuration's measures, by commas."
)
_DRY_RUN = flags.DEFINE_bool(
  'dry_run', False, 'Print sizes, schedule, disk, memory and time, and exit.'
)
flags.mark_flag_as_required('config')

# JAX and the package are imported inside functions: --help answers at once.


def _name(config) -> str:
  """The task, and the size or modulus, for the name of a folder."""
  model, task = config.raw.get('model', {}), config.raw['task']
  detail = model.get('size') or task.get('p')
  return f'{task["name"]}-{detail}' if detail else task['name']


def _given() -> dict:
  """The configuration as it was given, with the measures that are wanted."""
  from emergence_jax import config as config_lib

  given = _CONFIG.value.to_dict()
  if _MEASURES.value is not None:
    known = given.get('measures', {})
    given['measures'] = {
      name: config_lib.choose('--measures', name, known)
      for name in _MEASURES.value
    }
  return given


def _dry_run(config) -> None:
  """Prints what a run would take, as it becomes known."""
  from emergence_jax import dry_run

  for line in dry_run.describe(config):
    print(line, flush=True)


def _finish(config, workdir: pathlib.Path) -> None:
  """Prints and writes the summary, the figures and the report."""
  from emergence_jax import timeseries
  from emergence_jax.report import figures, summary, write

  data = timeseries.load(workdir)
  headline = (
    f'{_name(config)}: {config.seeds.count} seeds, '
    f'{config.objective.num_params():,} parameters each, '
    f'{config.train.steps:,} steps, {data.sizes["step"]} checkpoints'
  )
  text = summary.text(data, headline)
  paths = figures.draw(data, workdir / 'figures')
  print(text)
  if 'accuracy' in data:  # without behaviour nothing can emerge
    found = write.report([workdir], workdir / 'report')
    print(found.answer)
    paths.append(found.page)
  # Last, and at once: where it is, everything else is too.
  part = workdir / 'summary.txt.part'
  part.write_text(text, encoding='utf-8')
  part.replace(workdir / 'summary.txt')
  for path in [workdir / 'summary.txt', *paths]:
    print(f'wrote {path}')


# Exit code of a run that a signal stopped: it is to be tried again (as
# EX_TEMPFAIL of sysexits.h), and what waits for its end must not go on.
_STOPPED = 75


def _run(config) -> None:
  from emergence_jax import loop, rundir

  workdir = _WORKDIR.value or rundir.default_workdir(_name(config))
  workdir = pathlib.Path(workdir)
  print(f'run directory: {workdir}', flush=True)
  outcome = loop.run(config, workdir)
  if outcome is loop.Outcome.STOPPED:
    sys.exit(_STOPPED)
  if outcome is loop.Outcome.ALREADY_FINISHED:
    print(
      f'this run is finished at step {config.train.steps:,}; nothing is left '
      'to do.'
    )
    if (workdir / 'summary.txt').exists():
      return
  _finish(config, workdir)


def main(argv):
  """Checks the configuration and runs it; exits with 1 on a user's error."""
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {argv[1:]}')
  # JAX tells at level INFO which accelerators a machine does not have.
  logging.set_verbosity(logging.WARNING)
  from emergence_jax import mesh
  from emergence_jax.types import UserError

  try:
    seeds = _CONFIG.value.get('seeds', {})
    mesh.start(seeds.get('count', 1), seeds.get('devices', 0))
    from emergence_jax import config as config_lib

    config = config_lib.from_mapping(_given())
    if _DRY_RUN.value:
      _dry_run(config)
    else:
      _run(config)
  except UserError as error:
    print(f'error: {error}', file=sys.stderr)
    sys.exit(1)


if __name__ == '__main__':
  app.run(main)
