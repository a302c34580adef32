"""Joins runs of different seeds into one timeseries.

  python -m experiments.merge --workdir=runs/a --workdir=runs/b --out=runs/both

The runs have to be of one configuration, all but `config.seeds.first` and
`count`. What is joined is analysed and reported as one run. A folder that
`export --format=packed` has written is taken as a run is.
"""

from absl import flags

from emergence_jax.cli import apps

_WORKDIR = flags.DEFINE_multi_string(
  'workdir',
  None,
  'Run directory, or folder of a packed run; give the flag for each.',
  required=True,
)
_OUT = flags.DEFINE_string(
  'out', None, 'A new folder for the joined one.', required=True
)


def main(argv):
  """Merges, and prints the seeds."""
  del argv
  with apps.errors():
    from emergence_jax.running import merging

    workdirs = [apps.path('workdir', w) for w in _WORKDIR.value]
    out = apps.path('out', _OUT.value)
    seeds = merging.merge(workdirs, out, apps.say)
    apps.say(
      f'{len(seeds)} seeds in {out}. Next: {apps.CALLED}report --workdir={out}'
    )


if __name__ == '__main__':
  apps.run(main)
