"""Makes the tables and figures of RESULTS.md again, from what is beside it.

python -m experiments.results
python -m experiments.results --check

Each folder here holds a packed run. A table in RESULTS.md stands between
`<!-- table NAME FOLDER … -->` and `<!-- end -->`; `--check` compares and writes
nothing.
"""

import pathlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from absl import flags

from experiments import apps

HERE = pathlib.Path(__file__).parent
_CHECK = flags.DEFINE_bool('check', False, 'Compare, and write nothing.')
_BLOCK = re.compile(
  r'(<!-- table (\w+)((?: [\w.-]+)+) -->\n).*?(<!-- end -->)', re.DOTALL
)
# Of the many features of measures, so many with the least p are shown.
_SHOWN = 12


def _cell(value) -> str:
  """A cell, rounded to what it can bear."""
  if isinstance(value, float | np.floating):
    if np.isnan(value):
      return '–'
    return f'{value:,.0f}' if abs(value) >= 100 else f'{value:.3g}'
  return f'{value:,}' if isinstance(value, int | np.integer) else str(value)


def markdown(frame: pd.DataFrame) -> str:
  """A table, as Markdown."""
  lines = [
    ' | '.join(map(str, frame.columns)),
    '|'.join(['---'] * frame.shape[1]),
  ]
  lines += [
    ' | '.join(map(_cell, row)) for row in frame.itertuples(index=False)
  ]
  return '\n'.join(f'| {line} |' for line in lines)


def _emergence(found) -> pd.DataFrame:
  from emergence_jax.report import text

  return text.emergence_summary(found)


def _precedence(found) -> pd.DataFrame:
  from emergence_jax.report import text

  return text.precedence_summary(found).drop(columns='run')


def _timing(found) -> pd.DataFrame:
  """The features with the least p in each window."""
  table = found.tables['timing']
  tested = table.groupby('window', sort=False).size()
  parts = [
    part.nsmallest(_SHOWN, 'p').assign(window=f'{name} ({tested[name]} tested)')
    for name, part in table.groupby('window', sort=False)
  ]
  return pd.concat(parts).drop(columns=['run', 'events'])


def _claims(found) -> pd.DataFrame:
  table = found.tables['claims']
  return table[['claim', 'paper v1', 'v3/v4', 'ours [95%] (count)', 'seeds',
                'verdict', 'why']]  # fmt: skip


TABLES: Mapping[str, Callable] = {
  'emergence': _emergence,
  'precedence': _precedence,
  'timing': _timing,
  'claims': _claims,
}


def study_of(folders: Sequence[str]):
  """Runs of some folders, and what the analysis finds."""
  from emergence_jax.analysis import runs, study

  loaded = runs.load([HERE / folder for folder in folders])
  return loaded, study.study(loaded)


def filled(page: str) -> str:
  """RESULTS.md with its tables made again."""
  studies = {}

  def table(match: re.Match) -> str:
    head, name, folders, end = match.groups()
    key = tuple(folders.split())
    if key not in studies:
      studies[key] = study_of(key)[1]
    return f'{head}{markdown(TABLES[name](studies[key]))}\n{end}'

  return _BLOCK.sub(table, page)


def _draw(folder: pathlib.Path) -> None:
  """The figures of one run, as PNG."""
  from emergence_jax.report import panels

  runs, found = study_of([folder.name])
  target = folder / 'figures'
  panels.draw(panels.makers(found, runs), target, lambda label: None)
  for path in target.glob('*.svg'):
    path.unlink()


def main(argv):
  """Writes RESULTS.md and the figures; or says whether the tables hold."""
  del argv
  with apps.errors():
    from emergence_jax import files, store

    path = HERE / 'RESULTS.md'
    before = path.read_text(encoding='utf-8')
    after = filled(before)
    if _CHECK.value:
      if before != after:
        print('RESULTS.md has other tables than its data give.')
        sys.exit(1)
      apps.say('the tables of RESULTS.md are those of its data.')
      return
    files.write_text(path, after)
    for packed in sorted(HERE.glob(f'*/{store.PACKED}')):
      _draw(packed.parent)
      apps.say(f'drew {packed.parent / "figures"}')
    apps.say(f'wrote {path}')


if __name__ == '__main__':
  apps.run(main)
