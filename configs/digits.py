"""The preset `digits` of emergence_jax/config/presets."""

from emergence_jax.config.presets.digits import get_config

__all__ = ['get_config']
