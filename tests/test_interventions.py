"""Interventions: what each adds to a step, its window, sham and placebo."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emergence_jax.base import prng
from emergence_jax.base.types import UserError
from emergence_jax.config import schema
from emergence_jax.interventions import Intervention, intervention
from emergence_jax.interventions.freeze import Freeze
from emergence_jax.interventions.mean import Mean
from emergence_jax.interventions.noise import Noise
from emergence_jax.interventions.norm import Norm
from emergence_jax.interventions.rank import Rank
from emergence_jax.interventions.reset import Reset
from emergence_jax.interventions.subspace import Subspace
from emergence_jax.interventions.transplant import Transplant
from emergence_jax.machine import flops
from emergence_jax.numerics.spectrum import log_rankme, rankme
from emergence_jax.running import calibrating, levers, loop
from emergence_jax.store import timeseries
from tests import small


@pytest.fixture(scope='module')
def objective():
  return schema.from_mapping(small.modadd_config()).objective


@pytest.fixture(scope='module')
def at(objective):
  """A step of training, with what every intervention sees."""

  @jax.jit
  def make():
    task = objective.exams
    key = prng.key(prng.Stream.DATA, 0, 0)
    params = objective.init(prng.key(prng.Stream.INIT, 1))
    batch = task.train_batch(task.prepare(jnp.int32(0)), key)
    grads = jax.grad(objective.loss)(params, batch)
    updates = jax.tree.map(lambda g: -0.1 * g, grads)
    direction = intervention.random_direction(params, jax.random.key(7))
    return intervention.State(
      jnp.int32(0), key, params, batch, grads, updates, None, direction
    )

  return make()


@pytest.fixture(scope='module')
def first(objective):
  """The weights that the seed began with."""
  return jax.jit(objective.init)(prng.key(prng.Stream.INIT, 0))


@pytest.fixture(scope='module')
def other(objective):
  """The weights of another run."""
  return jax.jit(objective.init)(jax.random.key(5))


def with_own(objective, own, at, reference=None):
  """A step with what an intervention has prepared for it."""
  seed = jnp.int32(0)
  return at._replace(
    prepared=jax.jit(lambda: own.prepare(objective, seed, reference))()
  )


def push_of(objective, own, at, strength):
  """What an intervention adds, compiled."""
  return jax.jit(lambda *given: own.adds(objective, *given))(
    at, jnp.float32(strength)
  )


def added(objective, own, at, strength=1.0, reference=None):
  at = with_own(objective, own, at, reference)
  return at, push_of(objective, own, at, strength)


def norms(tree):
  return np.array([float(jnp.linalg.norm(x)) for x in jax.tree.leaves(tree)])


def test_the_entropy_of_singular_values_and_its_slope():
  rng = np.random.default_rng(0)
  for shape in ((40, 12), (12, 40)):
    z_ND = jnp.asarray(rng.normal(size=shape) + 0.5)
    assert float(jnp.exp(log_rankme(z_ND))) == pytest.approx(
      float(rankme(z_ND)), rel=1e-4
    )
    way = jnp.asarray(rng.normal(size=shape))
    slope = float((jax.grad(log_rankme)(z_ND) * way).sum())
    near = [float(log_rankme(z_ND + s * way)) for s in (-0.02, 0.02)]
    assert slope == pytest.approx((near[1] - near[0]) / 0.04, rel=2e-2)
  # One direction alone, and none: no slope that is not finite.
  assert np.isfinite(jax.grad(log_rankme)(jnp.ones((6, 3)))).all()
  assert np.isfinite(jax.grad(log_rankme)(jnp.zeros((6, 3)))).all()


@pytest.mark.parametrize('sign', [-1, 1])
def test_rank_moves_the_rank_and_against_its_sign(objective, at, sign):
  at, push = added(objective, Rank(), at, sign)
  moved = jax.tree.map(lambda p, g: p - 1e-3 * g, at.params, push)

  @jax.jit
  def rank(params):
    return log_rankme(objective.query_states(params, at.batch)[-1])

  before, after = float(rank(at.params)), float(rank(moved))
  assert np.sign(after - before) == -sign


def test_query_states_are_the_features_that_are_measured(objective, at):
  states = jax.jit(objective.query_states)(at.params, at.batch)
  features = jax.jit(objective.query_features)(at.params, at.batch)
  np.testing.assert_allclose(np.stack(states), features, rtol=1e-4, atol=1e-6)


def test_mean_is_the_gradient_of_the_centred_model(objective, at):
  at, push = added(objective, Mean(), at, 1.0)

  def centred(params):
    def edit(place, x):
      del place
      return x - x.mean(0)

    return objective.loss(params, at.batch, edit)

  wanted = jax.jit(jax.grad(centred))(at.params)
  for p, g, w in zip(*map(jax.tree.leaves, (push, at.grads, wanted))):
    np.testing.assert_allclose(p + g, w, atol=1e-5)


def test_a_frozen_part_does_not_move(objective, at):
  at, push = added(objective, Freeze(part='mlp'), at)
  after = jax.tree.map(jnp.add, at.updates, push)
  for path, update in zip(
    intervention.paths(after), jax.tree.leaves(after), strict=True
  ):
    assert ('mlp' in path) == (not np.any(update)), path


def test_the_norm_is_held(objective, at, first):
  at, push = added(objective, Norm(part='embed'), at, 2.0)
  after = jax.tree.map(lambda *x: sum(x), at.params, at.updates, push)
  assert float(jnp.linalg.norm(after['embed'])) == pytest.approx(
    2 * float(jnp.linalg.norm(first['embed'])), rel=1e-5
  )


def test_a_reset_leads_to_the_first_weights_once(objective, at, first):
  own = Reset(start=3)
  at, push = added(objective, own, at)
  after = jax.tree.map(lambda *x: sum(x), at.params, at.updates, push)
  for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(first)):
    np.testing.assert_allclose(a, b, atol=1e-6)
  assert [bool(own.acts(jnp.int32(s))) for s in (2, 3, 4)] == [
    False, True, False,
  ]  # fmt: skip


def test_a_transplant_is_of_the_reference(objective, at, other):
  own = Transplant(reference='run@4', part='unembed|embed')
  at, push = added(objective, own, at, reference=other)
  after = jax.tree.map(lambda *x: sum(x), at.params, at.updates, push)
  np.testing.assert_allclose(after['embed'], other['embed'], atol=1e-6)
  assert not np.any(push['positions'])


def test_noise_has_the_size_that_is_said_and_is_new_each_step(objective, at):
  at, push = added(objective, Noise(), at, 0.5)
  np.testing.assert_allclose(norms(push), 0.5 * norms(at.grads), rtol=1e-4)
  later = push_of(objective, Noise(), at._replace(key=jax.random.key(9)), 0.5)
  assert not np.allclose(push['embed'], later['embed'])


@pytest.mark.parametrize('reference', ['', 'run@4'])
def test_updates_lie_in_the_subspace(objective, at, reference, other):
  own = Subspace(of='updates', k=2, reference=reference, part='mlp_in')
  at, push = added(objective, own, at, reference=other)
  after = jax.tree.map(jnp.add, at.updates, push)
  kernel = after['block_0']['mlp_in']['kernel']
  assert np.linalg.matrix_rank(kernel, tol=1e-5) <= 2
  if reference:
    left = np.linalg.svd(other['block_0']['mlp_in']['kernel'])[0][:, :2]
    np.testing.assert_allclose(left @ (left.T @ kernel), kernel, atol=1e-5)


@pytest.mark.parametrize('reference', ['', 'run@4'])
def test_states_are_projected(objective, at, reference, other):
  own = Subspace(k=3, reference=reference)
  at, push = added(objective, own, at, reference=other)
  assert (norms(push) > 0).any()
  if not reference:
    np.testing.assert_allclose(
      at.prepared.T @ at.prepared, np.eye(3), atol=1e-5
    )  # fmt: skip


EVERY = [
  Rank(), Mean(), Noise(), Norm(), Freeze(), Reset(), Subspace(k=2),
  Subspace(of='updates', k=2),
]  # fmt: skip


@pytest.mark.parametrize('own', EVERY, ids=lambda own: type(own).__name__)
def test_window_sham_and_placebo(objective, at, own):
  start, stop = (2, 0) if isinstance(own, Reset) else (2, 4)
  own = dataclasses.replace(own, start=start, stop=stop)
  kind = own.stage

  at = with_own(objective, own, at)

  @jax.jit
  def compiled(mode, step, strength):
    now = at._replace(step=step)
    tree = now.grads if kind == intervention.GRADIENT else now.updates
    by = intervention.Push(strength, mode)
    after = intervention.push('x', own, objective, by, now, tree)
    return tree, after, own.adds(objective, now, strength)

  def pushed(mode, step, strength=0.7):
    return compiled(jnp.int32(mode), jnp.int32(step), jnp.float32(strength))

  for mode, step, strength in (
    (intervention.OFF, 2, 0.7), (intervention.OWN, 1, 0.7),
    (intervention.OWN, 5, 0.7), (intervention.OWN, 2, 0.0),
    (intervention.RANDOM, 1, 0.7),
  ):  # fmt: skip
    tree, after, _ = pushed(mode, step, strength)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, tree, after))
  tree, after, push = pushed(intervention.OWN, 2)
  left = norms(jax.tree.map(lambda x, y, a: y - x - a, tree, after, push))
  # Compiled or not, the eigenvalues of a Gram matrix differ in float32.
  assert (left <= 1e-2 * norms(push) + 1e-6).all()
  tree, placebo, push = pushed(intervention.RANDOM, 2)
  size = norms(jax.tree.map(jnp.subtract, placebo, tree))
  np.testing.assert_allclose(size, norms(push), rtol=1e-2, atol=1e-6)
  assert (size > 0).any() and not np.allclose(
    np.asarray(jax.tree.leaves(placebo)[0]),
    np.asarray(jax.tree.leaves(after)[0]),
  )


@dataclasses.dataclass(frozen=True)
class Mine(Intervention):
  """One's own: pulls the weights to 0."""

  wrong: bool = False

  def adds(self, objective, at, strength):
    """Strength × the weights."""
    del objective
    if self.wrong:
      return at.params['embed']
    return jax.tree.map(lambda p: strength * p, at.params)


