"""The contract of every measure, and the two measures' own oracles."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from emergence_jax.base import prng
from emergence_jax.config import schema
from emergence_jax.measures import MEASURES, behaviour, rank
from emergence_jax.running import programs
from emergence_jax.tasks import algorithmic
from tests import small, tiers


def with_all(make):
  def config():
    config = make()
    config.measures = {name: small.options(name) for name in MEASURES}
    return config

  return config


CONFIGS = {
  'modadd': with_all(small.modadd_config),
  'algorithmic': with_all(small.algorithmic_config),
}


@functools.cache
def checked(task):
  return schema.from_mapping(CONFIGS[task]())


def measure_of(task, name):
  """The measure; the test is skipped if the exams lack what it needs."""
  config = checked(task)
  if name in config.left_out:
    pytest.skip(config.left_out[name])
  return config, config.built[name]


@functools.cache
def params_of(task):
  return jax.jit(checked(task).objective.init)(jax.random.key(0))


def built(task, name):
  """Configuration, measure, parameters, and the measure's own inputs."""
  config, measure = measure_of(task, name)
  return config, measure, params_of(task), jax.jit(measure.inputs)(jnp.int32(1))


def before(measure, params):
  """Parameters of the checkpoint before, for a measure that uses them."""
  return (jax.tree.map(lambda x: 0.9 * x, params),) * measure.pair


def check_declared(measure, result):
  """Declared fields and shapes only."""
  assert result.keys() == measure.fields.keys()
  for key, field in measure.fields.items():
    shape = tuple(len(measure.coords[d]) for d in field.dims)
    assert result[key].shape == shape, key
    assert result[key].dtype == field.dtype, key
    assert field.description and field.units


@pytest.mark.parametrize('name', MEASURES)
def test_fields_of_eight_tasks(name):
  """By shapes alone: nothing is compiled."""
  config, measure = measure_of('algorithmic', name)
  params = jax.eval_shape(config.objective.init, jax.random.key(0))
  arguments = programs.shapes_of(measure, params)
  check_declared(measure, jax.eval_shape(measure.fn, *arguments))


# Those of eight tasks are a `lax.map` of the same. What is dear to compile is
# run daily by the tests of its numerics alone.
_QUICK = ('behaviour', 'rank', 'barrier', 'probes')


@pytest.mark.parametrize(
  'task,name',
  [
    pytest.param(
      'modadd', name, marks=() if name in _QUICK else pytest.mark.nightly
    )
    for name in MEASURES
  ]
  + [
    pytest.param('algorithmic', name, marks=pytest.mark.nightly)
    for name in MEASURES
    if name not in ('llc', 'hessian')
  ],
)
def test_contract(name, task):
  """Same twice, declared fields and shapes only, one trace, finite."""
  _, measure, params, probe = built(task, name)
  traces = []

  @jax.jit
  def run(params, probe, key):
    traces.append(1)
    return measure.fn(params, probe, key, *before(measure, params))

  first = run(params, probe, prng.measure_key(name, 0, 0))
  again = run(params, probe, prng.measure_key(name, 0, 0))
  assert len(traces) == 1
  check_declared(measure, first)
  for key in measure.fields:
    assert np.isfinite(first[key]).all(), key
    np.testing.assert_array_equal(first[key], again[key])


# The numerics of the others have such a test of their own.
@pytest.mark.nightly
@pytest.mark.parametrize(
  'name',
  tiers.some(['behaviour', 'rank', 'barrier', 'probes', 'alignment'], 1),
)
def test_vmap_equals_loop(name):
  config, measure, _, probe = built('modadd', name)
  keys = jax.random.split(jax.random.key(3), 2)
  params = jax.jit(jax.vmap(config.objective.init))(keys)

  def run(params):
    return measure.fn(params, probe, keys[0], *before(measure, params))

  mapped = jax.jit(jax.vmap(run))(params)
  single = jax.jit(run)
  for i in range(2):
    one = single(jax.tree.map(lambda x, i=i: x[i], params))
    for key, value in one.items():
      # Rounding is relative to a field's largest value.
      scale = np.abs(value).max() + 1e-6
      np.testing.assert_allclose(
        mapped[key][i], value, rtol=2e-3, atol=2e-4 * scale, err_msg=key
      )


