"""The preset `algorithmic` of emergence_jax/config/presets."""

from emergence_jax.config.presets.algorithmic import get_config

__all__ = ['get_config']