def config_of_rank(steps=6):
  """A plain configuration that measures the rank alone."""
  given = small.modadd_config(steps=steps).to_dict()
  return {**given, 'measures': {'rank': given['measures']['rank']}}


def test_ones_own_intervention(tmp_path):
  own = dict(name='tests.test_interventions:Mine', strengths='0.5')
  given = {**config_of_rank(), 'interventions': {'pull': own}}
  loop.run(schema.from_mapping(given), tmp_path / 'run', lambda line: None)
  data = timeseries.load(tmp_path / 'run')
  loss = data.train_loss
  assert (loss.sel(arm='pull +0.5') != loss.sel(arm='baseline')).any()
  given['interventions']['pull'] = {**own, 'wrong': True}
  with pytest.raises(UserError, match='a tree like the'):
    loop.run(schema.from_mapping(given), tmp_path / 'two', lambda line: None)


class Marked(Intervention):
  """Adds nothing, by an operation that nothing else has."""

  def adds(self, objective, at, strength):
    """Log-gamma of nought strength."""
    del objective
    return jax.tree.map(lambda p: 0 * jax.lax.lgamma(p + strength), at.params)


def names_of_operations(jaxpr, *, conditional):
  """Of a program, with or without what stands behind a condition."""
  for equation in jaxpr.eqns:
    yield equation.primitive.name
    if conditional or equation.primitive.name != 'cond':
      for inner in flops.inner(equation.params):
        yield from names_of_operations(inner, conditional=conditional)