def test_behaviour_against_greedy_decoding():
  """Exact match by teacher forcing is exact match of the decoded answer."""
  objective = schema.from_mapping(small.algorithmic_config()).objective
  measure = behaviour.make(objective, examples=2, examples_at_once=7)
  exam, trained = measure.inputs(0)
  flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[3:]), exam)
  # A model that has seen the exam, so that it gets some of it right.
  params = jax.jit(objective.init)(jax.random.key(0))
  grad = jax.grad(objective.loss)

  def step(_, params):
    return jax.tree.map(lambda p, g: p - 0.5 * g, params, grad(params, flat))

  params = jax.jit(lambda p: jax.lax.fori_loop(0, 400, step, p))(params)
  result = jax.jit(measure.fn)(params, (exam, trained), jax.random.key(0))

  logits_of = jax.jit(lambda tokens: objective.apply(params, tokens).logits)
  scored = np.asarray(flat.scored)
  written = np.where(scored, algorithmic.PAD, flat.tokens)
  rows = np.arange(len(written))
  first = scored.argmax(1)
  for i in range(scored.sum(1).max()):
    place = np.minimum(first + i, written.shape[1] - 1)
    choice = np.asarray(logits_of(written))[rows, place - 1].argmax(-1)
    written[rows, place] = np.where(
      scored[rows, place], choice, written[rows, place]
    )
  right = (written == flat.tokens) | ~scored
  expected = right.all(1).reshape(exam.query.shape)
  assert 0 < expected.mean() < 1
  np.testing.assert_array_equal(result['correct'], expected)
  np.testing.assert_allclose(result['accuracy'], expected.mean(-1), rtol=1e-6)
  tokens = np.asarray(exam.scored).sum(-1).mean(-1)
  np.testing.assert_allclose(
    result['loss'], -result['log_prob'] / tokens, rtol=1e-5
  )


def test_behaviour_keeps_the_table_apart():
  config, measure, params, (exam, trained) = built('modadd', 'behaviour')
  result = measure.fn(params, (exam, trained), jax.random.key(0))
  correct, side = np.asarray(result['correct'])[0, 0], np.asarray(trained)[0, 0]
  assert result['train_accuracy'][0, 0] == correct[side].mean(dtype=np.float32)
  np.testing.assert_allclose(
    result['accuracy'][0, 0], correct[~side].mean(), rtol=1e-6
  )
  np.testing.assert_array_equal(result['trained_on'][0, 0], side)


def test_a_broken_model_answers_nothing():
  _, measure, params, probe = built('modadd', 'behaviour')
  broken = jax.tree.map(lambda x: x * jnp.nan, params)
  result = measure.fn(broken, probe, jax.random.key(0))
  assert not result['correct'].any() and np.isnan(result['log_prob']).all()


def entropy_rank(x):
  return np.exp(stats.entropy(np.linalg.svd(x, compute_uv=False)))


def test_rank_against_numpy():
  config, measure, params, probe = built('algorithmic', 'rank')
  result = jax.device_get(jax.jit(measure.fn)(params, probe, jax.random.key(0)))
  counts = rank.pooled_counts(6, 3)
  features = jax.jit(config.objective.features)
  for k in range(8):
    batch = jax.tree.map(lambda x, k=k: x[k], probe)
    level, item = np.concatenate(
      [[(i, j) for j in range(n)] for i, n in enumerate(counts)]
    ).T
    index = (level, item)
    pooled = jax.tree.map(lambda x, index=index: x[index], batch)
    hidden, final = features(params, pooled)
    hidden, final = np.float64(hidden), np.float64(final)
    rows = np.arange(6)
    query = np.asarray(pooled.query)
    scored = np.asarray(pooled.scored)[:, 1:]
    last = [np.flatnonzero(s)[-1] for s in scored]
    for z in range(2):
      at = hidden[z][rows, query]
      mean = np.stack([h[: n + 1].mean(0) for h, n in zip(hidden[z], last)])
      expected = {
        'rankme': at,
        'rankme_centered': at - at.mean(0),
        'rankme_answer': hidden[z][scored],
        'rankme_mean': mean,
      }
      for name, matrix in expected.items():
        np.testing.assert_allclose(
          result[name][k, z], entropy_rank(matrix), rtol=1e-3, err_msg=name
        )
    np.testing.assert_allclose(
      result['rankme_norm'][k], entropy_rank(final[rows, query]), rtol=1e-3
    )
    one_level = jax.tree.map(lambda x: x[1], batch)
    hidden, _ = features(params, one_level)
    at = np.float64(hidden)[1][rows, np.asarray(one_level.query)]
    np.testing.assert_allclose(
      result['rankme_level'][k, 1, 1], entropy_rank(at), rtol=1e-3
    )


@pytest.mark.parametrize('examples,levels', [(200, 3), (5, 3), (7, 1), (2, 3)])
def test_pooled_counts(examples, levels):
  counts = rank.pooled_counts(examples, levels)
  assert sum(counts) == examples and max(counts) - min(counts) <= 1
