"""Tables: vectors, images, classes, numbers, a model of one's own."""

import importlib.util
import pathlib

import chex
import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import emergence_jax as ej
from emergence_jax.analysis import runs
from emergence_jax.base.types import Status, UserError
from emergence_jax.cli import config_flag
from emergence_jax.config import schema
from emergence_jax.models.network import MLP
from emergence_jax.models.objective import Objective
from emergence_jax.running import loop
from emergence_jax.store import timeseries
from emergence_jax.tasks import tables
from emergence_jax.tasks.supervised import NUMBERS
from tests import tiers

ROOT = pathlib.Path(__file__).parents[1]


def linear(table, width=3):
  """A linear network with one array of features."""
  size = int(np.prod(table.inputs.shape[1:]))

  def make(key):
    return {'w': jax.random.normal(key, (size, table.vocab_size))}

  def forward(params, x):
    flat = x.reshape(len(x), -1)
    return flat @ params['w'], [flat[:, :width], flat]

  return ej.Network(table, make, forward)


def classes(count=12, train=8):
  rng = np.random.default_rng(0)
  answers = rng.integers(0, 3, count)
  answers[:3] = 0, 1, 2
  return ej.Supervised(rng.standard_normal((count, 4)), answers, train)


def test_losses_of_classes_are_those_of_a_table():
  table = classes()
  objective = Objective(linear(table), table)
  params = objective.init(jax.random.key(0))
  rows = jnp.arange(5)
  logits = table.inputs[:5] @ params['w']
  wanted = -jax.nn.log_softmax(logits)[rows, table.answers[:5]]
  batch = table.examples(rows)
  np.testing.assert_allclose(
    objective.loss(params, batch), wanted.mean(), rtol=1e-6
  )
  answers = objective.answers(params, batch)
  np.testing.assert_allclose(answers.log_prob, -wanted, rtol=1e-6)
  np.testing.assert_array_equal(
    answers.correct, logits.argmax(1) == table.answers[:5]
  )
  hidden, final = objective.features(params, batch)
  chex.assert_shape(hidden, (2, 5, 1, 4))
  np.testing.assert_array_equal(final[:, 0], table.inputs[:5])
  # Features of fewer numbers are filled up, which no rank sees.
  assert ej.rankme(hidden[0, :, 0]) == pytest.approx(
    float(ej.rankme(table.inputs[:5, :3])), rel=1e-6
  )


@hypothesis.given(st.integers(1, 4), st.floats(0.01, 2))
@hypothesis.settings(max_examples=15, deadline=None)
def test_numbers_are_compared_by_their_errors(outputs, tolerance):
  rng = np.random.default_rng(outputs)
  x = rng.standard_normal((10, 3))
  y = rng.standard_normal((10, outputs))
  table = ej.Supervised(x, y, num_train=6, tolerance=tolerance)
  assert table.loss == NUMBERS and table.vocab_size == outputs
  objective = Objective(linear(table), table)
  params = {'w': jnp.asarray(rng.standard_normal((3, outputs)), jnp.float32)}
  error = x @ np.asarray(params['w']) - y
  batch = table.examples(jnp.arange(10))
  np.testing.assert_allclose(
    objective.loss(params, batch), 0.5 * (error**2).mean(), rtol=1e-4
  )
  answers = objective.answers(params, batch)
  clear = np.abs(np.abs(error) - tolerance).min(1) > 1e-5
  right = (np.abs(error) <= tolerance).all(1)
  np.testing.assert_array_equal(answers.correct[clear], right[clear])


def test_a_loss_of_ones_own_and_inputs_in_parts():
  rng = np.random.default_rng(0)
  parts = {'a': rng.random((6, 2)), 'b': rng.random((6, 3, 3))}
  table = ej.Supervised(
    parts, rng.random(6), num_train=4,
    loss=lambda out, answer: jnp.abs(out[:, 0] - answer),
  )  # fmt: skip
  model = ej.Network(
    table, lambda key: {'w': jnp.ones(2)},
    lambda p, x: (
      (x['a'] @ p['w'] + x['b'].sum((1, 2)))[:, None], {'both': x['b']}
    ),
  )  # fmt: skip
  objective = Objective(model, table)
  out = parts['a'].sum(1) + parts['b'].sum((1, 2))
  wanted = np.abs(out - table.answers).mean()
  loss = objective.loss({'w': jnp.ones(2)}, table.examples(jnp.arange(6)))
  assert float(loss) == pytest.approx(wanted, rel=1e-5)
  assert objective.hidden_size() == 9


def test_what_is_trained_on_is_not_examined_as_held_out():
  table = classes()
  key = jax.random.key(0)
  trained = {
    int(i)
    for batch in (
      table.train_batch((), key), table.draw(jnp.int32(0), key, 50),
      table.training_examples(jnp.int32(0), key, 20),
      table.by_task(jnp.int32(0), key, 20),
    )
    for i in np.ravel(batch.tokens[..., 0])
  }  # fmt: skip
  assert trained == set(range(8))
  held_out = table.fresh(key, 100).tokens[..., 0]
  assert set(np.ravel(held_out).tolist()) == set(range(8, 12))
  exam, mask = table.exam(jnp.int32(0), 100)
  np.testing.assert_array_equal(mask[0, 0], exam.tokens[0, 0, :, 0] < 8)
  held = table.answers[8:]
  assert table.chance_KxL.item() == np.bincount(held).max() / held.size


