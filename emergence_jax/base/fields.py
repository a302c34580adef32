"""Converts a `Field` to attributes of a variable and back.

Attributes are texts and whole numbers, so that other formats (netCDF, for
example) take them too.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from emergence_jax.base.types import SCALES, Field


def attributes(field: Field) -> dict[str, Any]:
  """Attributes of an array in the timeseries.

  As the CF conventions have them: `long_name` is what a plot writes beside its
  axis, `comment` says it in full.

  >>> attributes(Field(('task',), 'float32', 'a norm', '1'))
  {'long_name': 'a norm', 'comment': 'a norm', 'units': '1', 'source': ''}
  """
  attrs: dict[str, Any] = {
    'long_name': field.label or field.description,
    'comment': field.description,
    'units': field.units,
    'source': field.source,
  }
  if field.label:
    attrs |= {
      'label': field.label,
      'pick': ' '.join(f'{d}={i}' for d, i in field.pick.items()),
      'scale': field.scale,
      'error': field.error,
      'status': field.status,
      'tested': int(field.tested),
      'place': field.place,
    }
  return attrs


def _description(attrs: Mapping[str, Any]) -> str:
  """What a variable is; files of before have it as their long name."""
  return str(attrs.get('comment') or attrs.get('long_name', ''))


def read(dims: tuple[str, ...], attrs: Mapping[str, Any]) -> Field | None:
  """Reads the field of a variable with a label; None for any other.

  >>> field = Field(
  ...   ('task', 'layer'), '', 'a rank', '1', label='rank', pick={'layer': -1}
  ... )
  >>> read(field.dims, attributes(field)) == field
  True

  Args:
    dims: without `seed` and `step`.
    attrs: attributes of the variable.
  """
  if not attrs.get('label'):
    return None
  picks = (word.partition('=') for word in str(attrs.get('pick', '')).split())
  scale = attrs.get('scale')
  try:
    return Field(
      dims,
      '',
      _description(attrs),
      str(attrs.get('units', '')),
      str(attrs.get('source', '')),
      label=str(attrs['label']),
      pick={dim: int(index) for dim, _, index in picks},
      scale=scale if scale in SCALES else SCALES[0],
      error=str(attrs.get('error', '')),
      status=str(attrs.get('status', '')),
      tested=bool(attrs.get('tested', 1)),
      place=int(attrs.get('place', 0)),
    )
  except ValueError:  # attributes that someone else has written
    return None


def of_array(array: Any) -> Field:
  """The field of any variable of a timeseries, with a label or without.

  Args:
    array: an `xarray.DataArray`, as `timeseries.load` gives it.
  """
  dims = tuple(str(d) for d in array.dims if d not in ('seed', 'step'))
  words = [array.attrs.get(n, '') for n in ('units', 'source')]
  field = read(dims, array.attrs) or Field(
    dims, '', _description(array.attrs), *words
  )
  return dataclasses.replace(field, dtype=array.dtype.name)
