"""The preset `released` of emergence_jax/config/presets."""

from emergence_jax.config.presets.released import get_config

__all__ = ['get_config']