@pytest.mark.parametrize('given,words', [
  (dict(num_train=12), 'must leave some of 12 rows'),
  (dict(num_train=3, loss='hinge'), "loss='hinge' is unknown"),
  (dict(num_train=3, batch_size=-1), 'batch_size=-1'),
  (dict(num_train=3, answers=np.arange(12) - 1), 'begin with 0'),
  (dict(num_train=3, answers=np.arange(11)), 'a row for each example'),
  (dict(num_train=3, answers=np.ones(12), loss='cross_entropy'),
   'takes whole numbers'),
])  # fmt: skip
def test_tables_that_are_refused(given, words):
  given = {'inputs': np.ones((12, 2)), 'answers': np.arange(12) % 3, **given}
  with pytest.raises(UserError, match=words):
    ej.Supervised(**given)


@pytest.mark.parametrize('forward,words', [
  (lambda p, x: (x[:, :2], [x]), r'shape \(1, 2\), and the table wants \(1, 3'),
  (lambda p, x: (x[:, :3], []), 'at least one array of features'),
])  # fmt: skip
def test_networks_that_are_refused(forward, words):
  with pytest.raises(UserError, match=words):
    ej.Network(classes(), lambda key: {}, forward)


@pytest.mark.parametrize('task,model,words', [
  (dict(name='sparse_parity', k=40), dict(name='mlp'), 'config.task.k=40'),
  (dict(name='sparse_parity', num_test=0), dict(name='mlp'), 'num_test=0'),
  (dict(name='digits', num_train=2000), dict(name='mlp'), 'num_train=2000'),
  (dict(name='sparse_parity'), dict(name='mlp', depth=0), 'config.model.depth'),
  (dict(name='sparse_parity'), dict(name='mlp', activation='x'), 'activation'),
  (dict(name='modadd', p=5, train_fraction=0.7), dict(name='mlp'),
   'takes tasks of vectors and images'),
])  # fmt: skip
def test_configurations_that_are_refused(task, model, words):
  raw = config_flag.load('sparse_parity').copy()
  with pytest.raises(UserError, match=words):
    schema.from_mapping({**raw, 'task': task, 'model': model})


def test_parity_and_digits_are_what_they_say():
  task = tables.SparseParity(n=10, k=2, num_train=50, num_test=20)
  assert task.inputs.shape == (70, 10) and set(np.unique(task.inputs)) == {
    -1,
    1,
  }
  minus = (task.inputs[:, :2] == -1).sum(1)
  np.testing.assert_array_equal(task.answers, minus % 2)
  digits = tables.Digits()
  assert digits.inputs.shape == (1797, 8, 8) and digits.vocab_size == 10
  assert digits.inputs.max() == 1


def test_a_run_of_every_measure(tmp_path):
  raw = config_flag.load('sparse_parity')
  raw['task'] |= {'num_train': 60, 'num_test': 30, 'batch_size': 16}
  raw['model'] = {'name': 'mlp', 'width': 8, 'depth': 2}
  raw['train'], raw['seeds'] = {'steps': 4}, {'count': 2}
  raw['checkpoints'] = {'schedule': '2'}
  raw['measures'] = {
    'behaviour': {}, 'rank': {}, 'norms': {}, 'barrier': {}, 'alignment': {},
    'fisher': {'examples': 20}, 'gradcov': {'batches': 3, 'batch_size': 8},
    'hessian': {'k': 1, 'num_matvecs': 4, 'trace_matvecs': 3},
    'probes': {},
    'llc': {'num_draws': 8, 'num_burnin': 2, 'num_chains': 1, 'examples': 20,
            'batch_size': 8, 'elevation_draws': 8, 'elevation_burnin': 1},
  }  # fmt: skip
  config = schema.from_mapping(raw)
  assert not config.left_out
  assert loop.run(config, tmp_path / 'run') is loop.Outcome.FINISHED
  data = timeseries.load(tmp_path / 'run').load()
  assert (data.status == Status.OK).all()
  assert dict(data.sizes)['layer'] == 2 and data.task.values == ['PARITY']
  assert data.train_accuracy.notnull().all()
  assert data.attrs['parameters'] == 30 * 8 + 8 + 8 * 8 + 8 + 8 * 2 + 2


def example(name):
  spec = importlib.util.spec_from_file_location(
    name, ROOT / f'examples/{name}.py'
  )
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.mark.parametrize(
  'name', tiers.some(['parity_mlp', 'digits_cnn', 'superposition'], 0)
)
def test_examples_come_to_a_run(tmp_path, name):
  lines = (ROOT / f'examples/{name}.py').read_text().splitlines()
  assert sum(bool(line.strip()) for line in lines) <= 60
  example(name).main(tmp_path / name, seeds=range(2), steps=50)
  (run,) = runs.load([tmp_path / name]).values()
  data = run.data
  assert data.sizes['seed'] == 2 and data.rankme.notnull().all()
  first, last = data.loss.isel(step=0), data.loss.isel(step=-1)
  assert (last < first).all()


def test_an_mlp_has_features_of_its_hidden_layers():
  table = classes()
  model = MLP(width=5, depth=3).build_for(table)
  params = model.init(jax.random.key(0))
  output = model.apply(params, table.examples(jnp.arange(4)).tokens[:, :1])
  assert model.num_layers == 3 and output.logits.shape == (4, 1, 3)
  assert [x.shape for x in output.hidden] == [(4, 1, 5)] * 3
  assert all((x >= 0).all() for x in output.hidden)


@pytest.mark.nightly
def test_the_example_learns_parity(tmp_path):
  example('parity_mlp').main(tmp_path / 'parity', seeds=range(2))
  (run,) = runs.load([tmp_path / 'parity']).values()
  assert (run.data.accuracy.isel(step=-1) > 0.95).all()
  assert (run.data.accuracy.isel(step=0) < 0.6).all()
