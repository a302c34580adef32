"""The examples: a task and a measure that the package does not know of."""

import pathlib

import numpy as np
import pytest

from emergence_jax import config as config_lib
from emergence_jax import loop, timeseries
from emergence_jax.types import UserError
from experiments import config_flag

ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.slow
def test_a_task_and_a_measure_of_ones_own(tmp_path, monkeypatch):
  monkeypatch.chdir(ROOT)
  raw = config_flag.load('examples/own_config.py')
  config = config_lib.from_mapping(raw)
  assert loop.run(config, tmp_path / 'run') is loop.Outcome.FINISHED
  data = timeseries.load(tmp_path / 'run').load()
  assert data.weight_norm.dims == ('seed', 'step', 'part')
  assert data.part.values.tolist() == [
    'embed', 'positions', 'block_0', 'norm_final',
  ]  # fmt: skip
  assert (data.accuracy.isel(step=-1) > 0.9).all()
  # 3 × 32 weights of standard deviation 0.02, to five standard errors.
  embed = data.weight_norm.sel(part='embed', step=0)
  np.testing.assert_allclose(embed, 0.02 * np.sqrt(96), rtol=0.37)
  assert np.isfinite(data.rankme).all()


def test_examples_stay_short():
  for name, most in (('majority', 60), ('weight_norm', 30)):
    text = (ROOT / 'examples' / f'{name}.py').read_text(encoding='utf-8')
    assert len(text.splitlines()) <= most


@pytest.mark.parametrize(
  'word', ['nowhere:X', 'examples.majority:Nothing', ':', 'a b:c', 'os:path']
)
def test_names_that_lead_nowhere(word, monkeypatch):
  monkeypatch.chdir(ROOT)
  raw = config_flag.load('examples/own_config.py')
  with pytest.raises(UserError, match=r'config\.task'):
    config_lib.from_mapping({**raw, 'task': {'name': word}})
