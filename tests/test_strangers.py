"""Something new is one file and one line: nothing else has to know of it."""

import sys

import numpy as np
import pytest

from emergence_jax import measures
from emergence_jax.analysis import published, runs, series, study
from emergence_jax.analysis.reference import (
  FLOOR,
  INITIAL_RANK,
  Claim,
  Curve,
  Number,
  Reference,
)
from emergence_jax.config import schema
from emergence_jax.models import MODELS
from emergence_jax.report import study_figures
from emergence_jax.running import loop
from emergence_jax.store import timeseries
from emergence_jax.tasks import TASKS
from examples import majority, mean_model, weight_norm
from tests import small
from tests.test_study import as_run, made_up

sys.path.append('docs')


@pytest.fixture
def registered(monkeypatch):
  """The line that each of them takes."""
  monkeypatch.setitem(measures.MEASURES, 'weight_norm', weight_norm.make)
  monkeypatch.setitem(TASKS, 'majority', majority.Majority)
  monkeypatch.setitem(MODELS, 'mean', mean_model.Shape)


def test_a_measure_a_task_and_a_model_in_a_run(registered, tmp_path):
  config = small.modadd_config().to_dict()
  config['task'] = {'name': 'majority', 'batch_size': 8}
  config['model'] = {'name': 'mean', 'd_model': 8}
  config['measures'] = {
    name: small.options(name) for name in ('behaviour', 'weight_norm')
  }
  checked = schema.from_mapping(config)
  assert loop.run(checked, tmp_path, lambda line: None).name == 'FINISHED'
  data = timeseries.load(tmp_path)
  assert np.isfinite(data.part_norm).all() and data.sizes['part'] == 3
  assert list(series.tested(data)) == ['norm of a part']
  results = study.analyse([tmp_path], draws=20)
  run = runs.load([tmp_path])
  assert set(study_figures.makers(results, run)) > {
    f'Anatomy: {next(iter(run))}: MAJORITY'
  }


def test_the_documentation_has_them(registered):
  import generated

  assert 'norm of a part of the model' in generated.variables()
  keys = generated.configuration()
  for key in ('measures.weight_norm.power', 'task.batch_size', 'model.d_ff'):
    assert f'`{key}`' in keys


STUDY = Reference(
  title='a third study',
  claims=(Claim('x', 'x', '1', '', 0, 1, 'x'),),
  findings='tests.test_strangers:findings',
  numbers=lambda config: [
    Number(INITIAL_RANK, 'MOD', '', 10.0, 0.5, 0.5),
    Number(FLOOR, 'MOD', '', 2.0, 0.5, 0.5),
  ],
  curves=lambda config: {
    'quiz': Curve(STEPS, np.linspace(0, 1, 12), np.full(12, 0.01), 0.0)
  },
)
STEPS = np.arange(12) * 20


def findings(theirs, changes, precursors, *, draws):
  return {}


def test_a_study():
  """Its numbers and curves are in tables and figures that do not name it."""
  run = as_run('a', made_up(), reference=STUDY)
  both = {'a': run, 'b': as_run('b', made_up(), reference=STUDY)}
  results = study.study(both, draws=20)
  numbers = results.tables['numbers']
  assert set(numbers.quantity) == {INITIAL_RANK, FLOOR}
  assert set(numbers.paper) == {10.0, 2.0}
  variants = results.tables['variants']
  assert variants[variants.RankMe == 'the paper'].MOD.tolist() == ['10 → 2'] * 2
  assert set(results.tables['published'].benchmark) == {'quiz'}
  assert results.tables['claims'].verdict.tolist() == ['not measured']
  titles = study_figures.makers(results, both)
  assert 'Leads: a and benchmarks' in titles
  crosses = [
    line
    for line in titles['Floors across sizes'].make().axes[0].lines
    if line.get_marker() == 'x' and len(line.get_ydata())
  ]
  assert [line.get_ydata()[0] for line in crosses] == [2.0, 2.0]
  assert published.curves_of(run)
