"""Says whether released checkpoints are the history of one training.

  python -m experiments.audit DIR
  python -m experiments.audit hub:ORG/NAME,ORG/OTHER --out=runs/audit

It names revisions that carry another's weights (by file, by shard, by tensor),
shards that lack, seeds that do not begin at their own step 0, revisions off
the path of their neighbours, gaps in the schedule and descriptions that change.
On the hub it reads ranges of the files, and never a whole one. It exits with 1
if something is wrong.
"""

import sys

from absl import flags

from emergence_jax.cli import apps

_OUT = flags.DEFINE_string(
  'out', '', 'Folder for a table (audit.csv) and a picture (audit.png).'
)
_PATTERN = flags.DEFINE_string(
  'pattern', '', 'Regular expression of names, as config.release.pattern.'
)
_STAGE = flags.DEFINE_string('stage', '', 'Of training; the first if empty.')


def main(argv):
  """Prints what is wrong, a line each."""
  with apps.errors():
    from emergence_jax.base.types import UserError
    from emergence_jax.report import audit as report
    from emergence_jax.running import auditing, releases

    if len(argv) != 2:
      raise UserError('give one folder, or hub:ORG/NAME with more by commas.')
    names = releases.ReleaseConfig(pattern=_PATTERN.value, stage=_STAGE.value)
    suite = releases.find(argv[1], names)
    for note in suite.notes:
      apps.say(note)
    audit = auditing.audit(suite, apps.say)
    apps.say(report.table(audit.faults, suite.seed_names))
    if _OUT.value:
      out = apps.path('out', _OUT.value)
      for path in report.write(
        out, audit.faults, audit.sketches, suite.seed_names
      ):
        apps.say(f'wrote {path}')
    if any(fault.is_wrong for fault in audit.faults):
      sys.exit(1)


if __name__ == '__main__':
  apps.run(main, arguments=1)
