"""A report of made-up runs, for the tests of the page."""

import pathlib
from typing import NamedTuple

from emergence_jax.analysis import study
from emergence_jax.base.types import Status
from emergence_jax.report import page, study_figures
from tests.test_study import as_run, made_up


class Report(NamedTuple):
  """Attributes: the study, title → figure, and the page."""

  found: study.Study
  figures: dict[str, study_figures.Picture]
  path: pathlib.Path


def build(folder: pathlib.Path) -> Report:
  """Two sizes of six seeds, in which RankMe moves first."""
  runs = {
    'nano': as_run('nano', made_up(seeds=6), workdir=folder),
    'micro': as_run('micro', made_up(6, lead=60), workdir=folder),
  }
  runs['micro'].data.status[1, 50:] = Status.NON_FINITE
  found = study.study(runs, draws=400)
  makers = study_figures.makers(found, runs)
  # One anatomy of sixteen: they take a second each.
  drawn = {
    title: drawing
    for title, drawing in makers.items()
    if drawing.section != 'anatomy' or title == 'Anatomy: micro: SORT'
  }
  assert len(makers) - len(drawn) == 15
  figures = study_figures.draw(drawn, folder / 'figures')
  path = folder / 'report.html'
  path.write_text(page.build(found, runs, figures))
  return Report(found, figures, path)
