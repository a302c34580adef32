"""Checkpoint schedules and durations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emergence_jax.base.types import UserError
from emergence_jax.config import schedule


def test_the_papers_schedule():
  steps = schedule.checkpoint_steps('100:10000,500:50000,2000', 100_000)
  assert len(steps) == 206
  assert steps[[0, 1, 100, 101, 180, 181, -1]].tolist() == [
    0, 100, 10_000, 10_500, 50_000, 52_000, 100_000,
  ]  # fmt: skip


def test_the_houses_schedule():
  spec = '20:1000,100:10000,500:50000,2000'
  assert len(schedule.checkpoint_steps(spec, 100_000)) == 246


@pytest.mark.parametrize(
  'text,steps',
  [(250, 250), ('250', 250), ('10%', 100), ('0.1%', 1), ('3epochs', 21),
   ('1epoch', 7)],
)  # fmt: skip
def test_durations(text, steps):
  assert schedule.parse_duration(text, total=1000, steps_per_epoch=7) == steps


@given(st.integers(1, 50), st.integers(1, 500), st.integers(1, 50))
def test_schedules_increase_and_end(every, total, later):
  until = (total // 2 // every) * every
  spec = f'{every}:{until},{later}' if until else f'{later}'
  steps = schedule.checkpoint_steps(spec, total)
  assert steps[0] == 0 and steps[-1] == total
  assert (np.diff(steps) > 0).all()


@given(
  st.sets(st.integers(0, 60), min_size=1),
  st.none() | st.integers(0, 60),
  st.none() | st.integers(0, 60),
  st.none() | st.integers(1, 9),
)
def test_a_range_of_steps(steps, first, last, every):
  text = ':'.join('' if x is None else str(x) for x in (first, last))
  text += '' if every is None else f':{every}'
  low, high = first or 0, 60 if last is None else last
  wanted = steps & set(range(low, high + 1, every or 1))
  if wanted:
    assert schedule.within(steps, text) == [s for s in steps if s in wanted]
  else:
    with pytest.raises(UserError, match=f'{text}.* leaves no checkpoint'):
      schedule.within(steps, text)


def test_no_range_is_all_steps():
  assert schedule.within([3, 5], '') == [3, 5]
  with pytest.raises(UserError, match='leaves no checkpoint of 0'):
    schedule.within([], ':')


@pytest.mark.parametrize(
  'text', ['5.0', '5:9:0', '1:2:3:4', '-1:5', 'a:b', '5-']
)
def test_what_is_no_range_of_steps(text):
  with pytest.raises(UserError, match='FIRST:LAST'):
    schedule.within([5], text)


def test_a_number_is_one_step():
  assert schedule.within([0, 5, 10], '5') == [5]
  with pytest.raises(UserError, match="'7' leaves no checkpoint"):
    schedule.within([0, 5, 10], '7')


@pytest.mark.parametrize(
  'spec,remedy',
  [
    ('10:200', 'beyond the last step config.train.steps=100'),
    ('10,20', 'write every:until'),
    ('10:50,10:20', 'increasing order'),
    ('ten', 'no duration'),
    ('0', 'at least 1'),
    ('2epochs', 'no epochs'),
    ('', 'no duration'),
  ],
)
def test_bad_schedules(spec, remedy):
  with pytest.raises(UserError, match=remedy) as caught:
    schedule.checkpoint_steps(spec, 100)
  assert 'config.checkpoints.schedule' in str(caught.value)
