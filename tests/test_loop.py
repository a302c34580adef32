"""The loop inside one process: rows, resuming, failures."""

import errno
import json
import shutil
import struct

import jax
import numpy as np
import pytest
import xarray as xr
from tensorboardX.proto import event_pb2

from emergence_jax.base.types import Status, UserError
from emergence_jax.config import schema
from emergence_jax.running import loop, programs
from emergence_jax.store import checkpoints, rows, timeseries
from tests import small


def run(workdir, config, log=lambda line: None):
  return loop.run(schema.from_mapping(config), workdir, log)


def test_the_timeseries_is_whole(finished):
  data = timeseries.load(finished)
  assert data.step.values.tolist() == [0, 2, 4, 6]
  assert data.rankme.dims == ('seed', 'step', 'task', 'layer')
  assert {'accuracy', 'log_prob', 'train_accuracy', 'rankme_centered'} <= set(
    data.data_vars
  )
  # There is no checkpoint before the first.
  assert np.isnan(data.loss_barrier.isel(step=0)).all()
  for name, variable in data.data_vars.items():
    if name == 'loss_barrier':
      variable = variable.isel(step=slice(1, None))
    assert np.isfinite(variable).all(), name
    assert variable.attrs['long_name'] and variable.attrs['units'], name
  assert (data.status == Status.OK).all()
  environment = json.loads((finished / 'env.json').read_text())
  assert environment['versions']['jax'] == jax.__version__
  config = json.loads((finished / 'config.json').read_text())
  assert config == schema.from_mapping(small.modadd_config()).raw


def test_a_finished_run_does_nothing(finished):
  before = {p: p.stat().st_mtime_ns for p in finished.rglob('*')}
  outcome = run(finished, small.modadd_config())
  assert outcome is loop.Outcome.ALREADY_FINISHED
  after = {p: p.stat().st_mtime_ns for p in finished.rglob('*')}
  assert before.keys() == after.keys()


def test_a_run_without_its_populations_keeps_its_rows(finished, tmp_path):
  """As after a copy of all but `checkpoints/`: nothing is begun again."""
  copy = tmp_path / 'copy'
  shutil.copytree(finished, copy)
  shutil.rmtree(copy / 'checkpoints')
  before = timeseries.load(copy).load()
  outcome = run(copy, small.modadd_config())
  assert outcome is loop.Outcome.ALREADY_FINISHED
  # The same of a run that has not come to its end.
  rows.Writer(copy).drop_after(4)
  with pytest.raises(UserError, match='3 measured checkpoints, up to step 4'):
    run(copy, small.modadd_config())
  xr.testing.assert_identical(
    timeseries.load(copy).load(),
    before.isel(step=slice(3), train_step=slice(4)),
  )


def test_another_config_is_refused(finished):
  other = small.modadd_config()
  other.optimizer.rate = 0.5
  other.train.steps = 8
  with pytest.raises(UserError) as caught:
    run(finished, other)
  assert 'optimizer.rate: there 0.002, now 0.5' in str(caught.value)
  assert 'train.steps: there 6, now 8' in str(caught.value)


def test_a_foreign_folder_is_refused(tmp_path):
  (tmp_path / 'thesis.tex').write_text('precious')
  with pytest.raises(UserError, match='holds no run'):
    run(tmp_path, small.modadd_config())


def full_disk(*args, **kwargs):
  raise OSError(errno.ENOSPC, 'No space left on device')


@pytest.mark.parametrize(
  'place,call',
  [
    (rows.Writer, 'write_row'),
    (rows.Writer, 'write_history'),
    (checkpoints.Checkpoints, 'save'),
    (checkpoints.Checkpoints, 'wait'),
  ],
)
def test_a_full_disk_leaves_a_run_that_goes_on(
  finished, tmp_path, monkeypatch, place, call
):
  with monkeypatch.context() as patch:
    original = getattr(place, call)
    count = iter(range(100))

    def third_time(*args, **kwargs):
      if next(count) >= 2:
        full_disk()
      return original(*args, **kwargs)

    patch.setattr(place, call, third_time)
    with pytest.raises(UserError, match='disk of .* is full') as caught:
      run(tmp_path, small.modadd_config())
    assert f'--workdir={tmp_path}' in str(caught.value)
  assert run(tmp_path, small.modadd_config()) is loop.Outcome.FINISHED
  xr.testing.assert_identical(
    timeseries.load(tmp_path).load(), timeseries.load(finished).load()
  )


