"""Rows of anyone's training loop, from the first call to a verdict."""

import json
import subprocess
import sys

import numpy as np
import pytest

import emergence_jax as ej
from emergence_jax.analysis import runs
from emergence_jax.base.types import Status, UserError
from emergence_jax.store import recorder, timeseries
from tests import apps

SEEDS, STEPS = range(6), range(0, 600, 10)


def record(folder, seeds=SEEDS, steps=STEPS, **given):
  """Seeds that learn one after the other; the rank rises before."""
  with ej.Recorder(folder, seeds=SEEDS, chance=0.1, **given) as made:
    for seed in seeds:
      at = 200 + 30 * seed
      for step in steps:
        made.log(
          step, seed=seed,
          accuracy=float(step >= at),
          rankme=[3.0, 2.0 + 5 * (step >= at - 80)],
          weight_norm=np.float32(step),
        )  # fmt: skip
  return folder


@pytest.fixture(scope='module')
def recorded(tmp_path_factory):
  return record(tmp_path_factory.mktemp('recorded') / 'mine')


def test_it_is_read_as_a_run_is(recorded):
  data = timeseries.load(recorded).load()
  assert dict(data.sizes) == {
    'seed': 6, 'step': 60, 'task': 1, 'level': 1, 'layer': 2,
  }  # fmt: skip
  assert (data.status == Status.OK).all() and (data.chance == 0.1).all()
  assert data.accuracy.sel(seed=2, step=260).item() == 1
  assert data.rankme.sel(seed=0, step=110, layer=2).item() == 2
  assert data.weight_norm.dims == ('seed', 'step')


def test_it_comes_to_a_verdict(recorded):
  (run,) = runs.load([recorded]).values()
  assert run.size == 'mine'
  found = ej.what_moved_first(
    run.data.rankme.isel(layer=-1, task=0).values,
    run.data.accuracy.isel(task=0, level=0).values, run.data.step.values,
    chance=0.1,
  )  # fmt: skip
  assert found.verdict == 'precedes' and found.tests.first == 6


@pytest.mark.nightly
def test_the_page_is_made(recorded):
  done = apps.call('report', f'--workdir={recorded}', '--draws=200')
  assert done.returncode == 0, done.stderr
  assert 'RankMe' in done.stdout
  assert (recorded / 'report' / 'report.html').exists()


def test_it_goes_on_and_loses_no_line(recorded, tmp_path):
  folder = tmp_path / 'mine'
  record(folder, seeds=range(3))
  # A kill leaves part of a line.
  with (folder / recorder.JOURNAL).open('a') as journal:
    journal.write('{"step": 0, "seed": 3, "val')
  missing = timeseries.load(folder).status.sel(seed=4)
  assert (missing == Status.MISSING).all()
  record(folder, seeds=range(3, 6))
  one, other = (timeseries.load(f).load() for f in (folder, recorded))
  assert one.equals(other)
  lines = (folder / recorder.JOURNAL).read_text().splitlines()
  assert all(json.loads(line) for line in lines)


def test_what_is_not_finite_is_marked(tmp_path):
  with ej.Recorder(tmp_path / 'mine') as made:
    made.log(0, accuracy=0.5)
    made.log(0, loss=float('nan'))
    made.log(1, accuracy=0.5, loss=1.0)
  data = timeseries.load(tmp_path / 'mine')
  assert data.status.values.tolist() == [[Status.NON_FINITE, Status.OK]]


@pytest.mark.parametrize(
  'given,words',
  [
    (dict(step=0, seed=9, accuracy=1), 'seed=9 is none of seeds'),
    (dict(step=0, accuracy=1), r'log\(seed=…\) must name one of'),
    (dict(step=0.5, seed=0, accuracy=1), 'must be a whole number'),
    (dict(step=0, seed=0, accuracy='high'), 'must be a number'),
    (dict(step=0, seed=0, accuracy=[1, 2]), 'only rankme'),
    (dict(step=0, seed=0, layer=2), 'is a dimension'),
  ],
)
def test_what_is_refused(tmp_path, given, words):
  with ej.Recorder(tmp_path / 'mine', seeds=range(2)) as made:
    with pytest.raises(UserError, match=words):
      made.log(given.pop('step'), **given)


def test_folders_of_something_else(recorded, tmp_path):
  with pytest.raises(UserError, match='was recorded with'):
    ej.Recorder(recorded, seeds=SEEDS, chance=0.2)
  (tmp_path / 'run' / 'timeseries.zarr').mkdir(parents=True)
  with pytest.raises(UserError, match='not recorded'):
    ej.Recorder(tmp_path / 'run')
  with pytest.raises(UserError, match='each seed once'):
    ej.Recorder(tmp_path / 'new', seeds=[1, 1])
  with pytest.raises(UserError, match='nothing was logged'):
    ej.Recorder(tmp_path / 'new').write()
  made = ej.Recorder(tmp_path / 'layers')
  made.log(0, rankme=[1, 2])
  made.log(1, rankme=[1])
  with pytest.raises(UserError, match='as many always'):
    made.write()


def test_no_jax_is_needed(tmp_path):
  code = (
    'import sys, emergence_jax as ej\n'
    f'with ej.Recorder({str(tmp_path / "mine")!r}) as made:\n'
    '  made.log(0, accuracy=0.5)\n'
    'print("jax" in sys.modules)\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True
  )
  assert done.stdout.strip() == 'False', done.stderr


def test_measured_on_the_spot(tmp_path):
  """Numbers of the package's measures, with their labels and units."""
  import jax
  import jax.numpy as jnp

  rng = np.random.default_rng(0)
  table = ej.Supervised(rng.random((30, 3)), np.arange(30) % 2, num_train=20)
  model = ej.Network(
    table, lambda key: {'w': jax.random.normal(key, (3, 2))},
    lambda p, x: (x @ p['w'], [x, x @ p['w']]),
  )  # fmt: skip
  hessian = {'k': 2, 'num_matvecs': 6, 'trace_matvecs': 4}
  chosen = {'behaviour': {}, 'rank': {}, 'norms': {}, 'hessian': hessian}
  measures = ej.measures_of(model, table, chosen)
  params = {s: model.init(jax.random.key(s)) for s in (0, 1)}
  with ej.Recorder(tmp_path, seeds=(0, 1), measures=measures) as made:
    for step in (0, 10):
      for seed in (0, 1):
        made.measure(step, params[seed], seed=seed, own=step + seed)
    with pytest.raises(UserError, match='own='):
      made.measure(20, params[0], seed=0, own='x')
  data = timeseries.load(tmp_path).load()
  wanted = measures(params[1], 10, 1)
  at = data.sel(seed=1, step=10)
  np.testing.assert_allclose(at.rankme.values[0], wanted['rankme'][0])
  np.testing.assert_allclose(at.accuracy.values[0, 0], wanted['accuracy'][0, 0])
  np.testing.assert_allclose(at.weight_norm, wanted['weight_norm'])
  assert at.own == 11 and data.weight_norm.attrs['comment'] == (
    measures.fields['weight_norm'].description
  )
  # What says that it is not ok is no number.
  assert wanted['hessian_status'] == Status.OK
  np.testing.assert_allclose(
    at.hessian_eigenvalues, wanted['hessian_eigenvalues'][0]
  )
  bad = {**wanted, 'hessian_status': np.int8(Status.NOT_CONVERGED)}
  assert 'hessian_eigenvalues' not in made._scalars(bad, measures.fields)
  with pytest.raises(UserError, match='measures=emergence_jax.measures_of'):
    ej.Recorder(tmp_path / 'other').measure(0, jnp.ones(1))
