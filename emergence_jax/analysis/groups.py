"""Groups of tasks that the analysis knows."""

EASY = ('COPY', 'REV', 'CMP', 'PAR')
HARD = ('ADD', 'MOD', 'SORT', 'MUL')


def group(task: str) -> str:
  """`easy`, `hard`, or `other` for a task outside the eight."""
  if task in EASY:
    return 'easy'
  return 'hard' if task in HARD else 'other'