def test_too_little_memory_of_a_device_names_the_remedy(
  finished, tmp_path, monkeypatch
):
  def exhausted(*args):
    raise jax.errors.JaxRuntimeError(
      'RESOURCE_EXHAUSTED: Out of memory allocating 7 bytes.\nmore'
    )

  with monkeypatch.context() as patch:
    patch.setattr(programs.Programs, 'segment', exhausted)
    with pytest.raises(UserError, match='too little memory: Out of') as caught:
      run(tmp_path, small.modadd_config())
  for word in ('seeds.at_once', 'examples_at_once', 'devices_per_seed',
               '--dry_run', f'--workdir={tmp_path}'):  # fmt: skip
    assert word in str(caught.value)
  assert run(tmp_path, small.modadd_config()) is loop.Outcome.FINISHED
  xr.testing.assert_identical(
    timeseries.load(tmp_path).load(), timeseries.load(finished).load()
  )


def test_one_bad_seed_does_not_stop_the_others(finished, tmp_path, monkeypatch):
  init = programs.Programs.init

  def one_bad(self):
    population = init(self)
    spoil = np.array([np.nan, 1.0], np.float32)
    params = jax.tree.map(
      lambda x: jax.device_put(
        x * spoil.reshape(-1, *[1] * (x.ndim - 1)), x.sharding
      ),
      population.params,
    )
    return population._replace(params=params)

  monkeypatch.setattr(programs.Programs, 'init', one_bad)
  lines = []
  monkeypatch.setattr(
    loop.progress_lib.Progress, 'log', lambda self, line: lines.append(line)
  )
  assert run(tmp_path, small.modadd_config()) is loop.Outcome.FINISHED
  # Said once, with what it is.
  (line,) = [line for line in lines if 'non-finite' in line]
  assert 'seed 0 has non-finite values at step 0 (behaviour, rank' in line
  data = timeseries.load(tmp_path)
  good = timeseries.load(finished)
  assert data.status.values.tolist() == [[Status.NON_FINITE] * 4, [0] * 4]
  xr.testing.assert_equal(data.sel(seed=1).load(), good.sel(seed=1).load())
  assert (data.correct.sel(seed=0) == 0).all()


def test_cadence_of_a_measure(tmp_path):
  config = small.modadd_config()
  config.measures.rank.every = 2
  run(tmp_path, config)
  data = timeseries.load(tmp_path)
  measured = np.isfinite(data.rankme).all(('seed', 'task', 'layer'))
  assert measured.values.tolist() == [True, False, True, False]
  assert (data.status == Status.OK).all()


@pytest.mark.nightly
def test_layout_may_change(finished, tmp_path):
  config = small.modadd_config()
  config.seeds.devices = 1
  run(tmp_path, config)
  a, b = timeseries.load(tmp_path), timeseries.load(finished)
  np.testing.assert_allclose(a.train_loss, b.train_loss, rtol=1e-4)


@pytest.mark.nightly
def test_a_profile_of_some_steps_changes_no_bit(finished, tmp_path):
  config = schema.from_mapping(small.modadd_config())
  for wrong in ('3', '3:1', '1:7', 'a:b', '-1:2'):
    with pytest.raises(UserError, match='START:STOP'):
      loop.run(config, tmp_path / 'no', quiet, profile=wrong)
  assert not (tmp_path / 'no').exists()
  loop.run(config, tmp_path / 'run', quiet, profile='1:3')
  assert list((tmp_path / 'run' / 'profile').rglob('*.xplane.pb'))
  xr.testing.assert_identical(
    timeseries.load(tmp_path / 'run').load(), timeseries.load(finished).load()
  )


def test_scalars_are_seen_while_the_run_goes_on(finished, tmp_path):
  config = schema.from_mapping(small.modadd_config())
  with pytest.raises(UserError, match="--log='x' is unknown"):
    loop.run(config, tmp_path / 'no', quiet, tracker='x')
  workdir = tmp_path / 'run'
  loop.run(config, workdir, quiet, tracker='tensorboard')
  data = timeseries.load(workdir)
  found = {}
  for path in (workdir / 'tensorboard' / 'seed_1').iterdir():
    for record in tfrecords(path):
      for value in record.summary.value:
        found[value.tag, record.step] = value.simple_value
  one = data.sel(seed=1, task='MODADD')
  for step in data.step.values:
    at = one.sel(step=step)
    assert found['rankme/MODADD', step] == at.rankme.values[-1]
    assert found['accuracy/MODADD', step] == at.accuracy.values[-1]
  # The first row has no barrier, and nothing is written without a label.
  assert ('loss_barrier', 0) not in found and ('loss_barrier', 2) in found
  assert {tag for tag, _ in found} == {
    'accuracy/MODADD', 'rankme/MODADD', 'loss_barrier', 'loss/MODADD',
    'train_accuracy/MODADD', 'log_prob/MODADD', 'train_loss', 'grad_norm',
    'config/text_summary',
  }  # fmt: skip


def tfrecords(path):
  """The events of a file, without a check of its checksums."""
  content = path.read_bytes()
  while content:
    (length,) = struct.unpack('<Q', content[:8])
    yield event_pb2.Event.FromString(content[12 : 12 + length])
    content = content[16 + length :]


def quiet(line):
  """Says nothing."""
