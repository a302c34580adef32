"""The preset `pythia` of emergence_jax/config/presets."""

from emergence_jax.config.presets.pythia import get_config

__all__ = ['get_config']
