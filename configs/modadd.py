"""The preset `modadd` of emergence_jax/config/presets."""

from emergence_jax.config.presets.modadd import get_config

__all__ = ['get_config']
