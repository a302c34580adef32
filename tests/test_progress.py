"""What a person sees of something that takes long."""

import concurrent.futures
import io
import math
import re

import pytest
from rich import console

from emergence_jax.base import progress


@pytest.fixture
def clock(monkeypatch):
  """A clock that is set by hand."""
  now = [100.0]
  monkeypatch.setattr(progress.time, 'monotonic', lambda: now[0])
  return now


def shown_by(terminal, width=100):
  out = io.StringIO()
  return out, console.Console(file=out, force_terminal=terminal, width=width)


def test_stages_say_what_comes_and_what_is_left(clock):
  out, plain = shown_by(terminal=False)
  with progress.Stages('drawing', 4, plain) as stages:
    for label in ('one', 'two', 'three', 'four'):
      stages(label)
      clock[0] += 6
  # The second begins after 6 s: too early for a line. The third after 12.
  assert out.getvalue() == 'drawing 2/4 · three · 12 s left\n'


def test_a_run_prints_lines_into_a_pipe(clock):
  out, plain = shown_by(terminal=False)
  with progress.Progress(1000, 100, 8, plain) as bar:
    clock[0] += 5
    bar.update(150, 1.5, math.nan)
    clock[0] += 15
    bar.update(300, 0.25, 70.0)
  assert out.getvalue() == (
    'step 300/1,000 · 80 seed-steps/s · loss 0.25 · 1 min 10 s left\n'
  )


@pytest.mark.parametrize('terminal', [True, False])
def test_the_longest_line_fits_eighty_columns(clock, terminal):
  out, shown = shown_by(terminal, width=80)
  with progress.Progress(200_000, 0, 64, shown) as bar:
    clock[0] += 2000
    bar.update(150_000, 1.4567e-05, 98_765.0, '≤ ')
  lines = re.split(
    r'[\r\n]', re.sub('\x1b\\[[0-9;?]*[A-Za-z]', '', out.getvalue())
  )
  assert max(map(len, lines)) <= 80
  wanted = '4,800 seed-steps/s · loss 1.5e-05 · ≤ 27 h 26 min left'
  assert any(line.rstrip().endswith(wanted) for line in lines)
  assert any(line.startswith('step 150,000/200,000 ') for line in lines)


def test_a_terminal_has_a_bar(clock):
  out, tty = shown_by(terminal=True)
  with progress.Progress(1000, 0, 8, tty) as bar:
    clock[0] += 1
    bar.update(500, 0.25, 3.0)
    bar.log('a line above')
  shown = out.getvalue()
  assert 'step 500/1,000' in shown and 'a line above' in shown


def test_the_forecast_counts_what_is_still_due(clock):
  """Dense measures at the beginning, of which few are to come."""
  early = {step: ['rank', 'saving'] for step in range(0, 100, 10)}
  late = {step: ['rank', 'llc', 'saving'] for step in (500, 1000)}
  forecast = progress.Forecast({**early, **late})
  assert math.isnan(forecast.left(0, 1000))
  for _ in range(10):
    forecast.done('rank', 2.0)
    forecast.done('saving', 1.0)
    forecast.trained(0, 10, 5.0)
  # 900 steps of half a second, and two rows; the LLC is as dear as others.
  assert forecast.left(100, 1000) == 900 * 0.5 + 2 * (2.0 + 1.0 + 1.5)
  forecast.done('llc', 60.0)
  assert forecast.left(500, 1000) == 500 * 0.5 + 2.0 + 1.0 + 60.0
  assert forecast.left(1000, 1000) == 0


def test_steps_within_a_window_are_counted_apart(clock):
  """Where interventions act steps take four times as long as behind them."""
  forecast = progress.Forecast({}, [(100, 400), (300, 500)])
  assert [forecast.until(s, 900) for s in (0, 100, 350, 400, 500)] == [
    100, 300, 400, 500, 900,
  ]  # fmt: skip
  seconds = {0: 10.0, 100: 40.0, 300: 70.0, 400: 40.0, 500: 10.0}
  said = {}
  for first, cost in seconds.items():
    forecast.trained(first, 10, cost)
    ends = first + 10, 900
    said[first] = forecast.bound(*ends), forecast.left(*ends)
  assert said[0] == ('≥ ', 890)
  # 190 steps in the window, as many as dear, 100 steps known from before.
  assert said[100] == ('', 4 * (190 + 100 + 100) + 400)
  assert said[300] == ('≤ ', 7 * (90 + 100) + 400)
  assert said[400] == ('', 4 * 90 + 400)
  assert said[500] == ('', 390)
  later = progress.Forecast({}, [(0, 400)])
  later.trained(0, 10, 40.0)
  out, plain = shown_by(terminal=False)
  clock[0] += 100
  with progress.Progress(900, 0, 2, plain) as bar:
    clock[0] += 40
    bar.update(10, 1.0, later.left(10, 900), later.bound(10, 900))
  assert '≤ 59 min 20 s left' in out.getvalue()


