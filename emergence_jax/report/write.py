"""Analyses runs and writes a report: a page, its figures and its tables."""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from emergence_jax.analysis import runs as runs_lib
from emergence_jax.analysis import study
from emergence_jax.base import progress
from emergence_jax.report import answers, page, study_figures, text
from emergence_jax.store import files


class Report(NamedTuple):
  """Attributes: the page's path, and its answer at first sight."""

  page: pathlib.Path
  answer: str


def analyse(runs, **options):
  """`study.study` with its options, its progress shown."""
  with progress.Stages('analysing', study.stages(runs)) as stages:
    return study.study(runs, **options, log=stages)


def report(
  workdirs: Sequence[str | pathlib.Path],
  folder: pathlib.Path,
  **options,
) -> Report:
  """Analyses runs and writes `report.html`, `figures/` and `tables/`.

  Args:
    workdirs: run directories, finished or not.
    folder: where to write; made if it is not there.
    **options: of `study.study`.

  Raises:
    UserError: if one of them holds no run.
  """
  folder = files.check_writable(folder, 'give another folder')
  runs = runs_lib.load(workdirs)
  results = analyse(runs, **options)
  drawings = study_figures.makers(results, runs)
  with progress.Stages('drawing', len(drawings)) as stages:
    pictures = study_figures.draw(drawings, folder / 'figures', stages)
  text.write_tables(results, folder / 'tables')
  path = folder / 'report.html'
  # Last: where the page is, what it shows is too.
  files.write_text(path, page.build(results, runs, pictures))
  return Report(path, answers.answer(results))
