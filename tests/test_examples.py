"""The examples: a task and a measure that the package does not know of."""

import pathlib

import numpy as np
import pytest

from emergence_jax.base.types import UserError
from emergence_jax.cli import config_flag
from emergence_jax.config import schema
from emergence_jax.running import loop
from emergence_jax.store import timeseries

ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.nightly
def test_a_task_and_a_measure_of_ones_own(tmp_path, monkeypatch):
  monkeypatch.chdir(ROOT)
  raw = config_flag.load('examples/own_config.py')
  config = schema.from_mapping(raw)
  assert loop.run(config, tmp_path / 'run') is loop.Outcome.FINISHED
  data = timeseries.load(tmp_path / 'run').load()
  assert data.part_norm.dims == ('seed', 'step', 'part')
  assert data.part.values.tolist() == [
    'embed', 'positions', 'block_0', 'norm_final',
  ]  # fmt: skip
  assert (data.accuracy.isel(step=-1) > 0.9).all()
  # 3 × 32 weights of standard deviation 0.02, to five standard errors.
  embed = data.part_norm.sel(part='embed', step=0)
  np.testing.assert_allclose(embed, 0.02 * np.sqrt(96), rtol=0.37)
  assert np.isfinite(data.rankme).all()


@pytest.mark.nightly
def test_a_model_of_ones_own(tmp_path, monkeypatch):
  monkeypatch.chdir(ROOT)
  raw = config_flag.load('examples/own_config.py')
  raw['model']['name'] = 'examples.mean_model:Shape'
  raw['measures'] |= {
    'gradcov': {'batches': 4, 'batch_size': 8, 'prefix': 64, 'every': 10},
    'hessian': {'k': 2, 'num_matvecs': 6, 'trace_matvecs': 2, 'every': 20},
  }
  config = schema.from_mapping(raw)
  schema.check_devices(config)
  assert loop.run(config, tmp_path / 'run') is loop.Outcome.FINISHED
  data = timeseries.load(tmp_path / 'run').load()
  assert data.part.values.tolist() == ['embed', 'blocks', 'out']
  assert (data.accuracy.isel(step=-1) > 0.9).all()
  assert np.isfinite(data.gradcov_rank.isel(step=0)).all()
  assert data.sizes['layer'] == 1


@pytest.mark.parametrize(
  'given,words',
  [
    ({'name': 'gtp'}, "config.model.name='gtp' is unknown; did you mean 'gpt'"),
    ({'name': 'examples.mean_model:Shape', 'size': 'x'}, 'config.model.size'),
    (
      {'name': 'examples.mean_model:Shape', 'width': 3},
      'width=3 is an unknown',
    ),
    ({'name': 'json:dumps'}, 'is no shape of a model'),
    ({'name': 3}, 'config.model.name=3'),
  ],
)
def test_models_that_are_refused(given, words, monkeypatch):
  monkeypatch.chdir(ROOT)
  raw = config_flag.load('examples/own_config.py')
  with pytest.raises(UserError) as caught:
    schema.from_mapping({**raw, 'model': given})
  assert words in str(caught.value)


def test_gpt_neox_is_trained_too():
  raw = config_flag.load(str(ROOT / 'examples/own_config.py'))
  raw['model']['name'] = 'gpt_neox'
  config = schema.from_mapping({**raw, 'measures': {'rank': {}}})
  assert config.objective.model.module.config.layers[0].rotary.size > 0


def test_examples_stay_short():
  for name, most in (('majority', 60), ('weight_norm', 40), ('mean_model', 60)):
    text = (ROOT / 'examples' / f'{name}.py').read_text(encoding='utf-8')
    assert len(text.splitlines()) <= most


@pytest.mark.parametrize(
  'word', ['nowhere:X', 'examples.majority:Nothing', ':', 'a b:c', 'os:path']
)
def test_names_that_lead_nowhere(word, monkeypatch):
  monkeypatch.chdir(ROOT)
  raw = config_flag.load('examples/own_config.py')
  with pytest.raises(UserError, match=r'config\.task'):
    schema.from_mapping({**raw, 'task': {'name': word}})
