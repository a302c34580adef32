"""Measures the saved checkpoints of a run, into its timeseries.

  python -m experiments.measure --workdir=runs/… --measures=llc,hessian
  python -m experiments.measure --workdir=runs/… --measures=llc \\
    --config.measures.llc.num_draws=500

Which checkpoints a run saves is `config.checkpoints.keep` and `keep_period`.
Options are those of the run's configuration, unless given here. A call that
was stopped is gone on with by the same command.
"""

from absl import flags

from experiments import apps

_WORKDIR = flags.DEFINE_string('workdir', None, 'Run directory.', required=True)
_MEASURES = flags.DEFINE_list(
  'measures', None, 'Names, separated by commas.', required=True
)
_OVERWRITE = flags.DEFINE_bool(
  'overwrite', False, 'Measure again what earlier calls have added.'
)
_WAIT = flags.DEFINE_bool(
  'wait', False, 'Wait for the end of a run that is still going on.'
)
_PREFIX = '--config.measures.'


def _options(arguments: list[str], names: list[str]) -> dict[str, dict]:
  """Options of measures from what absl's flags have left."""
  from emergence_jax.types import UserError
  from experiments import config_flag

  found: dict[str, dict] = {}
  for key, value in config_flag.overrides(arguments, _PREFIX).items():
    name, _, option = key.partition('.')
    if name not in names or not option:
      raise UserError(
        f'{_PREFIX}{key}={value!r} is no option of --measures='
        f'{",".join(names)}; write {_PREFIX}NAME.OPTION=VALUE.'
      )
    found.setdefault(name, {})[option] = value
  return found


def main(argv):
  """Measures, and says what was added; exits with 1 on a user's error."""
  with apps.errors():
    from emergence_jax import config, offline, rundir
    from emergence_jax.types import UserError

    workdir, names = apps.path('workdir', _WORKDIR.value), _MEASURES.value
    if not any(names):
      raise UserError('--measures is empty; give names, by commas.')
    options = _options(argv[1:], names)
    config.start_devices(rundir.read_config(workdir))
    done = offline.measure(
      workdir, names, apps.say, options=options, overwrite=_OVERWRITE.value,
      wait=_WAIT.value,
    )  # fmt: skip
    apps.say(f'{", ".join(names)}: {done.count} checkpoints added.')
    if done.failed:
      steps = ', '.join(f'{step:,}' for step in done.failed)
      raise UserError(f'not measured, for the reasons above: {steps}.')


if __name__ == '__main__':
  apps.run(main, known_only=True)
