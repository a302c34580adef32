"""Measuring saved checkpoints afterwards."""

import functools

import chex
import jax
import numpy as np
import pytest
import xarray as xr

import emergence_jax as ej
from emergence_jax.base.types import Status, UserError
from emergence_jax.config import schedule, schema
from emergence_jax.running import loop, offline
from emergence_jax.running.sources import saved
from emergence_jax.store import timeseries
from tests import small

LATER = ['hessian', 'barrier']


def quiet(line):
  del line


def make(workdir, *, keep=0, **measures):
  config = small.modadd_config(checkpoints=dict(keep=keep))
  config.measures = dict(behaviour=dict(), **measures)
  loop.run(schema.from_mapping(config), workdir, quiet)
  return workdir


def options(names):
  return {name: small.ALL[name] for name in names}


@pytest.fixture(scope='module')
def in_the_loop(tmp_path_factory):
  return make(tmp_path_factory.mktemp('all'), **options(LATER))


@pytest.mark.slow
def test_the_same_bits_as_in_the_loop_and_going_on(
  in_the_loop, tmp_path, monkeypatch
):
  make(tmp_path)
  restore = saved.Saved._restore
  with monkeypatch.context() as patch:

    def killed(self, step):
      if step == 4:
        raise KeyboardInterrupt
      return restore(self, step)

    patch.setattr(saved.Saved, '_restore', killed)
    with pytest.raises(KeyboardInterrupt):
      offline.measure(tmp_path, LATER, quiet, options=options(LATER))
  with pytest.raises(UserError, match='hessian was measured .* --overwrite'):
    offline.measure(tmp_path, LATER, quiet)
  lines = []
  call = functools.partial(offline.measure, options=options(LATER))
  assert call(tmp_path, LATER, lines.append) == (2, [])
  assert any('2 to measure' in line for line in lines)
  wanted = timeseries.load(in_the_loop).load()
  found = timeseries.load(tmp_path).load()
  xr.testing.assert_equal(found, wanted)
  assert np.isfinite(found.hessian_eigenvalues).all()
  assert call(tmp_path, LATER, quiet) == (0, [])


@pytest.mark.nightly
def test_what_the_run_measured_is_left_alone(in_the_loop):
  before = timeseries.load(in_the_loop).load()
  assert offline.measure(in_the_loop, LATER, quiet) == (0, [])
  xr.testing.assert_identical(timeseries.load(in_the_loop).load(), before)


@pytest.mark.nightly
def test_measures_left_out_of_a_run_keep_their_options(in_the_loop, tmp_path):
  """`--measures=behaviour` and then the others give what all at once do."""
  off = {name: dict(given, on=False) for name, given in options(LATER).items()}
  make(tmp_path, **off)
  assert 'loss_barrier' not in timeseries.load(tmp_path)
  assert offline.measure(tmp_path, LATER, quiet) == (4, [])
  wanted = timeseries.load(in_the_loop).load()
  xr.testing.assert_equal(timeseries.load(tmp_path).load(), wanted)
  # And again with other options, when told to.
  other = {'hessian': {'trace_matvecs': 3, 'k': 1}}
  with pytest.raises(UserError, match='overwrite'):
    offline.measure(tmp_path, ['hessian'], quiet, options=other)
  done = offline.measure(
    tmp_path, ['hessian'], quiet, options=other, overwrite=True
  )
  assert done == (4, [])
  found = timeseries.load(tmp_path).load()
  assert found.sizes['hessian_index'] == 1 < wanted.sizes['hessian_index']
  assert not np.array_equal(found.hessian_trace, wanted.hessian_trace)
  xr.testing.assert_equal(found.loss_barrier, wanted.loss_barrier)


@pytest.mark.nightly
def test_a_trained_seed_is_had_by_its_number(in_the_loop):
  before = {p for p in in_the_loop.rglob('*')}
  model, params = ej.load_params(in_the_loop, step=4, seed=1)
  data = timeseries.load(in_the_loop)
  config = offline.load_config(in_the_loop, [])
  exam, trained = config.task.exam(1, 10)
  one = jax.tree.map(lambda x: x[0, 0], exam)
  answers = config.objective.answers(params, one)
  accuracy = np.asarray(answers.correct)[~np.asarray(trained[0, 0])].mean()
  assert accuracy == data.accuracy.sel(seed=1, step=4).item()
  assert model.num_layers == 1
  newest = ej.load_params(in_the_loop)[1]
  wanted = ej.load_params(in_the_loop, step=6, seed=0)[1]
  chex.assert_trees_all_equal(newest, wanted)
  wrong_ones = {
    'seeds are 0 to 1': dict(seed=2),
    r'steps are \[0, 2, 4, 6\]': dict(step=3),
  }
  for words, wrong in wrong_ones.items():
    with pytest.raises(UserError, match=words):
      ej.load_params(in_the_loop, **wrong)
  assert {p for p in in_the_loop.rglob('*')} == before
  assert ej.__version__ and ej.Status.OK == 0


@pytest.mark.nightly
def test_a_barrier_needs_neighbours(tmp_path):
  """Of steps 0, 2, 4, 6 the newest two are kept; 6 has its neighbour."""
  make(tmp_path, keep=2)
  lines = []
  assert offline.measure(tmp_path, ['barrier'], lines.append) == (1, [])
  assert any('not saved for 1 of them' in line for line in lines)
  barrier = timeseries.load(tmp_path).loss_barrier
  assert np.isfinite(barrier).all('seed').values.tolist() == [False] * 3 + [
    True
  ]
  assert (timeseries.load(tmp_path).status == Status.OK).all()


@pytest.mark.nightly
def test_some_of_the_saved_steps_and_then_the_others(tmp_path):
  make(tmp_path)
  saved = timeseries.load(tmp_path).step.values.tolist()
  call = functools.partial(offline.measure, tmp_path, ['fisher'], quiet)
  few = schedule.within(saved, '0::4')
  assert 0 < len(few) < len(saved)
  assert call(steps='0::4') == (len(few), [])
  rank = timeseries.load(tmp_path).fisher_rank
  there = np.isfinite(rank).any([d for d in rank.dims if d != 'step'])
  assert rank.step.values[there.values].tolist() == few
  with pytest.raises(UserError, match='leaves no checkpoint'):
    call(steps='1000:', overwrite=True)
  xr.testing.assert_identical(timeseries.load(tmp_path).fisher_rank, rank)
  assert call() == (len(saved) - len(few), [])


def test_errors(tmp_path, in_the_loop):
  with pytest.raises(UserError, match='holds no run'):
    offline.measure(tmp_path, ['llc'], quiet)
  with pytest.raises(UserError, match="did you mean 'hessian'"):
    offline.measure(in_the_loop, ['hesian'], quiet)


def test_other_options_do_not_mix(in_the_loop):
  """A store with one task takes no two."""
  fields = {'x': timeseries.Field(('task',), 'float32', 'x', '1')}
  with pytest.raises(UserError, match='has 1 values of task'):
    timeseries.extend(in_the_loop, 'x', fields, {'task': ['MODADD', 'ADD']})