def test_what_the_time_went_to(clock):
  forecast = progress.Forecast({})
  assert forecast.spent() == ''
  forecast.trained(0, 100, 60.0)
  for _ in range(3):
    forecast.done('llc', 43.0)
    clock[0] += 600  # nothing fades
  forecast.done('rank', 11.0)
  assert forecast.spent() == (
    'the time went to llc 2 min 09 s (64%), training 1 min 00 s (30%), '
    'rank 11 s (6%).'
  )


def test_measures_that_are_due_more_seldom_are_counted_apart(clock):
  said = []
  work = {step: ['rank'] for step in range(10)}
  work[0], work[8] = ['llc', 'rank'], ['llc', 'rank']
  left = progress.Left(work, said.append)
  clock[0] += 100
  left(0, {'llc': 90.0, 'rank': 8.0})
  # Nine times 8 s and 2 s for files, and the LLC once more.
  assert said == ['step 0: 1 of 10, 3 min 00 s left']
  for step in range(1, 10):
    due = {'llc': 90.0, 'rank': 8.0} if step == 8 else {'rank': 8.0}
    clock[0] += sum(due.values()) + 2
    left(step, due)
  assert said[-1] == 'step 9: 10 of 10, 0 s left'
  left.log_spent()
  assert said[-1] == (
    'the time went to llc 3 min 00 s (64%), rank 1 min 20 s (29%), reading '
    'and writing 20 s (7%).'
  )


def test_a_step_that_could_not_be_measured_is_done(clock):
  said = []
  left = progress.Left({3: ['rank']}, said.append)
  clock[0] += 2
  left(3, {})
  assert said == ['step 3: 1 of 1, 0 s left']


def test_a_machine_that_was_busy_is_forgotten(clock):
  """Four times as fast since ten minutes, after hours of being slow."""
  work = {step: ['rank'] for step in range(0, 10_000, 100)}
  forecast = progress.Forecast(work)
  out, plain = shown_by(terminal=False)
  with progress.Progress(10_000, 0, 2, plain) as bar:
    for step in range(0, 5000, 100):
      slow = 4 if step < 4000 else 1
      clock[0] += 50 * slow
      forecast.trained(step, 100, 50 * slow)
      clock[0] += 10 * slow
      forecast.done('rank', 10 * slow)
      bar.update(step + 100, 1.0, forecast.left(step, 10_000))
  assert forecast.left(5000, 10_000) == pytest.approx(
    5000 * 0.5 + 49 * 10, rel=0.1
  )
  rate = float(out.getvalue().splitlines()[-1].split()[3])
  assert rate == pytest.approx(2 * 100 / 60, rel=0.1)


def test_a_process_that_was_stopped_has_as_long_left_as_before(clock):
  """A laptop sleeps once; a machine that is slow stays slow, and is heeded."""
  forecast = progress.Forecast({})
  for _ in range(20):
    clock[0] += 10
    forecast.trained(0, 10, 10.0)
  clock[0] += 3600
  forecast.trained(0, 10, 3600.0)
  assert forecast.left(0, 100) == pytest.approx(100)
  for _ in range(2):
    clock[0] += 600
    forecast.trained(0, 10, 600.0)
  assert forecast.left(0, 100) > 3000


def test_waiting_says_what_is_left(monkeypatch):
  """A line at every look, until all is done."""
  work = {name: concurrent.futures.Future() for name in ('training', 'llc')}
  looks, clock = [], [0.0]

  def wait(left, timeout):
    assert timeout < 1
    clock[0] += 10
    looks.append(len(left))
    if len(looks) == 2:
      work['training'].set_result(None)
    if len(looks) == 3:
      work['llc'].set_result(None)
    done = {future for future in left if future.done()}
    return done, set(left) - done

  monkeypatch.setattr(progress.concurrent.futures, 'wait', wait)
  monkeypatch.setattr(progress.time, 'monotonic', lambda: clock[0])
  said = []
  progress.watch(work, 'compiling', said.append)
  assert said == [
    'compiling: 0 of 2 done; at training, llc.',
    'compiling: 1 of 2 done; at llc.',
  ]


def test_no_bar_into_a_file(monkeypatch, capsys):
  monkeypatch.setenv('FORCE_COLOR', '1')
  with progress.Stages('drawing', 2) as stages:
    stages('one')
  assert '\x1b' not in capsys.readouterr().out


@pytest.mark.parametrize(
  'seconds,words',
  [(0, '0 s'), (59.6, '1 min 00 s'), (185, '3 min 05 s'), (7620, '2 h 07 min')],
)
def test_duration(seconds, words):
  assert progress.duration(seconds) == words
