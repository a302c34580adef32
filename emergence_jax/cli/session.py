"""A run from a Python session or a notebook."""

import pathlib
from collections.abc import Mapping
from typing import Any

import xarray as xr

from emergence_jax.base import names
from emergence_jax.base.types import UserError
from emergence_jax.cli import config_flag
from emergence_jax.config import schema
from emergence_jax.report import write
from emergence_jax.running import loop, rundir
from emergence_jax.store import timeseries


def run(
  config: str | Mapping[str, Any],
  workdir: str | pathlib.Path | None = None,
  *,
  report: bool = True,
  **values: Any,
) -> xr.Dataset:
  """Runs a configuration to its end, or goes on with it; returns its dataset.

  Progress is a line every few seconds. A run that is interrupted goes on by
  the same call.

  Args:
    config: a mapping, or what `--config` takes: a file or the name of a
      built-in configuration, for example `modadd:31`.
    workdir: run directory; a dated folder under runs/ if absent.
    report: whether the page is written as well, into report/ there.
    **values: of the configuration, dots as two underscores:
      `optimizer__rate=2e-3`.

  Raises:
    UserError: for a wrong key or value, or where it was interrupted.
  """
  if isinstance(config, str):
    given = config_flag.load(config)
  else:
    given = dict(schema.plain(config))
  config_flag.apply(
    given, {key.replace('__', '.'): value for key, value in values.items()}
  )
  schema.start_devices(given)
  checked = schema.from_mapping(given)
  if workdir is None:
    workdir = rundir.new_workdir(names.of_run(checked.raw))
  workdir = pathlib.Path(workdir).expanduser()
  print(f'run directory: {workdir}', flush=True)
  outcome = loop.run(checked, workdir)
  if outcome is loop.Outcome.STOPPED:
    raise UserError(
      f'the run was interrupted; call run(…, workdir={str(workdir)!r}) to go '
      'on.'
    )
  data = timeseries.load(workdir)
  if report and 'accuracy' in data:
    made = write.report([workdir], workdir / 'report')
    print(f'{made.answer}\nwrote {made.page}', flush=True)
  return data
