"""The preset `causes` of emergence_jax/config/presets."""

from emergence_jax.config.presets.causes import get_config

__all__ = ['get_config']
