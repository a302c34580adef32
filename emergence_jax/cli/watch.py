"""Serves the page of runs that go on, which updates itself.

  python -m experiments.watch --workdir=runs/latest

It is served to this machine alone, at an address with a secret in it; nothing
is written. From elsewhere it is seen with `--port=8000` and, over there,
`ssh -L 8000:127.0.0.1:8000`.
"""

from absl import flags

from emergence_jax.cli import apps

_WORKDIR = flags.DEFINE_multi_string(
  'workdir', None, 'Run directory; give the flag again for more.', required=True
)
_PORT = flags.DEFINE_integer(
  'port', 0, 'Of 127.0.0.1; one that is free if 0.', lower_bound=0,
  upper_bound=65535,
)  # fmt: skip


def main(argv):
  """Serves until it is interrupted."""
  del argv
  with apps.errors():
    from emergence_jax.base.types import UserError
    from emergence_jax.report import watching

    workdirs = [apps.path('workdir', w) for w in _WORKDIR.value]
    for workdir in workdirs:
      if not workdir.is_dir():
        raise UserError(f'{workdir} is not there; give the folder of a run.')
    with watching.server(workdirs, _PORT.value) as (address, serve):
      apps.say(f'{address} shows the run as it goes on; Ctrl-C ends this.')
      serve()


if __name__ == '__main__':
  apps.run(main)
