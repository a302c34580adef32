"""What moved a capability: planted shifts, controls, the page and its words."""

import json

import numpy as np
import pytest
import xarray as xr

from emergence_jax.analysis import effects, emergence, study
from emergence_jax.analysis.runs import Run
from emergence_jax.base import arms as arms_lib
from emergence_jax.base import fields
from emergence_jax.base.arms import Arm
from emergence_jax.base.types import Field, Status
from emergence_jax.report import (
  answers,
  arms,
  moved,
  page,
  study_figures,
  terminal,
)
from emergence_jax.store import arms as store_arms
from experiments.results import frames_of_arms

STEPS = np.arange(0, 2001, 25)
SEEDS = 12
# Arm → shift of emergence and of RankMe, and the share of loss it has lost.
PLANTED = {
  'baseline': (0, 0, 1.0), 'decay': (-300, 0, 1.0),
  'rank sham': (0, 0, 1.0),
  'rank -1': (10, 8, 1.0), 'rank -1 placebo': (0, 1, 1.0),
  'rank +1': (400, -8, 0.95), 'rank +1 placebo': (400, 0, 0.95),
  'rank +2': (0, -20, 0.1), 'rank +2 placebo': (0, 0, 1.0),
}  # fmt: skip
ARMS = [
  Arm('baseline', control='baseline'),
  Arm('decay', {'optimizer.weight_decay': 2.0}),
  Arm('rank sham', intervention='rank', control='sham'),
] + [
  arm
  for s in (-1, 1, 2)
  for arm in (
    Arm(f'rank {s:+}', {}, 'rank', s, '', f'rank {s:+} placebo'),
    Arm(f'rank {s:+} placebo', {}, 'rank', s, 'placebo'),
  )
]
CONFIG = {
  'task': {'name': 'modadd', 'p': 31}, 'train': {'steps': 2000},
  'optimizer': {'weight_decay': 1.0, 'rate': 1e-3},
  'interventions': {'rank': {'stop': 200}}, 'arms': {'margin': 60.0},
}  # fmt: skip


def made_up(planted=PLANTED, arms=ARMS, config=CONFIG, seed=0) -> Run:
  """A run with arms, each seed with an emergence and a rank of its own."""
  rng = np.random.default_rng(seed)
  own_S = rng.uniform(600, 1000, SEEDS)
  rank_S = rng.normal(30, 2, SEEDS)
  accuracy, rankme, loss = [], [], []
  for shift, more, learned in planted.values():
    at_S = own_S + shift + rng.normal(0, 12, SEEDS)
    accuracy.append(1 / (1 + np.exp(-(STEPS - at_S[:, None]) / 20)))
    fallen = np.exp(-STEPS / 100) + rng.normal(0, 0.01, (SEEDS, STEPS.size))
    rankme.append((rank_S + more)[:, None] * (1 - 0.5 * fallen))
    falls = 3.4 * (1 - learned * (1 - np.exp(-STEPS / 30)))
    loss.append(np.tile(falls, (SEEDS, 1)))
  shape = ('arm', 'seed', 'step', 'task')
  label = Field(
    ('task', 'layer'), 'float32', 'rank', 'dimension', '', 'RankMe',
    {'layer': -1},
  )  # fmt: skip
  correct = Field(
    ('task', 'level'), 'float32', 'accuracy', '1', '', 'accuracy',
    {'level': 0}, tested=False,
  )  # fmt: skip
  data = xr.Dataset(
    {
      'accuracy': ((*shape, 'level'), np.array(accuracy)[..., None, None],
                   fields.attributes(correct)),
      'rankme': ((*shape, 'layer'), np.array(rankme)[..., None, None],
                 fields.attributes(label)),
      'train_loss_between': (shape[:3], np.array(loss)),
      'status': (shape[:3], np.full(np.array(loss).shape, Status.OK)),
      'chance': (('task', 'level'), np.full((1, 1), 1 / 31)),
    },
    {'arm': list(planted), 'seed': np.arange(SEEDS), 'step': STEPS,
     'task': ['MODADD'], 'level': ['1'], 'layer': [1]},
    {'config': json.dumps(config), arms_lib.ATTRIBUTE: arms_lib.to_text(arms),
     'parameters': 1000, 'examples': 500},
  )  # fmt: skip
  base = store_arms.select(data, 'baseline')
  return Run('mod 31', base, config, arms=tuple(arms), arms_data=data)


