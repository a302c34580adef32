"""The tables of RESULTS.md: a study → a frame, ready to be printed."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from emergence_jax.analysis.paper.algorithmic import FLOORS
from emergence_jax.base.progress import duration
from emergence_jax.store import files
from experiments.results import frames_of_arms
from experiments.results.cells import cell, estimate, interval

# Of many features of measures, and of baselines, so many with the least p in
# each window are shown.
_TOLD = 3


def runs(loaded, study) -> pd.DataFrame:
  """What was run, where, and for how long."""
  del study
  rows = []
  for name, run in loaded.items():
    env = files.read_json(run.workdir / 'env.json') or {}
    times = files.read_json(run.workdir / 'times.json') or {}
    seconds = sum(s['seconds'] for s in times.get('sessions', []))
    last = int(run.data.step.values[-1])
    rows.append({
      'run': name, 'parameters': int(run.data.attrs['parameters']),
      'seeds': run.data.sizes['seed'], 'to step': last,
      'of': run.train_steps, 'checkpoints': run.data.sizes['step'],
      'on': ', '.join(sorted(set(env.get('devices', [])))),
      'time': duration(seconds),
      'precision of training': run.config['train'].get('precision', 'float32'),
    })  # fmt: skip
  return pd.DataFrame(rows)


def emergence(loaded, study) -> pd.DataFrame:
  """Steps of emergence by the one rule, medians over seeds."""
  from emergence_jax.report import text

  del loaded
  table = text.emergence_summary(study)
  level = table.level_of_interval
  return pd.DataFrame({
    'run': table.run, 'task': table.task, 'level': table['level'],
    'emerged': table.emerged.map(str) + '/' + table.seeds.map(str),
    'median step': table['median step'],
    'interval': interval(table, 'median step'),
    'its level': level.map(lambda x: '–' if np.isnan(x) else f'{x:.1%}'),
  })  # fmt: skip


def floors(loaded, study) -> pd.DataFrame:
  """Floors of the last layer, beside the first look from step 1,000 on.

  A collapse that is not over in every seed may still go lower.
  """
  from emergence_jax.analysis import tables

  collapse = study.tables['collapse']
  paper = study.tables['numbers']
  rows = []
  for name, run in loaded.items():
    last = int(run.data.layer.values[-1])
    of_run = collapse[(collapse.run == name) & (collapse.layer == last)]
    for task in FLOORS:
      cells = of_run[of_run.task == task].set_index('quantity')
      text = interval(cells)
      theirs = paper[
        (paper.run == name) & (paper.task == task)
        & (paper.quantity == 'floor of RankMe')
      ].paper  # fmt: skip
      part = cells.value['floor'] / cells.value['initial']
      rows.append({
        'run': name, 'task': task, 'at step 0': text['initial'],
        'floor': text['floor'], 'of step 0': f'{part:.0%}',
        'its step': text['floor_step'],
        'over': 'yes' if tables.have_ended(run.data, [task]) else 'not yet',
        'first from step 1,000 on': text['at_first_look'],
        "the paper's floor": float(theirs.iloc[0]) if len(theirs) else np.nan,
      })  # fmt: skip
  return pd.DataFrame(rows)


def neighbours(loaded, study) -> pd.DataFrame:
  """Floors of each size and the next: Welch's tests, and parts of step 0."""
  del loaded
  table = study.tables['neighbours']
  return table.assign(over=table.over.map({True: 'yes', False: 'not yet'}))


def same_events(loaded, study) -> pd.DataFrame:
  """The floor first, of the capabilities that emerge in all seeds of all."""
  del loaded
  table = study.tables['same_events']
  return pd.DataFrame({
    'run': table.run, 'capabilities': table.capabilities,
    'events': table.events, 'floor before emergence': interval(table, 'share'),
  })  # fmt: skip


def memorisation(loaded, study) -> pd.DataFrame:
  """What moves first against the accuracy on what was trained on."""
  return _tests(loaded, study, 'memorisation')


def invariance(loaded, study) -> pd.DataFrame:
  """Floors over sizes, beside the spread between seeds.

  At the checkpoints of each run, even where they differ.
  """
  del loaded
  table = study.tables['invariance']
  table = table[table.checkpoints == 'own']
  return table.drop(columns=['runs', 'checkpoints'])


def variants(loaded, study) -> pd.DataFrame:
  """Every convention of RankMe beside the paper's numbers."""
  del loaded
  return study.tables['variants']


def top_down(loaded, study) -> pd.DataFrame:
  """Depth and time."""
  del loaded
  table = study.tables['top_down']
  words = {
    'gradient': 'at the minimum the last layer has less rank than the first',
    'order': 'rank correlation of depth with the step of the fall by half',
    'last_before_first': 'the last layer falls by half before the first',
  }
  return pd.DataFrame({
    'run': table.run, 'test': table.test.map(words), 'value': interval(table),
    'seeds': table['count'], 'events': table.events,
  })  # fmt: skip


def phases(loaded, study) -> pd.DataFrame:
  """Collapse, recovery, behaviour, and probes: which order events take."""
  del loaded
  table = study.tables['phases']
  return pd.DataFrame({
    'run': table.run, 'order': table.order,
    'share of events': interval(table, 'share'), 'events': table.events,
    'lead, steps': table.lead, 'p of order': table.p_order,
    'p of tie over seeds': table.p_seeds,
  })  # fmt: skip


def precedence(loaded, study) -> pd.DataFrame:
  """The tests of what moves first."""
  return _tests(loaded, study, 'precedence')


