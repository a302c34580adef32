"""Makes the tables and figures of RESULTS.md again, from what is beside it.

python -m experiments.results
python -m experiments.results --check

Each folder here holds a packed run. In RESULTS.md a table stands between
`<!-- table NAME FOLDER … -->` and `<!-- end -->`; behind `<!-- csv NAME
FOLDER … -->` stands a link to a table that is a file in `tables`. A figure that
is ours is an image `figures/GROUP/NAME.png` behind
`<!-- figures GROUP FOLDER … -->`.
`--check` compares the tables and writes nothing.
"""

import pathlib
import re
import sys
from collections.abc import Sequence

from absl import flags

from emergence_jax.cli import apps
from experiments.results import cells, frames

HERE = pathlib.Path(__file__).parent
_CHECK = flags.DEFINE_bool('check', False, 'Compare, and write nothing.')
_TABLE = re.compile(
  r'(<!-- table (\w+)((?: [\w./-]+)+) -->\n).*?(<!-- end -->)', re.DOTALL
)
_FILE = re.compile(r'(<!-- csv (\w+)((?: [\w./-]+)+) -->\n)(?:- .*\n)?')
_GROUP = re.compile(r'<!-- figures ([\w./-]+)((?: [\w./-]+)+) -->')


class Studies:
  """Runs of some folders and what the analysis finds, each read once."""

  def __init__(self):
    self._known = {}

  def loaded(self, folders: Sequence[str]):
    """The runs."""
    from emergence_jax.analysis import runs

    return runs.load([HERE / folder for folder in folders])

  def of(self, folders: Sequence[str]):
    """Loaded runs, and their study."""
    from emergence_jax.analysis import study

    key = tuple(folders)
    if key not in self._known:
      loaded = self.loaded(key)
      self._known[key] = loaded, study.study(loaded)
    return self._known[key]


def _frame(name: str, folders: Sequence[str], studies: Studies):
  """The table of that name.

  Raises:
    UserError: if the analysis has no row for it.
  """
  from emergence_jax.base.types import UserError

  if name == 'runs':  # which asks for no analysis
    return frames.runs(studies.loaded(folders), None)
  loaded, study = studies.of(folders)
  if name in study.tables and study.tables[name].empty:
    raise UserError(
      f"the table '{name}' of {' '.join(folders)} has no row, as where too few "
      'checkpoints have both measures; take it out of RESULTS.md.'
    )
  return frames.TABLES[name](loaded, study)


def filled(page: str, studies: Studies) -> tuple[str, dict[str, str]]:
  """RESULTS.md with its tables made again, and the files beside it.

  Returns:
    The page, and the path of each file within this folder → its text.
  """
  beside: dict[str, str] = {}

  def table(match: re.Match) -> str:
    head, name, words, end = match.groups()
    frame = _frame(name, words.split(), studies)
    return f'{head}{cells.markdown(frame)}\n{end}'

  def link(match: re.Match) -> str:
    head, name, words = match.groups()
    folders = words.split()
    of = '_to_'.join([folders[0], folders[-1]][: len(folders)])
    path = f'tables/{name}_{of.replace("/", "_")}.csv'
    beside[path] = cells.csv(_frame(name, folders, studies))
    title = f'{name.replace("_", " ")}: {", ".join(folders)}'
    return f'{head}- [{title}]({path})\n'

  return _FILE.sub(link, _TABLE.sub(table, page)), beside


def _draw(page: str, studies: Studies) -> None:
  """The figures that the page shows, and no others."""
  from emergence_jax.base.types import UserError
  from emergence_jax.report import study_figures

  for group, folders in _GROUP.findall(page):
    target = HERE / 'figures' / group
    shown = set(re.findall(rf'\(figures/{group}/([\w.-]+)\.png\)', page))
    loaded, study = studies.of(folders.split())
    makers = study_figures.makers(study, loaded)
    names = study_figures.file_names(makers)
    if unknown := shown - set(names.values()):
      known = ', '.join(sorted(names.values()))
      raise UserError(f'{group} has no {sorted(unknown)}, only {known}.')
    wanted = {t: make for t, make in makers.items() if names[t] in shown}
    study_figures.draw(wanted, target, lambda label: None)
    for path in target.iterdir():
      if path.stem not in shown or path.suffix != '.png':
        path.unlink()
    apps.say(f'drew {len(wanted)} figures into {target}')


def _text(path: pathlib.Path) -> str:
  return path.read_text(encoding='utf-8') if path.is_file() else ''


def main(argv):
  """Writes RESULTS.md and the figures; or says whether the tables hold."""
  del argv
  with apps.errors():
    from emergence_jax.store import files

    path = HERE / 'RESULTS.md'
    before = path.read_text(encoding='utf-8')
    studies = Studies()
    after, beside = filled(before, studies)
    if _CHECK.value:
      texts = {name: _text(HERE / name) for name in beside}
      if before != after or texts != beside:
        print('RESULTS.md has other tables than its data give.')
        sys.exit(1)
      apps.say('the tables of RESULTS.md are those of its data.')
      return
    files.write_text(path, after)
    (HERE / 'tables').mkdir(exist_ok=True)
    for name, text in beside.items():
      files.write_text(HERE / name, text)
    for other in (HERE / 'tables').iterdir():
      if f'tables/{other.name}' not in beside:
        other.unlink()
    _draw(after, studies)
    apps.say(f'wrote {path}')


if __name__ == '__main__':
  apps.run(main)
