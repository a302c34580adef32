"""Made-up experiments with arms, of which the right verdict is known."""

import collections

import numpy as np
from rich import box, table

from emergence_jax.analysis import effects

ARMS = ('none', 'sham', 'placebo', 'arm')
# What the geometry is → the right verdict of an arm that moves it.
RIGHT = {
  'a cause': effects.MOVES,
  'companion of a common cause': effects.MOVES_NOT,
  'a consequence, or nothing': effects.MOVES_NOT,
}
# A shift of less than this, in checkpoints, counts as none.
MARGIN = 2.0


def steps(
  kind: str, rng: np.random.Generator, seeds: int, size: float = 2.0
) -> np.ndarray:
  """Checkpoint of emergence [arms, seeds], by what the geometry is.

  Seeds differ by 8 checkpoints; two arms of one seed by one, and by what the
  intervention does. A common cause is moved by any push, and so by the placebo.
  """
  base = rng.normal(30, 8, seeds)
  noise = rng.normal(0, 1, (2, seeds))
  by_any = size if kind == 'companion of a common cause' else 0.0
  own = size if kind == 'a cause' else by_any
  return np.round(
    np.stack([base, base, base + by_any + noise[0], base + own + noise[1]])
  )


def verdict(kind: str, rng: np.random.Generator, seeds: int) -> str:
  """The verdict on the arm of one experiment."""
  (found,) = effects.effects(
    steps(kind, rng, seeds), ARMS, baseline='none', margin=MARGIN,
    placebos={'arm': 'placebo'}, controls=['sham'], draws=2000,
  )  # fmt: skip
  return found.verdict


def shown(show, studies: int) -> table.Table:
  """Verdicts by what the geometry is, % of so many experiments."""
  rows = table.Table(
    title='An arm that moves the geometry, which is …; effect of two '
    f'checkpoints; verdicts, % of {studies}, the right one in brackets',
    box=box.SIMPLE_HEAD,
  )
  names = (effects.MOVES, effects.MOVES_NOT, effects.UNDECIDED)
  rows.add_column('geometry')
  rows.add_column('seeds', justify='right')
  for name in names:
    rows.add_column(name, justify='right')
  cases = [(kind, seeds) for kind in RIGHT for seeds in (8, 16, 64)]
  for kind, seeds in show(cases):
    rng = np.random.default_rng(0)
    counts = collections.Counter(
      verdict(kind, rng, seeds) for _ in range(studies)
    )
    cells = []
    for name in names:
      text = f'{100 * counts[name] / studies:.1f}'
      cells.append(f'[{text}]' if name == RIGHT[kind] else text)
    rows.add_row(kind, str(seeds), *(c.replace('[', '\\[') for c in cells))
  return rows