def _tests(loaded, study, name) -> pd.DataFrame:
  del loaded
  table = study.tables[name]
  lead = table.rename(columns={'lead_low': 'low', 'lead_high': 'high'})
  return pd.DataFrame({
    'run': table.run, 'measure': table.measure, 'tasks': table.tasks,
    'first': table['first'], 'together': table.together, 'after': table.after,
    'depends': table.depends, 'unclear': table.unclear,
    'lead, steps': interval(lead, 'lead'),
    'step of its change': table.step_of_change,
    'p of order': table.p_order, 'p of tie over seeds': table.p_seeds,
    'p of tie over tasks': table.p_tasks, 'p, by Holm': table.p_holm,
    'verdict': table.verdict, 'precedes by': table.precedes_by,
  })  # fmt: skip


def lengths(loaded, study) -> pd.DataFrame:
  """The same events, up to a step and to the end."""
  del loaded
  table = study.tables['lengths']
  end = pd.DataFrame({
    'value': table.first_at_the_end, 'low': table.low_at_the_end,
    'high': table.high_at_the_end,
  })  # fmt: skip
  return pd.DataFrame({
    'run': table.run, 'measure': table.measure, 'up to step': table.up_to_step,
    'events': table.events, 'first, up to it': interval(table, 'first_then'),
    'first, to the end': interval(end),
  })  # fmt: skip


def cadences(loaded, study) -> pd.DataFrame:
  """RankMe as it would look at fewer checkpoints, on the same runs."""
  from emergence_jax.report import text

  del loaded
  table = text.cadences_summary(study, estimate)
  table = table[table.measure == 'RankMe'].rename(
    columns={'looked at': 'RankMe at', 'precursors over steps': 'over steps'}
  )
  return table[['run', 'RankMe at', 'checkpoints',
                'precursors over checkpoints', 'over steps',
                'first by the largest change']]  # fmt: skip


def precursors(loaded, study) -> pd.DataFrame:
  """The paper's own rates of precursors, on both axes of time."""
  del loaded
  table = study.tables['precursors']
  table = table[(table.threshold == 0.3) & (table.tasks == 'all')]
  return pd.DataFrame({
    'run': table.run, 'measure': table.measure, 'axis': table.axis,
    'precursors': interval(table, 'rate'),
    'events': table.hits.map(str) + '/' + table.total.map(str),
    'synchronous': table.synchronous, 'lagging': table.lagging,
  })  # fmt: skip


def prediction(loaded, study) -> pd.DataFrame:
  """Floors against the order in which tasks emerge."""
  del loaded
  table = study.tables['prediction']
  table = table[table['count'] > 0]
  return pd.DataFrame({
    'run': table.run, 'quantity': table.quantity, 'value': interval(table),
    'seeds': table['count'], 'events': table.events,
  })  # fmt: skip


def correlations(loaded, study) -> pd.DataFrame:
  """Rank correlation of floor and emergence, by the paper's rule and ours."""
  table = prediction(loaded, study)
  return table[table.quantity.str.startswith('spearman')].drop(columns='events')


def timing(loaded, study) -> pd.DataFrame:
  """The features with the least p in each window."""
  from emergence_jax.analysis import timing as analysis

  del loaded
  table = study.tables['timing']
  parts = []
  for _, part in table.groupby(['run', 'window'], sort=False):
    for kind in (analysis.MEASURE, analysis.BASELINE):
      inside = part[part.kind == kind]
      parts.append(analysis.telling(inside, _TOLD).assign(tested=len(inside)))
  columns = ['events', 'p_partial', 'run']
  return pd.concat(parts).drop(columns=columns)


def foretelling(loaded, study) -> pd.DataFrame:
  """How well left-out seeds are ordered by baselines, with and without."""
  del loaded
  return study.tables['foretelling'].drop(columns=['events', 'seeds'])


def claims(loaded, study) -> pd.DataFrame:
  """Every claim of the paper, and the verdict."""
  del loaded
  table = study.tables['claims']
  return table[['claim', 'paper v1', 'v3/v4', 'ours [95%] (count)', 'seeds',
                'verdict', 'why']]  # fmt: skip


def decided(loaded, study) -> pd.DataFrame:
  """The claims that have a verdict, with the range that decides."""
  del loaded
  table = study.tables['claims']
  table = table[~table.verdict.isin(['undecided', 'not measured'])]
  return table[['claim', 'paper v1', 'v3/v4', 'ours [95%] (count)', 'range',
                'verdict']]  # fmt: skip


def numbers(loaded, study) -> pd.DataFrame:
  """Every number that the paper gives for a size, beside ours."""
  del loaded
  table = study.tables['numbers']
  ends = table[['one more seed, low', 'one more seed, high']]
  return pd.DataFrame({
    'run': table.run, 'quantity': table.quantity, 'task': table.task,
    'level': table.level, 'the paper': table.paper, 'ours': table.ours,
    'one more seed': ends.map(cell).agg(' to '.join, axis=1),
    'verdict': table.verdict,
  })  # fmt: skip


TABLES: Mapping[str, Callable] = {
  frame_of.__name__: frame_of
  for frame_of in (
    runs, emergence, floors, invariance, variants, top_down, phases, precedence,
    lengths, cadences, precursors, prediction, timing, foretelling, claims,
    decided, numbers, neighbours, same_events, memorisation, correlations,
    frames_of_arms.effects, frames_of_arms.effects_on_half,
    frames_of_arms.effects_by_rule, frames_of_arms.controls,
    frames_of_arms.trends, frames_of_arms.mediation,
  )
}  # fmt: skip
