"""Measures the saved checkpoints of a run, into its timeseries.

  python -m experiments.measure --workdir=runs/… --measures=llc,hessian

Which checkpoints a run saves is `config.checkpoints.keep` and `keep_period`.
A call that was stopped is gone on with by the same command.
"""

import pathlib
import sys

from absl import app, flags, logging

_WORKDIR = flags.DEFINE_string('workdir', None, 'Run directory.', required=True)
_MEASURES = flags.DEFINE_list(
  'measures', None, 'Names, separated by commas.', required=True
)


def main(argv):
  """Measures, and says what was added; exits with 1 on a user's error."""
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {argv[1:]}')
  logging.set_verbosity(logging.WARNING)
  from emergence_jax import mesh, offline
  from emergence_jax.types import UserError

  workdir = pathlib.Path(_WORKDIR.value)
  try:
    seeds = offline.read_config(workdir).get('seeds', {})
    mesh.start(seeds.get('count', 1), seeds.get('devices', 0))
    done = offline.measure(
      workdir, _MEASURES.value, lambda line: print(line, flush=True)
    )
    print(f'{", ".join(_MEASURES.value)}: {done.count} checkpoints added.')
    if done.failed:
      steps = ', '.join(f'{step:,}' for step in done.failed)
      raise UserError(f'not measured, for the reasons above: {steps}.')
  except UserError as error:
    print(f'error: {error}', file=sys.stderr)
    sys.exit(1)


if __name__ == '__main__':
  app.run(main)
