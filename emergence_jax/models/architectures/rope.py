"""What a description says of rotary positions, in any of its spellings."""

import math

from emergence_jax.models.description import Description
from emergence_jax.models.rotary import KINDS, Rotary


def of_group(group: Description, plain: Rotary, longest: int) -> Rotary:
  """What a group of keys makes of rotary positions.

  Args:
    group: `rope_type`, and what that needs.
    plain: size, and base where the group says none.
    longest: positions of the model.
  """
  older = group.text('type', 'default', KINDS)
  kind = group.text('rope_type', older, KINDS)
  changes: dict = {}
  if kind != 'default':
    changes = {'factor': group.number('factor'), 'trained': longest}
  if kind in ('llama3', 'yarn'):
    changes['trained'] = group.integer(
      'original_max_position_embeddings', longest
    )
  if kind == 'llama3':
    changes['slow'] = group.number('low_freq_factor')
    changes['fast'] = group.number('high_freq_factor')
  if kind == 'yarn':
    changes['slow'] = group.number('beta_slow', 1.0)
    changes['fast'] = group.number('beta_fast', 32.0)
    grown = 0.1 * math.log(max(changes['factor'], 1.0)) + 1
    amplitude = group.number('attention_factor', None)
    changes['amplitude'] = grown if amplitude is None else amplitude
    group.only('truncate', True)
  base = group.number('rope_theta', plain.base)
  group.finish()
  return Rotary(plain.size, base, kind, **changes)


def read(
  description: Description,
  head: int,
  *,
  longest: int,
  base: float = 10_000.0,
  share: float = 1.0,
  is_partial: bool = False,
) -> Rotary:
  """Rotary positions of a model.

  They are said in one of `rope_parameters` and `rope_scaling`, or by keys
  beside them; where two say something, they must agree.

  Args:
    description: of the model.
    head: features of a head.
    longest: positions of the model.
    base: by default.
    share: of a head's features that turns, by default.
    is_partial: whether a share may be said.
  """
  names = ('rope_parameters', 'rope_scaling')
  both = [n for n in names if n in description]
  if len(both) == 2:
    raise description.refuse(both[1], 'stands beside rope_parameters; give one')
  groups = [g for g in map(description.group, names) if g is not None]
  group = groups[0] if groups else None
  said_base = _said(description, ('rope_theta', 'rotary_emb_base'), group)
  base = base if said_base is None else said_base
  if is_partial:
    said = _said(description, ('partial_rotary_factor', 'rotary_pct'), group)
    share = share if said is None else said
    if share > 1:
      raise description.refuse('rotary_pct', 'must be at most 1')
  turning = int(head * share)
  rotary = Rotary(turning - turning % 2, base)
  return rotary if group is None else of_group(group, rotary, longest)


def _said(
  description: Description, names: tuple[str, str], group: Description | None
) -> float | None:
  """A number that may be said beside a group, by two names, or within it."""
  places = [(description, name) for name in names]
  if group is not None:
    places.append((group, names[0]))
  # One that is not there, and not null.
  values = [(where, name, where.number(name, 0.0)) for where, name in places]
  said = [value for value in values if value[2]]
  for where, name, value in said[1:]:
    if value != said[0][2]:
      raise where.refuse(
        name, f'contradicts {said[0][1]}={said[0][2]:g}; give one of them'
      )
  return said[0][2] if said else None