@pytest.mark.parametrize('together', [False, True])
def test_outside_the_window_nothing_is_computed(together):
  """Nor where members are mapped together, as on a GPU."""
  own = dict(name='tests.test_interventions:Marked', stop=3)
  config = schema.from_mapping(
    {**config_of_rank(), 'interventions': {'m': own}}
  )
  segment, given = levers.segment(config), levers.shapes(config)
  seed = jax.ShapeDtypeStruct((), jnp.int32)
  member = jax.eval_shape(levers.init(config), seed, given)
  if together:
    segment = jax.vmap(segment, (0, 0, None, None))
    member, given = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct((2, *x.shape), x.dtype), (member, given)
    )
  program = jax.make_jaxpr(segment)(member, given, seed, seed).jaxpr
  assert 'lgamma' in names_of_operations(program, conditional=True)
  assert 'lgamma' not in names_of_operations(program, conditional=False)


def test_a_transplant_from_another_run(tmp_path):
  given = config_of_rank()
  loop.run(schema.from_mapping(given), tmp_path / 'base', lambda line: None)
  donor = dict(name='transplant', start=3, reference=f'{tmp_path}/base@4')
  given['interventions'] = {
    'own': donor, 'swapped': {**donor, 'other_seed': 1}
  }  # fmt: skip
  given['arms'] = dict(controls=False)
  loop.run(schema.from_mapping(given), tmp_path / 'run', lambda line: None)
  data = timeseries.load(tmp_path / 'run').load()
  base = timeseries.load(tmp_path / 'base').load()
  at = data.sel(step=4)
  # Of the same seed and step it is what the run comes to anyway; of the other
  # seed it is that one's, on this one's own measure.
  np.testing.assert_allclose(
    at.sel(arm='own +1').rankme, base.sel(step=4).rankme, rtol=1e-4
  )
  np.testing.assert_allclose(
    at.sel(arm='swapped +1').rankme, base.sel(step=4).rankme[::-1], rtol=1e-4
  )
  given['interventions'] = {'swapped': {**donor, 'other_seed': 2}}
  with pytest.raises(UserError, match='the seed itself'):
    loop.run(schema.from_mapping(given), tmp_path / 'two', lambda line: None)


