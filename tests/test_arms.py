"""Arms: one program for all, the seeds shared; a run of one's own for each."""

import json
import re
import shutil

import chex
import jax
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from emergence_jax.analysis import runs as runs_lib
from emergence_jax.base.types import UserError
from emergence_jax.config import arms as arm_specs
from emergence_jax.config import schema
from emergence_jax.config.arms import ArmsConfig
from emergence_jax.machine import memory
from emergence_jax.running import (
  dry_run,
  levers,
  loading,
  loop,
  merging,
  offline,
  rundir,
)
from emergence_jax.store import arms as store_arms
from emergence_jax.store import checkpoints, export, packing, timeseries
from tests import small

# A value of every number that can vary.
OTHERS = {
  'optimizer.rate': 1e-3, 'optimizer.warmup': 2, 'optimizer.weight_decay': 0.5,
  'optimizer.b1': 0.8, 'optimizer.b2': 0.9, 'optimizer.clip_norm': 0.05,
  'model.init_std': 0.05,
}  # fmt: skip


def quiet(line):
  """Says nothing."""


def config(steps=6, **groups):
  """A configuration as a plain mapping."""
  given = small.modadd_config(steps=steps)
  given.optimizer.clip_norm = 1.0
  return {**given.to_dict(), **groups}


def run(workdir, given):
  assert loop.run(schema.from_mapping(given), workdir, quiet) is (
    loop.Outcome.FINISHED
  )
  return timeseries.load(workdir).load()


def run_as_users_do(workdir, given):
  with small.compiled_as_for_users():
    return run(workdir, given)


