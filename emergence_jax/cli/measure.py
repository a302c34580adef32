"""Measures saved checkpoints: of a run, or of a released model.

  python -m experiments.measure --workdir=runs/… --measures=llc,hessian
  python -m experiments.measure --workdir=runs/… --measures=llc \\
    --config.measures.llc.num_draws=500

Which checkpoints a run saves is `config.checkpoints.keep` and `keep_period`;
`--steps=1000:5000:500` measures some of them.
Options are those of the run's configuration, unless given here. A call that
was stopped is gone on with by the same command.

  python -m experiments.measure --config=configs/pythia.py:160m \\
    --checkpoints=DIR --workdir=runs/pythia-160m

measures released checkpoints (GPT-NeoX, GPT-2) into a timeseries of their own,
which analyze and report read as they do a run's.
"""

import contextlib
import pathlib

from absl import flags

from emergence_jax.cli import apps, multihost

flags.adopt_module_key_flags(multihost)

_WORKDIR = flags.DEFINE_string(
  'workdir', None, "A run's directory, or where that of a release is to be.",
)  # fmt: skip
_MEASURES = flags.DEFINE_list(
  'measures', None, 'Names, separated by commas; of a release, all if absent.'
)
_OVERWRITE = flags.DEFINE_bool(
  'overwrite',
  False,
  'Measure again what earlier calls have added: their '
  'values go at every step, also at those outside --steps.',
)
_WAIT = flags.DEFINE_bool(
  'wait', False, 'Wait for the end of a run that is still going on.'
)
_CONFIG = flags.DEFINE_string(
  'config', None, 'Of a release: configuration file, and after a colon its '
  'argument.',
)  # fmt: skip
_CHECKPOINTS = flags.DEFINE_string(
  'checkpoints',
  None,
  'Folder of released checkpoints, by step or by seed; or '
  'hub:ORG/NAME, with more names behind commas.',
)
_STEPS = flags.DEFINE_string(
  'steps', '', 'FIRST:LAST, both included, FIRST:LAST:EVERY, or one step.'
)
_DRY_RUN = flags.DEFINE_bool(
  'dry_run', False, 'Of a release: print what it takes, and measure nothing.'
)
_COMPILE_CACHE = apps.define_compile_cache()
_PREFIX = '--config.measures.'

flags.register_multi_flags_validator(
  ['workdir', 'dry_run', 'config'],
  lambda given: given['workdir'] or (given['dry_run'] and given['config']),
  message='give --workdir=FOLDER; only a --dry_run of a release needs none.',
)


def _options(arguments: list[str], names: list[str]) -> dict[str, dict]:
  """Options of measures from what absl's flags have left."""
  from emergence_jax.base.types import UserError
  from emergence_jax.cli import config_flag

  options: dict[str, dict] = {}
  for key, value in config_flag.overrides(arguments, _PREFIX).items():
    name, _, option = key.partition('.')
    if name not in names or not option:
      raise UserError(
        f'{_PREFIX}{key}={value!r} is no option of --measures='
        f'{",".join(names)}; write {_PREFIX}NAME.OPTION=VALUE.'
      )
    options.setdefault(name, {})[option] = value
  return options


def _of_run(arguments: list[str]) -> None:
  """Measures the saved populations of a run."""
  from emergence_jax.base.types import UserError
  from emergence_jax.config import schema
  from emergence_jax.machine import compiling, processes
  from emergence_jax.running import offline, rundir

  workdir, names = apps.path('workdir', _WORKDIR.value), _MEASURES.value or []
  if not any(names):
    raise UserError('--measures is empty; give names, by commas.')
  options = _options(arguments, names)
  schema.start_devices(rundir.read_config(workdir))
  compiling.keep(_COMPILE_CACHE.value)
  done = offline.measure(
    workdir, names, apps.say, options=options, overwrite=_OVERWRITE.value,
    wait=_WAIT.value, steps=_STEPS.value,
  )  # fmt: skip
  if not processes.leads():
    return
  plural = '' if done.checkpoints == 1 else 's'
  apps.say(
    f'{", ".join(names)}: {done.checkpoints} checkpoint{plural} added. Next: '
    f'{apps.CALLED}report --workdir={workdir}'
  )
  if done.failed:
    steps = ', '.join(f'{step:,}' for step in done.failed)
    raise UserError(f'not measured, for the reasons above: {steps}.')


def _of_release(arguments: list[str]) -> None:
  """Measures the revisions of a released model."""
  from emergence_jax.base import names
  from emergence_jax.base.types import UserError
  from emergence_jax.cli import config_flag
  from emergence_jax.machine import compiling
  from emergence_jax.running import releases

  if _CONFIG.value is None or _CHECKPOINTS.value is None:
    raise UserError(
      'a release takes both --config and --checkpoints; a run takes neither.'
    )
  given = config_flag.load(_CONFIG.value)
  config_flag.apply(given, config_flag.overrides(arguments))
  if _MEASURES.value is not None:
    known = given.get('measures') or {}
    chosen = {
      name: names.choose('--measures', name, known) for name in _MEASURES.value
    }
    given['measures'] = {
      name: {k: v for k, v in options.items() if k != 'on'}
      for name, options in chosen.items()
    }
  root: str | pathlib.Path = _CHECKPOINTS.value
  if not _CHECKPOINTS.value.startswith('hub:'):
    root = apps.path('checkpoints', _CHECKPOINTS.value)
  compiling.keep(_COMPILE_CACHE.value)
  if _DRY_RUN.value:
    for line in releases.describe(given, root, steps=_STEPS.value):
      apps.say(line)
    return
  workdir = apps.path('workdir', _WORKDIR.value)
  count = releases.measure(
    given, root, workdir, steps=_STEPS.value, log=apps.say
  )
  apps.say(
    f'{count} checkpoints measured. Next: {apps.CALLED}report '
    f'--workdir={workdir}'
  )


def main(argv):
  """Measures and prints what was added; exits with 1 on a user's error."""
  from emergence_jax.machine import stopping

  of_run = _CONFIG.value is None and _CHECKPOINTS.value is None
  kept = 'what was measured is kept, and the same command goes on.'
  with contextlib.ExitStack() as stack:
    stack.enter_context(apps.errors())
    multihost.check(of_run)
    if not multihost.is_one_of_several():  # who learn of it by its loss
      stack.enter_context(stopping.at_once(kept))
    if of_run:
      with multihost.joined(), apps.errors():
        _of_run(argv[1:])
    else:
      _of_release(argv[1:])


if __name__ == '__main__':
  apps.run(main, known_only=True)