@pytest.fixture(scope='module')
def results():
  return study.study({'mod 31': made_up()}, draws=200)


def test_planted_verdicts(results):
  table = results.tables['effects'].set_index('arm')
  assert table.verdict.to_dict() == {
    'decay': effects.MOVES, 'rank -1': effects.MOVES_NOT,
    # It is late, and its placebo is as late.
    'rank +1': effects.MOVES_NOT, 'rank +2': effects.STOPPED,
  }  # fmt: skip
  assert table['shift']['decay'] == pytest.approx(-300, abs=25)
  assert table['shift']['rank +1'] == pytest.approx(400, abs=25)
  assert table.beyond_placebo['rank +1'] == pytest.approx(0, abs=25)
  assert table.learned['rank +2'] == pytest.approx(0.1, abs=0.02)
  controls = results.tables['effects_of_controls'].set_index('control')
  assert controls['shift']['rank +1 placebo'] == pytest.approx(400, abs=25)


def test_the_geometry_is_compared_where_the_windows_have_ended(results):
  table = results.tables['moved_geometry']
  rank = table[table.measure == 'RankMe'].set_index('arm')
  assert set(rank.step) == {200}
  assert rank['shift']['rank -1'] > 5 > rank['shift']['decay']
  assert rank.p['rank -1'] < 0.01


def test_trend_and_mediation_with_and_without_what_has_stopped(results):
  trends = results.tables['trends'].set_index('arms')
  assert trends.strengths['own'] == '-1, 1, 2'
  assert trends.strengths['own that learned'] == '-1, 1'
  assert trends.strengths['placebo'] == '-1, 1, 2'
  name = 'own that learned'
  assert trends.correlation[name] > 0.9 and trends.p[name] < 0.01
  assert results.tables['mediation'].p.between(0, 1).all()


def test_the_first_sentence_says_it(results):
  (words,) = moved.sentences(results)
  assert words.startswith('decay (') and 'steps earlier' in words
  assert 'rank -1, rank +1 did not, within ±60 steps' in words
  assert 'rank +2 slowed or stopped the training itself' in words
  assert '12 paired seeds' in words
  assert answers.answer(results).startswith(words)
  assert 'What moved it' in terminal.study(results)


def test_nothing_is_said_to_move_where_nothing_does():
  still = {name: (0, 0, 1.0) for name in PLANTED}
  said = study.study({'a': made_up(still, seed=3)}, draws=100)
  assert effects.MOVES not in set(said.tables['effects'].verdict)
  assert moved.sentences(said)[0].startswith(
    'Nothing is shown to have moved it'
  )


def test_the_page_and_its_figures(results, tmp_path):
  runs = {'mod 31': made_up()}
  makers = study_figures.makers(results, runs)
  own = {n: d for n, d in makers.items() if d.section == 'moved'}
  assert len(own) == 2
  pictures = study_figures.draw(own, tmp_path / 'figures')
  html = page.build(results, runs, pictures)
  first = html.index('<h1>')
  assert html[first:].startswith('<h1>What moved the capability?</h1>')
  assert html.index('id="moved"') < html.index('id="anatomy"')
  assert 'Table: shams and placebos' in html


def several(later=(0, 12, 24)) -> Run:
  """Tasks that emerge so many checkpoints later, and one that never does."""
  run = made_up()
  data = run.arms_data
  of_task = [
    data.assign(accuracy=data.accuracy.shift(step=n, fill_value=0.0))
    for n in later
  ]
  of_task.append(data.assign(accuracy=data.accuracy * 0))
  tasks = [x.assign_coords(task=[f'T{i}']) for i, x in enumerate(of_task)]
  per_task = [n for n in data.data_vars if 'task' in data[n].dims]
  joined = xr.concat([x[per_task] for x in tasks], 'task', join='exact')
  for name in per_task:
    joined[name] = joined[name].transpose(*data[name].dims)
    joined[name].attrs = data[name].attrs
  data = data.drop_dims('task').merge(joined)
  base = store_arms.select(data, 'baseline')
  return Run('many', base, run.config, arms=run.arms, arms_data=data)


