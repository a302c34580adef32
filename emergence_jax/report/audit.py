"""What an audit of released checkpoints found, as a table and a picture."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from emergence_jax.analysis import histories
from emergence_jax.analysis.histories import Fault, History
from emergence_jax.report import style
from emergence_jax.store import files

COLUMNS = ('kind', 'seed', 'step', 'what', 'is_wrong')


def frame(faults: Sequence[Fault], names: Mapping[int, str]) -> pd.DataFrame:
  """A row for each fault."""
  rows = [
    (f.kind, names.get(f.seed, str(f.seed)), f.step, f.words, f.is_wrong)
    for f in faults
  ]
  return pd.DataFrame(rows, columns=list(COLUMNS))


def table(faults: Sequence[Fault], names: Mapping[int, str]) -> str:
  """A line for each fault, and a sentence that sums them up."""
  lines = [
    f'{f.kind}, {names.get(f.seed, f"seed {f.seed}")}, step {f.step:,}: '
    f'{f.words}.'
    for f in faults
  ]
  wrong = sum(f.is_wrong for f in faults)
  if wrong:
    verb = 'is' if wrong == 1 else 'are'
    lines.append(f'{wrong:,} of these {verb} wrong: it is not a whole history.')
  else:
    lines.append('Nothing is wrong with it.')
  return '\n'.join(lines)


def write(
  out: pathlib.Path,
  faults: Sequence[Fault],
  suite: Mapping[int, History],
  names: Mapping[int, str],
) -> list[pathlib.Path]:
  """Writes `audit.csv` and `audit.png` into a folder."""
  files.check_writable(out, 'give another --out')
  csv = out / 'audit.csv'
  text = files.as_text(frame(faults, names)).to_csv(index=False)
  files.write_text(csv, text)
  picture = out / 'audit.png'
  style.save(draw(faults, suite, names), picture, dpi=150)
  return [csv, picture]


def draw(
  faults: Sequence[Fault],
  suite: Mapping[int, History],
  names: Mapping[int, str],
) -> Figure:
  """Distance of each revision to the one before, wrong ones marked."""
  figure, axes = style.subplots(figsize=(7.2, 3.6))
  colours = style.task_colours(len(suite))
  for colour, (seed, history) in zip(colours, suite.items()):
    usable = {s: k for s, k in sorted(history.items()) if not k.problem}
    steps, gaps = histories.neighbours(usable)
    label = names.get(seed, f'seed {seed}')
    axes.plot(steps, gaps, '.-', lw=1, ms=4, color=colour, label=label)
    bad = {f.step for f in faults if f.seed == seed and f.is_wrong}
    at = np.isin(steps, list(bad))
    axes.plot(steps[at], gaps[at], 'x', color='crimson', ms=8)
  axes.set_xscale('symlog', linthresh=1)
  axes.set_xlabel('training step')
  axes.set_ylabel(
    'change of a weight since the\nrevision before, root mean square'
  )
  axes.set_title('A cross: something is wrong with the revision', fontsize=9)
  style.legend_beside(axes, fontsize=7, ncols=2)
  return figure
