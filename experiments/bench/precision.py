"""`bench precision`: what training in bfloat16 changes in each measure.

The default job is trained twice from the same initial weights, in float32 and
in bfloat16, and measured in float32 either way. A difference counts in units of
the spread over seeds.
"""

import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import xarray as xr

from emergence_jax.analysis import series
from emergence_jax.store import timeseries
from experiments.bench.formatting import Table

_STEPS, _EVERY = 1200, 40
# Before training has drawn rounding apart, and after the model has grokked.
_SHOWN = (40, 400, 1200)


def _train(precision: str, seeds: int, folder: pathlib.Path) -> xr.Dataset:
  workdir = folder / precision
  done = subprocess.run(
    [sys.executable, '-m', 'experiments.run', '--config=modadd:31',
     f'--workdir={workdir}', f'--config.train.precision={precision}',
     f'--config.seeds.count={seeds}', f'--config.train.steps={_STEPS}',
     f'--config.checkpoints.schedule={_EVERY}',
     '--config.measures.hessian.every=10', '--config.measures.llc.every=10'],
    capture_output=True, text=True,
  )  # fmt: skip
  if done.returncode:
    sys.exit(f'{precision} has failed:\n{done.stderr[-2000:]}')
  return timeseries.load(workdir).load()


def compared(whole: xr.Dataset, fewer: xr.Dataset, steps) -> list[list]:
  """A row for each measure: medians, and differences at some steps.

  Args:
    whole: of a run in float32.
    fewer: of one of the same seeds in bfloat16.
    steps: at which to compare.
  """
  rows = []
  for name, item in series.of(whole).items():
    values = [series.usable(data, item) for data in (whole, fewer)]
    if any(v is None for v in values):
      continue
    row = [name]
    for step in steps:
      a, b = (
        v.sel(step=step).values.reshape(v.sizes['seed'], -1).mean(1)
        for v in values
      )
      both = np.isfinite(a) & np.isfinite(b)
      if both.sum() < 3:
        row += [None, None, None]
        continue
      spread = a[both].std(ddof=1)
      shift = (b[both] - a[both]).mean()
      row += [
        float(np.median(a[both])), float(np.median(b[both])),
        float(shift / spread) if spread > 0 else None,
      ]  # fmt: skip
    rows.append(row)
  return rows


def run(folder: str | None, seeds: int, *, with_peers: bool) -> list[Table]:
  """Trains twice and compares."""
  del folder, with_peers
  with tempfile.TemporaryDirectory() as work:
    whole, fewer = (
      _train(precision, seeds, pathlib.Path(work))
      for precision in ('float32', 'bfloat16')
    )
  columns = ['measure']
  for step in _SHOWN:
    columns += [f'float32 at {step:,}', f'bfloat16 at {step:,}', 'shift']
  return [
    Table(
      f'mod 31, {seeds} seeds: trained in float32 and in bfloat16, measured in '
      'float32',
      columns,
      compared(whole, fewer, _SHOWN),
      ['Medians over seeds. A shift is the mean over seeds of the difference, '
       'in standard deviations over seeds of the values in float32: what '
       'another seed would do is about 1.'],
    )
  ]  # fmt: skip
