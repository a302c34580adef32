"""One place says what a variable is; all others follow from it."""

import numpy as np
import pytest
import xarray as xr

from emergence_jax import measures
from emergence_jax.analysis import series
from emergence_jax.base import fields
from emergence_jax.base.types import SCALES, Field
from emergence_jax.measures import behaviour
from emergence_jax.report import style
from tests import test_study

EVERY = {
  **behaviour._fields(with_training=True),
  **measures.fields(),
}
LABELLED = {name: field for name, field in EVERY.items() if field.label}


@pytest.mark.parametrize('name', LABELLED)
def test_what_a_field_names_is_declared(name):
  field = LABELLED[name]
  for other in filter(None, (field.error, field.status)):
    assert EVERY[other].dims in (field.dims, tuple(
      d for d in field.dims if d not in field.pick
    ))  # fmt: skip
  assert field.scale in SCALES
  assert fields.read(field.dims, fields.attributes(field)) == Field(
    **{**vars(field), 'dtype': ''}
  )
  assert field.label in style.label(field, {})


def test_labels_are_unlike():
  of_tasks = [f.label for n, f in measures.fields().items() if f.label]
  assert len(set(of_tasks)) == len(of_tasks)


def test_a_label_needs_an_index_of_every_dimension():
  with pytest.raises(ValueError, match='without an index in `pick`'):
    Field(('task', 'layer'), 'float32', 'x', '1', label='x')
  with pytest.raises(ValueError, match='scale='):
    Field((), 'float32', 'x', '1', label='x', scale='cubic')


def test_a_measure_of_ones_own_is_seen_by_the_analysis():
  """By its attributes alone: its series, its logarithm, its status."""
  data = test_study.made_up(seeds=6)
  own = Field(
    ('part',), 'float32', 'a norm', '1', label='weight norm', pick={'part': 1},
    scale='log', status='norm_status', place=5,
  )  # fmt: skip
  rank = data.rankme.isel(layer=-1, task=0, drop=True)
  values = xr.concat([0 * rank, np.exp(rank)], 'part').transpose(..., 'part')
  data['norm'] = values.assign_attrs(fields.attributes(own))
  data['norm_status'] = (rank * 0).astype('int8')
  data['norm_status'][0, :50] = 3
  found = series.of(data)
  # As soon as one variable says what it is, no list of ours counts.
  assert list(found) == ['weight norm']
  one = found['weight norm']
  usable = series.usable(data, one)
  np.testing.assert_allclose(usable[1], np.exp(rank[1]), rtol=1e-6)
  assert np.isnan(usable[0, :50]).all() and np.isfinite(usable[0, 50:]).all()
  taken = series.take(data, one)
  np.testing.assert_allclose(taken.measure_SKC[1, 0], rank[1], rtol=1e-5)


def test_files_of_others_may_say_anything():
  for attrs in ({'label': 'x', 'pick': 'layer=z'}, {'label': 'x', 'place': ''}):
    assert fields.read(('layer',), attrs) is None
  assert fields.read((), {'units': 'nat'}) is None
  assert fields.read((), {'label': 'x', 'scale': 'odd'}).scale == 'linear'
