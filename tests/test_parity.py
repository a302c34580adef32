"""Beside transformers itself: every flag, and every change of a description.

pip install -e '.[parity,pythia]' pytest
python -m pytest tests/test_parity.py
"""

import contextlib
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emergence_jax.base.types import UserError
from emergence_jax.models import released
from tests import test_descriptions as descriptions

transformers = pytest.importorskip('transformers')
parity_models = pytest.importorskip('tests.parity_models')


def ours(folder):
  """Logits, final and hidden states; None if the folder is refused."""
  try:
    model, params = released.load_checkpoint(folder)
    with jax.default_matmul_precision('highest'):
      out = model.apply(params, jnp.asarray(parity_models.tokens()))
  except UserError as error:
    assert str(error)
    return None
  return parity_models.Expected(
    np.asarray(out.logits), np.asarray(out.final), np.stack(out.hidden)
  )


def assert_same(found, wanted, note=''):
  for key, one, other in zip(wanted._fields, found, wanted):
    error = np.abs(one - other).max() / np.abs(other).max()
    assert error < 1e-5, (note, key, error)


@pytest.mark.parametrize('name', sorted(parity_models.MODELS))
def test_every_flag(name, tmp_path):
  model = parity_models.make(name)
  parity_models.save(name, model, tmp_path)
  assert_same(ours(tmp_path), parity_models.run(model))


def theirs(folder):
  """What transformers makes of a folder; None if it does not load it."""
  with contextlib.suppress(Exception):
    model, said = transformers.AutoModelForCausalLM.from_pretrained(
      folder, attn_implementation='eager', dtype='float32',
      output_loading_info=True,
    )  # fmt: skip
    if not (said['missing_keys'] or said['unexpected_keys']):
      return parity_models.run(model.eval())
  return None


@pytest.mark.parametrize(
  'name',
  [n for n in descriptions.NAMES if n not in ('hf_olmo', 'pico_decoder')],
)
def test_a_changed_description_is_computed_or_refused(name, tmp_path):
  folder = tmp_path / 'model'
  shutil.copytree(descriptions.PARITY / name, folder)
  raw = json.loads((folder / 'config.json').read_text(encoding='utf-8'))
  wanted, refused, compared = ours(folder), 0, 0
  for key, other in descriptions.mutations(raw):
    (folder / 'config.json').write_text(json.dumps(other), encoding='utf-8')
    found = ours(folder)
    if found is None:
      refused += 1
      continue
    note = key, other.get(key)
    expected = theirs(folder)
    if expected is None:  # a value that says nothing to us does not matter
      assert key in descriptions.HARMLESS, note
      assert_same(found, wanted, note)
      continue
    assert_same(found, expected, note)
    compared += 1
  assert refused > 20 and compared > 20


@pytest.mark.parametrize(
  'changes',
  [{}, {'tied': False}, {'biases': True, 'norm_bias': True}],
)
def test_transformers_reads_what_we_export(changes, tmp_path):
  from tests import test_exporting

  tokens, wanted = test_exporting.save(tmp_path, changes)
  model = transformers.AutoModelForCausalLM.from_pretrained(
    tmp_path, attn_implementation='eager', dtype='float32'
  ).eval()
  with parity_models.torch.no_grad():
    given = parity_models.torch.as_tensor(np.array(tokens)).long()
    found = model(given).logits.numpy()
  np.testing.assert_allclose(found, wanted, atol=1e-5)