@pytest.fixture(scope='module')
def plain(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('plain')
  run_as_users_do(workdir, config())
  return workdir


@pytest.fixture(scope='module')
def armed(tmp_path_factory):
  """A run with an arm for every number, and a freezing."""
  workdir = tmp_path_factory.mktemp('armed')
  each = {key.replace('.', ' '): f'{key}={v}' for key, v in OTHERS.items()}
  frozen = dict(part='mlp', start=1, stop=4)
  run_as_users_do(
    workdir, config(arms=dict(each=each), interventions=dict(freeze=frozen))
  )
  return workdir


def same(one: xr.Dataset, other: xr.Dataset) -> None:
  for name in other.data_vars:
    np.testing.assert_array_equal(one[name], other[name], name)


@pytest.mark.parametrize('arm', ['baseline', 'freeze sham'])
def test_without_a_change_it_is_the_run_without_arms(plain, armed, arm):
  same(timeseries.load(f'{armed}@{arm}'), timeseries.load(plain))


@pytest.mark.parametrize('key', OTHERS)
def test_an_arm_is_a_run_with_its_values(armed, tmp_path, key):
  given = config()
  group, name = key.split('.')
  given[group][name] = OTHERS[key]
  alone = run(tmp_path, given)
  arm = timeseries.load(f'{armed}@{key.replace(".", " ")}')
  np.testing.assert_allclose(arm.train_loss, alone.train_loss, rtol=2e-5)
  np.testing.assert_allclose(arm.rankme, alone.rankme, rtol=1e-4)
  assert json.loads(arm.attrs['config']) == json.loads(alone.attrs['config'])
  base = timeseries.load(f'{armed}@baseline')
  assert (arm.train_loss != base.train_loss).any()


def test_what_reads_a_run_reads_its_arms(armed, tmp_path):
  data = timeseries.load(armed)
  assert data.rankme.dims == ('arm', 'seed', 'step', 'task', 'layer')
  assert data.train_loss.dims == ('arm', 'seed', 'train_step')
  assert data.arm.values[0] == 'baseline' and data.sizes['seed'] == 2
  loaded = runs_lib.load([armed])
  (own,) = loaded.values()
  assert own.data.equals(
    timeseries.load(f'{armed}@baseline').drop_dims('item').load()
  )
  assert [a.name for a in own.arms] == data.arm.values.tolist()
  two = [f'{armed}@baseline', f'{armed}@freeze +1']
  assert list(runs_lib.load(two)) == ['baseline', 'freeze +1']
  with pytest.raises(UserError, match='did you mean'):
    timeseries.load(f'{armed}@baselin')
  packing.pack(armed, tmp_path)
  packed = timeseries.load(tmp_path)
  assert packed.sizes['arm'] == data.sizes['arm']
  np.testing.assert_array_equal(packed.rankme, data.rankme)
  means = data.train_loss.values.reshape(*data.train_loss.shape[:2], -1, 2)
  np.testing.assert_allclose(
    packed.train_loss_between[:, :, 1:], means.mean(-1), rtol=1e-5
  )
  raw = xr.open_zarr(armed / timeseries.STORE, consolidated=False)
  assert raw.arm.dims == ('seed',)


def test_an_arm_is_exported(armed, tmp_path):
  packing.pack(f'{armed}@freeze +1', tmp_path / 'packed')
  packed = timeseries.load(tmp_path / 'packed')
  np.testing.assert_array_equal(
    packed.rankme, timeseries.load(f'{armed}@freeze +1').rankme
  )
  paths = export.to_tensorboard(armed, tmp_path / 'board')
  assert tmp_path / 'board' / 'freeze_+1_placebo' / 'seed_1' in paths
  assert all(any(path.iterdir()) for path in paths)
  (table,) = [
    p for p in export.to_csv(armed, tmp_path / 'csv')
    if p.stem == 'by_arm_seed_step_task_layer'
  ]  # fmt: skip
  assert table.read_text().startswith('arm,seed,step,')


def test_arms_are_measured_later(armed, tmp_path):
  workdir = tmp_path / 'run'
  shutil.copytree(armed, workdir)
  offline.measure(workdir, ['norms'], quiet)
  data = timeseries.load(workdir)
  assert data.weight_norm.dims == ('arm', 'seed', 'step')
  last = data.weight_norm.isel(step=-1)
  assert np.isfinite(last).all()
  wide, base = (last.sel(arm=a) for a in ('model init_std', 'baseline'))
  assert (wide > base).all()


def test_parameters_of_an_arm(armed, plain):
  _, base = loading.load_params(armed, seed=1)
  _, alone = loading.load_params(plain, seed=1)
  chex.assert_trees_all_equal(base, alone)
  _, other = loading.load_params(armed, seed=1, arm='model init_std')
  assert not np.array_equal(other['embed'], base['embed'])
  with pytest.raises(UserError, match='arm='):
    loading.load_params(armed, arm='nobody')


def test_parts_of_an_experiment_are_merged_arm_by_arm(armed, tmp_path):
  given = config(**{
    k: v for k, v in json.loads(
      timeseries.load(armed).attrs['config']
    ).items() if k in ('arms', 'interventions')
  })  # fmt: skip
  given['seeds']['first'] = 2
  part = run(tmp_path / 'part', given)
  seeds = merging.merge([armed, tmp_path / 'part'], tmp_path / 'both', quiet)
  both = timeseries.load(tmp_path / 'both')
  assert seeds == both.seed.values.tolist() == [0, 1, 2, 3]
  same(both.sel(seed=[0, 1]), timeseries.load(armed))
  same(both.sel(seed=[2, 3]), part)


def test_a_run_is_branched_from_another(plain, tmp_path):
  few = {'behaviour': {}, 'rank': {'examples': 10}}
  given = config(steps=8, start=f'{plain}@4', measures=few, arms=dict(
    each=dict(fast='optimizer.rate=0.01')
  ))  # fmt: skip
  data = run_as_users_do(tmp_path / 'branch', given)
  longer = run_as_users_do(tmp_path / 'longer', config(steps=8, measures=few))
  base = data.sel(arm='baseline')
  assert base.step.values.tolist() == [4, 6, 8]
  # To the bits of the run that went on by itself.
  for name in ('accuracy', 'rankme', 'log_prob'):
    np.testing.assert_array_equal(base[name], longer[name].sel(step=[4, 6, 8]))
  known = base.train_loss.isel(train_step=slice(4, None))
  np.testing.assert_array_equal(known, longer.train_loss[:, 4:])
  assert np.isnan(base.train_loss[:, :4]).all()
  assert (data.sel(arm='fast').rankme[:, -1] != base.rankme[:, -1]).any()


@pytest.mark.parametrize('change,message', [
  (dict(start='nowhere@4'), 'holds no run'),
  (dict(start='x'), r'must be RUN@STEP'),
  (dict(start='{plain}@3'), 'saved steps are'),
  (dict(start='{plain}@4', optimizer={'rate': 1.0}), 'optimizer.rate was'),
  (dict(start='{plain}@4', seeds={'first': 1}), 'has the seeds 0 to 1'),
])  # fmt: skip
def test_what_cannot_be_branched(plain, tmp_path, change, message):
  given = config(steps=8)
  for key, value in change.items():
    if isinstance(value, dict):
      given[key].update(value)
    else:
      given[key] = value.format(plain=plain)
  with pytest.raises(UserError, match=message):
    loop.run(schema.from_mapping(given), tmp_path / 'run', quiet)


def test_a_killed_run_with_arms_goes_on_to_the_same_bits(armed, tmp_path):
  workdir = tmp_path / 'run'
  shutil.copytree(armed, workdir)
  raw = rundir.read_config(workdir)
  # As if it had been killed behind its row of step 4.
  for step in (4, 6):
    shutil.rmtree(workdir / checkpoints.FOLDER / str(step))
  (workdir / timeseries.STORE / 'status/c/0/3').unlink()
  run(workdir, raw)
  xr.testing.assert_identical(
    timeseries.load(workdir).load(), timeseries.load(armed).load()
  )


@pytest.mark.parametrize('groups,message', [
  (dict(arms=dict(grid='model.d_model=8,16')), 'cannot vary'),
  (dict(arms=dict(grid='task.p=5,7')), 'give --sweep'),
  (dict(arms=dict(grid='optimizer.rate')), 'not of the form KEY=VALUE'),
  (dict(arms=dict(grid='optimizer.rate=a')), 'is no number'),
  (dict(arms=dict(grid='optimizer.rate=nan')), 'must be a finite number'),
  (dict(arms=dict(grid='optimizer.rate=-1')), 'rate=-1.0 must be at least 0'),
  (dict(arms=dict(grid='optimizer.b1=1')), 'b1=1.0 must be'),
  (dict(arms=dict(grid='optimizer.warmup=1.5')), 'must be a whole number'),
  (dict(arms=dict(grid='model.init_std=0')), 'init_std=0.0 must be above 0'),
  (dict(arms=dict(grid='optimizer.rate=1,1')), 'are the same arm'),
  (dict(arms=dict(each=dict(a='optimizer.rate=1', b='optimizer.rate=1'))),
   'are the same arm'),
  (dict(arms=dict(each=dict(a='optimizer.rate=2e-3'))), 'changes nothing'),
  (dict(arms=dict(each=dict(a=3))), 'must be a text'),
  (dict(arms=dict(gird='x')), "did you mean 'grid'"),
  (dict(arms=dict(margin=-1.0)), 'margin=-1.0'),
  (dict(interventions=dict(freeze=dict(strengths='0'))), 'is the sham'),
  (dict(interventions=dict(freeze=dict(strengths='1,1'))), 'names 1 twice'),
  (dict(interventions=dict(frieze=dict())), "did you mean 'freeze'"),
  (dict(interventions=dict(freeze=dict(start=6))), 'start=6 must be'),
  (dict(interventions=dict(freeze=dict(stop=9))), 'stop=9 must be'),
  (dict(interventions=dict(freeze=dict(part='nose'))), 'matches no parameter'),
  (dict(interventions=dict(freeze=dict(part='('))), 'no regular expression'),
  (dict(interventions=dict(rank=dict(layer=2))), 'layer=2 must be'),
  (dict(interventions=dict(mean=dict(task='ADD'))), 'none of the tasks'),
  (dict(interventions=dict(reset=dict(stop=4))), 'has no effect'),
  (dict(interventions=dict(transplant=dict())), 'reference is missing'),
  (dict(interventions=dict(x=dict(name='json:JSONDecoder'))),
   'is no intervention'),
])  # fmt: skip
def test_what_is_wrong_is_said(groups, message):
  with pytest.raises(UserError, match=message):
    schema.from_mapping(config(**groups))


def test_a_number_that_the_model_does_not_have():
  with pytest.raises(UserError, match='no key of this model'):
    arm_specs.parse(
      ArmsConfig('model.init_std=0.1'), {}, {'optimizer.rate': 1.0}
    )


def test_the_order_of_a_file_does_not_matter():
  each = {'b': 'optimizer.rate=1', 'a': 'optimizer.rate=2'}
  current = {'optimizer.rate': 3.0}
  one = arm_specs.parse(
    ArmsConfig(each=each), {'y': [1.0], 'x': [1.0]}, current
  )
  other = arm_specs.parse(
    ArmsConfig(each=dict(sorted(each.items()))),
    {'x': [1.0], 'y': [1.0]},
    current,
  )
  assert one == other


@pytest.mark.parametrize('grid,fitting,message', [
  ('optimizer.rate=1,2,3', 7, r'holds 1 of the seeds: --parts=2 goes'),
  ('optimizer.rate=1,2,3', 3, r'of one seed 3 arms fit'),
  ('', 1, r'holds 1 of the seeds: --parts=2'),
  ('', 0, r'lower its numbers'),
])  # fmt: skip
def test_more_than_the_memory_holds(monkeypatch, grid, fitting, message):
  made = schema.from_mapping(config(arms=dict(grid=grid)))
  member = 12 * made.model.num_weights(made.task.vocab_size)
  monkeypatch.setattr(memory, 'available', lambda: fitting * member + 1)
  with pytest.raises(UserError, match=message):
    schema.check_devices(made)


_RATES = st.floats(1e-6, 1).map(lambda x: float(f'{x:g}'))
_DECAYS = st.sampled_from([0.5, 1.0, 2.0])


@settings(max_examples=50, deadline=None)
@given(
  st.lists(_RATES, min_size=1, max_size=4, unique=True),
  st.lists(_DECAYS, min_size=1, unique=True),
)
def test_a_grid_has_every_point_once(rates, decays):
  text = (
    f'optimizer.rate={",".join(map(str, rates))};'
    f'optimizer.weight_decay={",".join(map(str, decays))}'
  )
  current = {'optimizer.rate': 7.0, 'optimizer.weight_decay': 1.0}
  arms = arm_specs.parse(ArmsConfig(text), {}, current)
  points = {tuple(arm.numbers.values()) for arm in arms[1:]}
  assert points == {(r, d) for r in rates for d in decays}
  assert len(arms) == 1 + len(rates) * len(decays)


def test_names_of_folders_with_an_at(tmp_path):
  folder = tmp_path / 'me@home'
  folder.mkdir()
  assert store_arms.split(folder) == (folder, '')
  assert store_arms.split(f'{folder}@x y')[1] != ''


def test_members_are_counted_without_a_backend():
  given = config(arms=dict(grid='optimizer.rate=1,2'))
  assert schema.count_members(given) == 6
  assert jax.tree.leaves(given)  # a plain mapping, of which nothing was made


def test_a_sweep_over_numbers_compiles_once():
  def program(**numbers):
    given = config()
    given['optimizer'].update(numbers)
    made = schema.from_mapping(given)
    shapes = levers.shapes(made)
    seed = jax.ShapeDtypeStruct((), np.int32)
    member = jax.eval_shape(levers.init(made), seed, shapes)
    given = (member, shapes, seed, seed)
    return jax.jit(levers.segment(made)).lower(*given).as_text()

  other = dict(rate=0.1, weight_decay=3.0, b1=0.5, b2=0.6, clip_norm=2.0)
  assert program() == program(**other)
  assert program() != program(decay='cosine', warmup=2)


def test_a_dry_run_names_the_arms():
  given = config(arms=dict(grid='optimizer.rate=1,2'))
  lines = list(dry_run.describe(schema.from_mapping(given)))
  assert any('3 arms of 2 on' in line for line in lines)
  assert any(line.split() == ['arm', 'rate', '1'] for line in lines)
  assert any(line.split()[0] == 'training' for line in lines)


@pytest.mark.parametrize('at_once, dear', [(None, 2), (6, 3)])
def test_a_dry_run_counts_steps_in_a_window_apart(at_once, dear):
  """Two of three arms are pushed in half of the steps; together, all pay."""
  given = config(
    interventions=dict(rank=dict(strengths='0.1,-0.1', stop=3)),
    arms=dict(controls=False), measures={},
  )  # fmt: skip
  given['seeds']['at_once'] = at_once
  lines = dry_run.describe(schema.from_mapping(given))
  rows = (re.split(r'\s{2,}', line.strip()) for line in lines)
  times = {row[0]: row[3] for row in rows if row[-1] == 'timed'}
  assert times == {'training': str(6 - dear), 'with rank': str(dear)}
