"""Models and checkpoints of anyone's training, by the same measures."""

import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
import xarray as xr

import emergence_jax as ej
from emergence_jax.base.types import MeasureSpec, Status, UserError
from emergence_jax.config import measures as measure_specs
from emergence_jax.models import gpt
from emergence_jax.models.objective import Objective
from emergence_jax.store import timeseries
from emergence_jax.tasks.modular import ModularAddition
from tests import apps, tiers

ROOT = pathlib.Path(__file__).parents[1]
TASK = ModularAddition(p=5)
MODEL = gpt.model(
  gpt.GPTConfig(num_layers=2, d_model=8, num_heads=2, d_ff=16, num_positions=3),
  TASK.vocab_size,
)
MEASURES = {'behaviour': {}, 'rank': {'examples': 25}, 'barrier': {'points': 3}}
STEPS = [0, 10, 40]


def params_of(step, seed):
  """Stands for a training: the parameters grow."""
  first = MODEL.init(jax.random.key(seed))
  return jax.tree.map(lambda x: (1 + step / 20) * x, first)


def load(step, seed):
  if (step, seed) == (10, 3):
    raise OSError('a file is gone')
  return params_of(step, seed)


def record(workdir, log=lambda line: None, **given):
  options = dict(
    model=MODEL, exams=TASK, measures=MEASURES, steps=STEPS, seeds=[1, 3],
    log=log,
  )  # fmt: skip
  return ej.measure_checkpoints(load, workdir, **(options | given))


@pytest.fixture(scope='module')
def recorded(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('recorded') / 'mine'
  lines = []
  assert record(workdir, lines.append) == 3
  return workdir, lines


def test_parameters_at_hand_are_measured_as_in_a_file(recorded):
  data = timeseries.load(recorded[0]).load()
  measure = ej.measures_of(MODEL, TASK, MEASURES)
  for seed, before in ((1, params_of(10, 1)), (3, params_of(0, 3))):
    found = measure(params_of(40, seed), 40, seed, before)
    one = data.sel(step=40, seed=seed)
    for name, value in found.items():
      np.testing.assert_array_equal(one[name].values, value, err_msg=name)
  # Each seed has its own split of the table.
  assert (data.trained_on.sel(seed=1) != data.trained_on.sel(seed=3)).any()
  assert 'loss_barrier' not in measure(params_of(0, 1))


def test_what_cannot_be_loaded_is_named_and_left_blank(recorded):
  data, lines = timeseries.load(recorded[0]).load(), recorded[1]
  assert data.status.sel(seed=3).values.tolist() == [0, Status.MISSING, 0]
  assert (data.status.sel(seed=1) == Status.OK).all()
  assert np.isnan(data.rankme.sel(seed=3, step=10)).all()
  assert 'seed 3, step 10 is left out: a file is gone' in lines
  # The barrier is with the last that there is.
  assert np.isfinite(data.loss_barrier.sel(seed=3, step=40))
  assert np.isnan(data.loss_barrier.sel(step=0)).all()


def test_it_goes_on_where_it_stopped(recorded, tmp_path):
  def killed(step, seed):
    if step == 40:
      raise KeyboardInterrupt
    return load(step, seed)

  with pytest.raises(KeyboardInterrupt):
    ej.measure_checkpoints(
      killed, tmp_path / 'mine', model=MODEL, exams=TASK, measures=MEASURES,
      steps=STEPS, seeds=[1, 3], log=list,
    )  # fmt: skip
  assert timeseries.load(tmp_path / 'mine').sizes['step'] == 2
  assert record(tmp_path / 'mine') == 1
  xr.testing.assert_identical(
    timeseries.load(tmp_path / 'mine').load(),
    timeseries.load(recorded[0]).load(),
  )
  with pytest.raises(UserError, match='another configuration'):
    record(tmp_path / 'mine', seeds=[1])


@pytest.mark.parametrize(
  'given,words',
  [
    ({'measures': {'rnak': {}}}, "did you mean 'rank'"),
    ({'measures': {'rank': {'exampels': 3}}}, 'exampels'),
    ({'measures': {'choice': {}}}, "choice needs 'wrong' of the exams"),
    ({'steps': [3, 2]}, 'must increase'),
  ],
)
def test_what_is_refused(tmp_path, given, words):
  with pytest.raises(UserError, match=words):
    record(tmp_path / 'new', **given)
  assert not (tmp_path / 'new').exists()


@pytest.mark.nightly
@pytest.mark.parametrize('name', tiers.some(['equinox', 'nnx']))
def test_adapters_keep_the_module_s_own_output(name):
  """Logits of the adapted model are those of the module; gradients exist."""
  if name == 'nnx':
    from flax import nnx

    from examples.nnx_model import MODEL as model
    from examples.nnx_model import Decoder, forward

    module = Decoder(nnx.Rngs(jax.random.key(1)))
    params = nnx.to_pure_dict(nnx.state(module, nnx.Param))
  else:
    import equinox as eqx

    from examples.equinox_model import MODEL as model
    from examples.equinox_model import Decoder, forward

    module = Decoder(jax.random.key(1))
    params = {'module': eqx.filter(module, eqx.is_inexact_array)}
  tokens = np.array([[1, 2, 7]])
  expected = forward(module, tokens, None)
  found = jax.jit(model.apply)(params, tokens)
  np.testing.assert_allclose(found.logits, expected.logits, atol=1e-5)
  assert len(found.hidden) == model.num_layers
  # A new key gives other parameters of the same shapes.
  other = model.init(jax.random.key(2))
  assert jax.tree.structure(other) == jax.tree.structure(params)
  assert sum(p.size for p in jax.tree.leaves(model.ordered(params))) == sum(
    p.size for p in jax.tree.leaves(params)
  )
  objective = Objective(model, ModularAddition(p=7, train_fraction=0.7))
  spec = MeasureSpec(options={'batches': 4, 'batch_size': 4, 'prefix': 50})
  measure = measure_specs.make(objective, 'gradcov', spec)
  values = jax.jit(measure.fn)(params, measure.inputs(0), jax.random.key(0))
  assert 1 <= values['gradcov_rank'] <= 3
  assert values['gradcov_status'] == Status.OK


@pytest.mark.nightly
def test_the_examples_run_to_a_report(tmp_path):
  code = (
    'from examples import equinox_model, nnx_model\n'
    f'nnx_model.main(); equinox_model.main({str(tmp_path)!r})\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True
  )
  assert done.returncode == 0, done.stderr
  assert 'trained: training accuracy 1.00' in done.stdout
  done = apps.call('analyze', '--draws=50', f'--workdir={tmp_path / "equinox"}')
  assert done.returncode == 0, done.stderr
  assert 'MODADD' in done.stdout