def test_of_several_capabilities_half_of_those_that_come_is_the_first():
  runs = {'many': several()}
  results = study.study(runs, draws=100)
  (item,) = results.experiments.values()
  assert item.events[0] == ('all', '3') and len(item.events) == 5
  # The lower median of three: the second.
  np.testing.assert_array_equal(item.emergence_EAS[0], item.emergence_EAS[2])
  (words,) = moved.sentences(results)
  assert words.startswith('many, half of 3 capabilities: decay (')
  table = results.tables['effects']
  of_all = table[table.task == 'all'].set_index('arm').verdict
  assert of_all['decay'] == effects.MOVES
  assert of_all['rank +1'] == effects.MOVES_NOT
  geometry = results.tables['moved_geometry'].set_index(
    ['task', 'measure', 'arm']
  )
  assert geometry['shift']['all', 'RankMe', 'rank -1'] > 5
  # The one that nobody has is in the table, and in no figure.
  own = [t for t, d in study_figures.makers(results, runs).items()
         if d.section == 'moved']  # fmt: skip
  assert len(own) == 1 + 3 + 3 and not any('T3' in title for title in own)
  assert 'T3' in set(table.task)
  by_rule = results.tables['effects_by_rule']
  shares = by_rule[by_rule.rule == emergence.WORDS['halfway']]
  assert sorted(set(shares.share)) == [0.25, 0.5, 0.75]
  # Of three: the first, the second, and the third.
  assert set(shares[shares.arm == 'decay']['shift']) == {
    table[(table.task == f'T{i}') & (table.arm == 'decay')]['shift'].iloc[0]
    for i in range(3)
  }
  np.testing.assert_array_equal(
    shares[shares.share == 0.5]['shift'], table[table.task == 'all']['shift']
  )
  # The tables of RESULTS.md: RankMe is that of the row's own task.
  half = frames_of_arms.effects_on_half(runs, results)
  every = frames_of_arms.effects(runs, results)
  assert list(half.arm) == list(of_all.index) and 'task' not in half
  assert len(every) == 5 * len(half)
  of_one = every[(every.task == 'T0') & (every.arm == 'rank -1')].RankMe.iloc[0]
  shift = geometry['shift']['T0', 'RankMe', 'rank -1']
  assert of_one.startswith(f'{shift:.3g} [')


def test_several_capabilities_that_nobody_has():
  run = several(later=(200, 200))
  results = study.study({'many': run}, draws=50)
  (item,) = results.experiments.values()
  assert item.events[0][0] != 'all' and len(item.events) == 3
  assert 'Nothing is shown' in moved.sentences(results)[0]


def test_a_grid_has_a_phase_diagram():
  names = ['baseline', 'a', 'b', 'c']
  fast, strong = {'optimizer.rate': 2e-3}, {'optimizer.weight_decay': 2.0}
  values = [{}, fast, strong, {**fast, **strong}]
  some = [
    Arm(n, v, control='baseline' if n == 'baseline' else '')
    for n, v in zip(names, values, strict=True)
  ]
  planted = dict(zip(names, [(0, 0, 1), (5000, 0, 1), (-200, 0, 1), (0, 0, 1)]))
  run = made_up(planted, some, {**CONFIG, 'interventions': {}, 'arms': {}})
  results = study.study({'grid': run}, draws=50)
  table = results.tables['phase']
  keys = arms.axes_of(table)
  assert sorted(keys) == ['optimizer.rate', 'optimizer.weight_decay']
  cells = arms.grid(table, *sorted(keys), 'emerged')
  assert cells.loc[1.0].tolist() == [1.0, 0.0]
  steps = arms.grid(table, *sorted(keys), 'median_step')
  assert steps.loc[2.0, 1e-3] < steps.loc[1.0, 1e-3] and np.isnan(
    steps.loc[1.0, 2e-3]
  )
  assert any(t.startswith('Phases') for t in study_figures.makers(
    results, {'grid': run}
  ))  # fmt: skip


def test_one_arm_and_few_seeds_say_nothing():
  some = [ARMS[0], ARMS[1]]
  planted = {a.name: PLANTED[a.name] for a in some}
  run = made_up(planted, some)
  few = run.arms_data.isel(seed=slice(3))
  run = Run('few', store_arms.select(few, 'baseline'), CONFIG, arms=tuple(some),
            arms_data=few)  # fmt: skip
  results = study.study({'few': run}, draws=50)
  assert results.tables['effects'].verdict.tolist() == [effects.UNDECIDED]
  assert 'not decided: decay' in moved.sentences(results)[0]
