"""Trains a population of seeds and measures it at every checkpoint.

  python -m experiments.run --config=configs/modadd.py
  python -m experiments.run modadd:31 --config.seeds.count=4
  python -m experiments.run --config=configs/algorithmic.py:nano --dry_run
  python -m experiments.run --sweep=modadd:31 --sweep=modadd:113 \\
    --workdir=runs/moduli

A run directory that exists is gone on with, without --config as it was begun:

  python -m experiments.run --workdir=runs/latest

Values of the configuration can be set on the command line, for example
--config.seeds.count=4.
"""

import contextlib
import os
import pathlib
import sys

from absl import flags

from emergence_jax.cli import apps, multihost

flags.adopt_module_key_flags(multihost)

_CONFIG = flags.DEFINE_string(
  'config', None, 'Configuration file, and after a colon its argument; that of '
  'the run in --workdir if absent. --config.KEY=VALUE sets a value of it.',
)  # fmt: skip
_SWEEP = flags.DEFINE_multi_string(
  'sweep', None, 'Instead of --config: one of several configurations that are '
  'run one after the other, each in a folder under --workdir; give the flag '
  'again for each. Values of one key are arms of one run, in one program: '
  "--config.arms.grid='optimizer.rate=1e-3,2e-3'.",
)  # fmt: skip
_PARTS = flags.DEFINE_integer(
  'parts', None, 'Run the seeds in so many parts one after the other, where '
  'the memory does not hold all, and join them in --workdir.',
)  # fmt: skip
_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'Run directory; a dated folder under runs/ if absent.'
)
_MEASURES = flags.DEFINE_list(
  'measures', None, "Only these of the configuration's measures, by commas."
)
_DRY_RUN = flags.DEFINE_bool(
  'dry_run',
  False,
  'Print sizes, schedule, disk, memory and time, and exit; of '
  'the largest of --parts.',
)
_OVERWRITE = flags.DEFINE_bool(
  'overwrite', False,
  'Erase the run in --workdir, its rows and populations, and begin again.',
)  # fmt: skip
_BLIND = flags.DEFINE_bool(
  'blind', False,
  'Show nothing but the training loss: no page while it runs, and at its end '
  'none, nor figures, nor a summary; for an experiment that is looked at once.',
)  # fmt: skip

_PROFILE = flags.DEFINE_string(
  'profile', '', 'START:STOP; a trace of these steps is written to profile/ in '
  'the run directory, for TensorBoard or Perfetto.',
)  # fmt: skip
_LOG = flags.DEFINE_enum(
  'log', '', ['', 'tensorboard', 'wandb', 'trackio'], 'Send scalars there '
  'while the run goes on: to tensorboard/ in the run directory, to Weights & '
  'Biases (WANDB_MODE=offline keeps them), or to Trackio on this machine; '
  'nothing is sent without the flag.',
)  # fmt: skip
_COMPILE_CACHE = apps.define_compile_cache()

# JAX and the package are imported inside functions: --help answers at once.


def _base() -> dict:
  """The configuration of --config, or of the run in --workdir."""
  from emergence_jax.base.types import UserError
  from emergence_jax.cli import config_flag
  from emergence_jax.running import rundir

  if _CONFIG.value is not None:
    return config_flag.load(_CONFIG.value)
  if _WORKDIR.value is None:
    raise UserError(
      '--config is missing; give a file, or a built-in configuration: '
      f'{", ".join(config_flag.built_in())}. With the --workdir of a run it is '
      'gone on with as it was begun.'
    )
  workdir = apps.path('workdir', _WORKDIR.value)
  config = rundir.read_config(workdir, _say)
  if 'task' not in config:
    raise UserError(
      f'{workdir} holds measures of parameters that were not trained here; '
      'there is nothing to go on with.'
    )
  return config


def _given(arguments: list[str]) -> dict:
  """The configuration as it was given; measures not wanted are off.

  They keep their options, for who measures them later.
  """
  from emergence_jax.base import names
  from emergence_jax.base.types import UserError
  from emergence_jax.cli import config_flag

  given = _base()
  config_flag.apply(given, config_flag.overrides(arguments))
  wanted = _MEASURES.value
  if wanted is None:
    return given
  known = given.get('measures') or {}
  if not any(wanted):
    raise UserError(
      f'--measures is empty; {names.closest("", known)} Without the flag '
      'all are measured.'
    )
  for name in wanted:
    if ':' in name and name not in known:  # one of the user's own
      known[name] = {}
    names.choose('--measures', name, known)
  given['measures'] = known
  for name in known.keys() - set(wanted):
    known[name] = {**(known[name] or {}), 'on': False}
  return given


