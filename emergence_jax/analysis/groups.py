"""Names that the analysis knows: groups of tasks, and sizes in order."""

EASY = ('COPY', 'REV', 'CMP', 'PAR')
HARD = ('ADD', 'MOD', 'SORT', 'MUL')
SIZES = ('nano', 'micro', 'small', 'medium', 'large', 'xlarge')


def group(task: str) -> str:
  """`easy`, `hard`, or `other` for a task outside the eight."""
  if task in EASY:
    return 'easy'
  return 'hard' if task in HARD else 'other'
