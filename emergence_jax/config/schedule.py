"""Checkpoint schedules, and durations in several units."""

import re
from collections.abc import Iterable

import numpy as np

from emergence_jax.base import checks
from emergence_jax.base.types import UserError

# No sign and no exponent; few digits, so that no number is out of range.
_DURATION = re.compile(r'([0-9]{1,12}(?:\.[0-9]{1,12})?)(%|epochs?)?')
_RANGE = re.compile(r'(\d{0,12}):(\d{0,12})(?::0{0,11}([1-9]\d{0,11}))?')


def parse_duration(
  text: str | int, *, total: int, steps_per_epoch: int | None = None
) -> int:
  """Steps meant by `250`, `'250'`, `'10%'` (of `total`) or `'3epochs'`.

  Raises:
    UserError: if the text is none of these, or not at least one step.
  """
  word = str(text).strip()
  match = _DURATION.fullmatch(word)
  if match is None:
    raise UserError(
      f'{word!r} is no duration; write steps (250), a share of the run '
      '(10%) or epochs (3epochs).'
    )
  number, unit = match.groups()
  if unit and unit.startswith('epoch'):
    if steps_per_epoch is None:
      raise UserError(
        f'{word!r}: this task has no epochs; give steps or a percentage.'
      )
    steps = round(float(number) * steps_per_epoch)
  elif unit:
    steps = round(float(number) / 100 * total)
  elif '.' in number:
    raise UserError(f'{word!r} is no whole number of steps.')
  else:
    steps = int(number)
  if steps < 1:
    raise UserError(f'{word!r} is {steps} steps; a duration is at least 1.')
  return steps


def within(steps: Iterable[int], text: str) -> list[int]:
  """The steps within a range; all for an empty text.

  `FIRST:LAST` is from and to, both included, and either may be left out;
  `FIRST:LAST:EVERY` takes of those the ones that lie a multiple of EVERY
  behind FIRST. A number alone is that step.

  >>> steps = [0, 20, 40, 50, 60]
  >>> within(steps, '20::20'), within(steps, '50')
  ([20, 40, 60], [50])

  Raises:
    UserError: for another form, or if none is left.
  """
  chosen = list(steps)
  if not text:
    return chosen
  form = _RANGE.fullmatch(f'{text}:{text}' if text.isdecimal() else text)
  if form is None:
    raise UserError(
      f'--steps={text!r} is no range; write FIRST:LAST, for example 0:5000, '
      'FIRST:LAST:EVERY, or one step.'
    )
  first, every = int(form[1] or 0), int(form[3] or 1)
  kept = [s for s in chosen if s >= first and (s - first) % every == 0]
  if form[2]:
    kept = [s for s in kept if s <= int(form[2])]
  if not kept:
    raise UserError(
      f'--steps={text!r} leaves no checkpoint of {len(chosen)}'
      + (f', from {min(chosen)} to {max(chosen)}.' if chosen else '.')
    )
  return kept


def checkpoint_steps(
  spec: str, total: int, *, steps_per_epoch: int | None = None
) -> np.ndarray:
  """Steps at which to measure: 0, those of `spec`, and `total`.

  `spec` is a list of `every:until` items, separated by commas; the last item
  may leave out `:until` and then runs to the end. `20:1000,100:10000,500`
  means every 20 steps up to 1,000, every 100 up to 10,000, then every 500.

  Args:
    spec: the schedule.
    total: last training step.
    steps_per_epoch: makes durations in epochs possible.

  Returns:
    int64 [C], increasing.

  Raises:
    UserError: for a malformed item, or one that ends past `total` or before
      its predecessor.
  """

  def duration(text):
    try:
      return parse_duration(text, total=total, steps_per_epoch=steps_per_epoch)
    except UserError as error:
      raise UserError(
        f'config.checkpoints.schedule={spec!r}: {error}'
      ) from None

  steps, start = {0, total}, 0
  items = spec.split(',')
  for i, item in enumerate(items):
    every, colon, until = item.partition(':')
    if not colon and i < len(items) - 1:
      raise UserError(
        f'config.checkpoints.schedule={spec!r}: {item!r} has no end and is not '
        'the last item; write every:until.'
      )
    stop = duration(until) if colon else total
    if stop > total:
      raise UserError(
        f'config.checkpoints.schedule={spec!r} runs to step {stop}, beyond the '
        f'last step config.train.steps={total}; shorten it, for example '
        f'--config.checkpoints.schedule={duration(every)}.'
      )
    if stop < start:
      raise UserError(
        f'config.checkpoints.schedule={spec!r}: item {item!r} ends before step '
        f'{start}, where it starts; put the items in increasing order.'
      )
    stride = duration(every)
    if len(steps) + (stop - start) // stride > checks.MOST_CHECKPOINTS:
      raise UserError(
        f'config.checkpoints.schedule={spec!r} has more than '
        f'{checks.MOST_CHECKPOINTS:,} checkpoints in '
        f'config.train.steps={total:,}; let its last item be larger.'
      )
    steps.update(range(start + stride, stop + 1, stride))
    start = stop
  return np.array(sorted(steps), np.int64)