def _dry_run(config) -> None:
  """Prints what a run would take, as it becomes known."""
  from emergence_jax.running import dry_run

  for line in dry_run.describe(config):
    apps.say(line)


def _finish(config, workdir: pathlib.Path) -> None:
  """Prints and writes the summary, the figures and the report."""
  if _BLIND.value:
    apps.say(f'not shown; Next: {apps.CALLED}report --workdir={workdir}')
    return
  from emergence_jax.base import names
  from emergence_jax.base.arms import BASELINE
  from emergence_jax.report import run_figures, summary, write
  from emergence_jax.store import arms as arms_lib
  from emergence_jax.store import files, outputs, timeseries

  made_from = outputs.digest(workdir)
  data = timeseries.load(workdir)
  arms = f'{len(config.arms)} arms of ' if config.arms else ''
  if config.arms:  # the page has the others
    data = arms_lib.select(data, BASELINE)
  headline = (
    f'{names.of_run(config.raw)}: {arms}{config.seeds.count} seeds, '
    f'{config.objective.num_params():,} parameters each, '
    f'{config.train.steps:,} steps, {data.sizes["step"]} checkpoints'
  )
  apps.say(summary.text(data, headline))
  paths = run_figures.draw(data, workdir / 'figures')
  if 'accuracy' in data:  # without behaviour nothing can emerge
    report = write.report([workdir], workdir / 'report')
    apps.say(report.answer)
    paths.append(report.page)
    following = (
      f'open {report.page} in a browser; {apps.CALLED}analyze '
      f'--workdir={workdir} prints its tables.'
    )
  else:
    following = f'{apps.CALLED}export --workdir={workdir}'
  text = summary.text(data, headline, each=True)
  files.write_text(workdir / 'summary.txt', text)
  paths.insert(0, workdir / 'summary.txt')
  # Last, and at once: where it is, everything else is too.
  outputs.write(workdir, made_from, paths)
  for path in paths:
    apps.say(f'wrote {path}')
  apps.say(f'Next: {following}')


def _say(line: str) -> None:
  """Prints on the first process only."""
  from emergence_jax.machine import processes

  processes.of_first(apps.say)(line)


def _run(config):
  """Runs to the end or a stop; returns the folder if it is to be shown."""
  from emergence_jax.base import names
  from emergence_jax.cli import previews
  from emergence_jax.config import schema
  from emergence_jax.machine import compiling, processes, stopping
  from emergence_jax.running import loop, rundir
  from emergence_jax.store import outputs

  if _WORKDIR.value is not None:
    workdir = apps.path('workdir', _WORKDIR.value)
  else:
    schema.check_devices(config)
    workdir = processes.agreed(
      lambda: rundir.new_workdir(names.of_run(config.raw))
    )
  _say(f'run directory: {workdir}')
  _say(f'{apps.CALLED}watch --workdir={workdir} shows it as it goes on.')
  compiles = compiling.Compiles()
  pages = previews.Previews(workdir, config.steps.tolist())
  previewed = processes.leads() and not _BLIND.value
  outcome = loop.run(
    config, workdir, apps.say, overwrite=_OVERWRITE.value,
    profile=_PROFILE.value, tracker=_LOG.value,
    on_row=pages if previewed else lambda step: None,
    leaves_at_once=True,
  )  # fmt: skip
  pages.close()
  if compiles.count:
    _say(compiles.text())
  if outcome is loop.Outcome.STOPPED:
    # What waits for the end of the run must not go on.
    sys.exit(stopping.TRY_AGAIN)
  if outcome is loop.Outcome.ALREADY_FINISHED:
    current = processes.agreed(lambda: outputs.are_current(workdir))
    left = 'nothing is left to do' if current or _BLIND.value else (
      'its summary and its page are older than its rows, and are made again'
    )  # fmt: skip
    _say(f'this run is finished at step {config.train.steps:,}; {left}.')
    if current:
      return None
  return workdir if processes.leads() else None