def test_a_model_without_a_hook_says_so(objective):
  class Bare:
    """A model whose hidden states cannot be changed."""

    num_layers, vocab_size = 1, 6

    def apply(self, params, tokens, num_queries=None):
      """Never called."""

  bare = dataclasses.replace(objective, model=Bare())
  with pytest.raises(UserError, match='no argument `edit`'):
    Mean().check('config.interventions.mean', bare, 10)


def test_strengths_are_chosen_at_which_learning_goes_on():
  given = config_of_rank(steps=40)
  given['optimizer']['rate'] = 1e-2
  push = dict(name='freeze', strengths='1,0.3', stop=40)
  given['interventions'] = {'hold': push}
  lines = []
  kept = calibrating.calibrate(given, lines.append)
  # A model that is held does not learn; held by a third it does.
  strengths = [float(s) for s in kept['hold'].split(',')]
  assert max(strengths) < 1 and 'by step 40' in lines[0]
  given['arms'] = dict(calibrate=True, calibrated=kept)
  named = [arm.name for arm in schema.from_mapping(given).arms]
  assert f'hold {strengths[0]:+g}' in named
  push['strengths'] = '100'
  with pytest.raises(UserError, match='give smaller ones'):
    calibrating.calibrate(given, lines.append)
  del given['interventions']
  with pytest.raises(UserError, match='there are none'):
    calibrating.calibrate(given, lines.append)
