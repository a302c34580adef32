"""Measures of one seed's model, each a pure function with declared fields."""

from emergence_jax.measures import behaviour, rank

# Name in `config.measures` → make(objective, **options) -> Measure.
MEASURES = {'behaviour': behaviour.make, 'rank': rank.make}