def _calibrated(given: dict) -> dict[str, str]:
  """Strengths of interventions that were tried: once, at a run's beginning."""
  from emergence_jax.base.types import UserError
  from emergence_jax.running import calibrating, rundir

  if _WORKDIR.value is not None and not _OVERWRITE.value:
    try:
      kept = rundir.read_config(apps.path('workdir', _WORKDIR.value))
    except UserError:  # there is no run yet
      kept = {}
    if known := (kept.get('arms') or {}).get('calibrated'):
      return known
  return calibrating.calibrate(given, _say)


def _prepared(arguments: list[str]):
  """The checked configuration, and devices that are ready."""
  from emergence_jax.cli import parts
  from emergence_jax.config import schema
  from emergence_jax.machine import compiling

  given = _given(arguments)
  if _DRY_RUN.value and _PARTS.value is not None:  # of the largest
    first, count = parts.pieces(given, _PARTS.value)[0]
    given['seeds'] = {**given.get('seeds', {}), 'first': first, 'count': count}
  schema.start_devices(given)
  compiling.keep(_COMPILE_CACHE.value)
  if (given.get('arms') or {}).get('calibrate') and not _DRY_RUN.value:
    given['arms']['calibrated'] = _calibrated(given)
  config = schema.from_mapping(given)
  for sentence in config.left_out.values():
    _say(f'left out: {sentence}')
  return config


def _sweep() -> None:
  """Runs several configurations; all other flags go to each of them."""
  from emergence_jax.base.types import UserError
  from emergence_jax.cli import sweep

  if _CONFIG.value is not None or _WORKDIR.value is None:
    raise UserError(
      '--sweep takes the place of --config, and needs a --workdir for its runs.'
    )
  passed = sweep.others(['sweep', 'workdir'])
  folder = apps.path('workdir', _WORKDIR.value)
  sys.exit(sweep.run(_SWEEP.value or (), folder, passed, blind=_BLIND.value))


def _in_parts(arguments: list[str], count: int) -> bool:
  """Runs the seeds in parts and shows what is joined; not a run begun whole.

  Of what is joined nothing is trained: it need not fit into the memory.
  """
  from emergence_jax.base.types import UserError
  from emergence_jax.cli import parts, sweep
  from emergence_jax.store import layout, outputs

  if _CONFIG.value is None or _WORKDIR.value is None or _OVERWRITE.value:
    raise UserError(
      f'--parts={count} needs --config and a --workdir, and takes no '
      '--overwrite: erase the folder of a part to have it run again.'
    )
  if multihost.is_one_of_several():
    raise UserError(
      f'--parts={count} is of one process; leave --multihost out.'
    )
  workdir = apps.path('workdir', _WORKDIR.value)
  if not (workdir / layout.NAME).exists():
    flags = sweep.others(['parts', 'workdir'])
    if code := parts.run(_given(arguments), count, workdir, flags):
      sys.exit(code)
  elif not (workdir / parts.FOLDER).exists():
    return False
  if outputs.are_current(workdir):
    apps.say('this run is finished and joined; nothing is left to do.')
  else:
    _finish(_prepared(arguments), workdir)
  return True


@contextlib.contextmanager
def _waiting_for_nothing():
  """Ends a program, at an exit, without what it still compiles."""
  try:
    yield
  except SystemExit as end:
    if multihost.is_one_of_several() or not isinstance(end.code, int):
      raise
    for stream in (sys.stdout, sys.stderr):
      with contextlib.suppress(OSError):
        stream.flush()
    os._exit(end.code)


def main(argv):
  """Checks the configuration and runs it; exits with 1 on a user's error."""
  if _SWEEP.value:
    with apps.errors():
      _sweep()
  if _PARTS.value is not None and not _DRY_RUN.value:
    with apps.errors():
      if _in_parts(argv[1:], _PARTS.value):
        return
  if _DRY_RUN.value:
    with apps.errors(), _waiting_for_nothing():
      _dry_run(_prepared(argv[1:]))
      sys.exit(0)
  # An error in there ends the process, for the others' sake.
  with (
    apps.errors(),
    _waiting_for_nothing(),
    multihost.joined(),
    apps.errors(),
  ):
    config = _prepared(argv[1:])
    workdir = _run(config)
  if workdir is not None:
    with apps.errors():
      _finish(config, workdir)


if __name__ == '__main__':
  apps.run(main, known_only=True)
